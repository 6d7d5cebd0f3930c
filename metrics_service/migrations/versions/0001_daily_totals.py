"""Totals per day, and the inbox.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("lane", sa.SmallInteger, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("lane", name="inbox_pkey"),
    )
    op.create_table(
        "daily_totals",
        sa.Column("day", sa.Date, nullable=False, comment="UTC, of the wallet's created_at"),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, comment="empty where the row has none"),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Numeric(38, 0), nullable=False, comment="minor units: moved, or on refused rows asked"),
        sa.PrimaryKeyConstraint("lane", "day", "currency", "kind", "status", "reason", name="daily_totals_pkey"),
        sa.CheckConstraint("rows > 0", name="daily_totals_rows_check"),
        sa.CheckConstraint("amount >= 0", name="daily_totals_amount_check"),
    )
    op.create_index("daily_totals_day_idx", "daily_totals", ["day"])
    op.execute("GRANT SELECT ON alembic_version TO metrics_service")
    op.execute("GRANT SELECT, INSERT, UPDATE ON inbox, daily_totals TO metrics_service")


def downgrade() -> None:
    for table in ("daily_totals", "inbox"):
        op.drop_table(table)
