"""Lanes of closed days are merged.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT DELETE ON daily_totals, daily_owed TO metrics_service")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON daily_totals, daily_owed FROM metrics_service")
