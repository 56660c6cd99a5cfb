"""Tenants, keys, events, webhooks, answers to be repeated, uploads in parts, measurements"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFAULT_TENANT = uuid.UUID(int=1)
"""Whose everything is that was there before tenants were."""
OWNED = ("datasets", "jobs", "steps")
UNNAMED = {"uq": "%(table_name)s_%(column_0_name)s_key", "fk": "%(table_name)s_%(column_0_name)s_fkey"}
"""What PostgreSQL calls constraints without a name, for SQLite, which calls them nothing."""


def upgrade() -> None:
    _access()
    tenants = sa.table("tenants", sa.column("id", sa.Uuid()), sa.column("name"), sa.column("created_at"))
    op.execute(sa.insert(tenants).values(id=DEFAULT_TENANT, name="default", created_at=sa.func.now()))
    for name in OWNED:
        op.add_column(name, sa.Column("tenant_id", sa.Uuid(), nullable=True))
        op.execute(sa.update(sa.table(name, sa.column("tenant_id", sa.Uuid()))).values(tenant_id=DEFAULT_TENANT))
        with op.batch_alter_table(name, naming_convention=UNNAMED) as batch_op:
            batch_op.alter_column("tenant_id", existing_type=sa.Uuid(), nullable=False)
            batch_op.create_foreign_key(f"{name}_tenant_id_fkey", "tenants", ["tenant_id"], ["id"])
            if name == "steps":
                batch_op.drop_constraint("steps_fingerprint_key", type_="unique")
                batch_op.create_unique_constraint("steps_once_a_tenant", ["tenant_id", "fingerprint"])
            else:
                batch_op.drop_index(f"{name}_by_time")
                batch_op.create_index(f"{name}_by_time", ["tenant_id", "created_at", "id"], unique=False)
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.add_column(sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("last_event", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("estimate", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("webhook_url", sa.String(), nullable=True))
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.alter_column("last_event", existing_type=sa.BigInteger(), server_default=None)
    _telling()


def downgrade() -> None:
    for name in ("measurements", "webhook_deliveries", "events", "partial_uploads", "idempotent_answers", "api_keys"):
        op.drop_table(name)
    with op.batch_alter_table("jobs") as batch_op:
        for column in ("webhook_url", "estimate", "last_event", "deadline_at"):
            batch_op.drop_column(column)
    for name in OWNED:
        with op.batch_alter_table(name, naming_convention=UNNAMED) as batch_op:
            if name == "steps":
                batch_op.drop_constraint("steps_once_a_tenant", type_="unique")
                batch_op.create_unique_constraint("steps_fingerprint_key", ["fingerprint"])
            else:
                batch_op.drop_index(f"{name}_by_time")
                batch_op.create_index(f"{name}_by_time", ["created_at", "id"], unique=False)
            batch_op.drop_constraint(f"{name}_tenant_id_fkey", type_="foreignkey")
            batch_op.drop_column("tenant_id")
    op.drop_table("tenants")


def _access() -> None:
    """Tenants and what is theirs alone."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.Column("max_rows", sa.BigInteger(), nullable=True),
        sa.Column("max_live_jobs", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"], unique=False)
    op.create_table(
        "idempotent_answers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("body_sha256", sa.String(), nullable=True),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "key"),
    )
    op.create_index("idempotent_answers_by_time", "idempotent_answers", ["created_at"], unique=False)


def _telling() -> None:
    """Uploads in parts, events, webhooks and measurements."""
    op.create_table(
        "partial_uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("metadata_header", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dataset_id", sa.Uuid(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_partial_uploads_tenant_id", "partial_uploads", ["tenant_id"], unique=False)
    op.create_index("partial_uploads_by_expiry", "partial_uploads", ["expires_at"], unique=False)
    op.create_table(
        "events",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"], unique=False)
    op.create_index("webhook_deliveries_due", "webhook_deliveries", ["next_attempt_at"], unique=False)
    op.create_table(
        "measurements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("work", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("measurements_by_kind", "measurements", ["device", "kind", "created_at"], unique=False)
