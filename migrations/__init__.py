"""Alembic's migrations of the tables in `app.models`."""
