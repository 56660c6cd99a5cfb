"""Which key took the place of another"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = "api_keys_replaced_by_fkey"


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.add_column(sa.Column("replaced_by", sa.Uuid(), nullable=True))
        batch_op.create_foreign_key(KEY, "api_keys", ["replaced_by"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.drop_constraint(KEY, type_="foreignkey")
        batch_op.drop_column("replaced_by")
