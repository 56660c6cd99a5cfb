"""The paper's protocol through this project's own pipeline: GLUE in; a table, its figures and a submission out."""
