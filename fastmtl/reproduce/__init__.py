"""The paper's protocol, run through this project's own pipeline: GLUE in, one table, its figures and a submission out."""
