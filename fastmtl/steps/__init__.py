"""The steps of a job, one file each, with `run(spec, workspace)`; `fastmtl.pipeline` imports the one it runs."""
