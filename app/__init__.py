"""The service: receives datasets, keeps jobs, serves selections. Imports no torch."""
