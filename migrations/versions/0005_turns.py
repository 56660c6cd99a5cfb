"""In whose turn steps are taken, priorities, one sweep for all workers"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DEFAULT_PRIORITY = 5
WITHOUT_DEVICE = ("leakage", "tokens", "rank", "select", "slice", "report", "calibrate_plain")
LAST = 99
"""Steps that were there before go after those that say how urgent they are."""
INDEXES = {
    "steps_in_line": ["status", "needs_device", "line", "urgency", "id"],
    "steps_begun_by_line": ["line", "started_at"],
    "steps_begun_by_tenant": ["tenant_id", "started_at"],
}


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("tenants", sa.Column("max_priority", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("priority", sa.BigInteger(), nullable=True))
    op.execute(sa.update(sa.table("jobs", sa.column("priority"))).values(priority=DEFAULT_PRIORITY))
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.alter_column("priority", existing_type=sa.BigInteger(), nullable=False)
    columns: dict[str, sa.types.TypeEngine[Any]] = {
        "needs_device": sa.Boolean(),
        "urgency": sa.BigInteger(),
        "line": sa.Uuid(),
        "priority": sa.BigInteger(),
    }
    for name, kind in columns.items():
        op.add_column("steps", sa.Column(name, kind, nullable=True))
    _fill_steps()
    with op.batch_alter_table("steps") as batch_op:
        for name, kind in columns.items():
            batch_op.alter_column(name, existing_type=kind, nullable=False)
    for name, indexed in INDEXES.items():
        op.create_index(name, "steps", indexed, unique=False)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "steps")
    with op.batch_alter_table("steps") as batch_op:
        for name in ("priority", "line", "urgency", "needs_device"):
            batch_op.drop_column(name)
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.drop_column("priority")
    with op.batch_alter_table("tenants") as batch_op:
        batch_op.drop_column("max_priority")
    op.drop_table("sweeps")


def _fill_steps() -> None:
    """Put every step into the line of a job that has it, or into one of its own."""
    uuid, number = sa.Uuid(), sa.BigInteger()
    steps = sa.table(
        "steps",
        *(sa.column("id", uuid), sa.column("kind"), sa.column("line", uuid)),
        *(sa.column("needs_device", sa.Boolean()), sa.column("urgency", number), sa.column("priority", number)),
    )
    links = sa.table("job_steps", sa.column("job_id", uuid), sa.column("step_id", uuid))
    job = sa.select(links.c.job_id).where(links.c.step_id == steps.c.id).limit(1).scalar_subquery()
    op.execute(
        sa.update(steps).values(
            needs_device=steps.c.kind.not_in(WITHOUT_DEVICE),
            urgency=LAST,
            priority=DEFAULT_PRIORITY,
            line=sa.func.coalesce(job, steps.c.id),
        )
    )
