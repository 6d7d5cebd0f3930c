"""Bets per player and minute, and the inbox.

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
        "players",
        sa.Column("user_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="players_pkey"),
    )
    op.create_table(
        "bet_minutes",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="its first moment, by the wallet's created_at",
        ),
        sa.Column("bets", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "minute", name="bet_minutes_pkey"),
        sa.CheckConstraint("bets > 0", name="bet_minutes_bets_check"),
    )
    op.create_index("bet_minutes_minute_idx", "bet_minutes", ["minute"])
    op.execute("GRANT SELECT ON alembic_version TO fraud_service")
    op.execute("GRANT SELECT, INSERT, UPDATE ON inbox TO fraud_service")
    op.execute("GRANT SELECT, INSERT ON players TO fraud_service")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON bet_minutes TO fraud_service")


def downgrade() -> None:
    for table in ("bet_minutes", "players", "inbox"):
        op.drop_table(table)
