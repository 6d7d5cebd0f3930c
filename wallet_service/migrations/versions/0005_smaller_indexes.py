"""Two indexes of the journal without the lane, which a player and its references have only one of."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX transactions_user_position_idx ON transactions (user_id, position)")
    op.execute("""
        CREATE INDEX transactions_reference_idx ON transactions
            (hashtextextended(reference_id || '/' || coalesce(round_id, ''), user_id))
            WHERE kind IN ('GAME_BET', 'GAME_PAYOUT') AND status = 'posted'
    """)
    op.execute("DROP INDEX transactions_lane_user_position_idx")
    op.execute("DROP INDEX transactions_lane_reference_idx")


def downgrade() -> None:
    op.execute("CREATE INDEX transactions_lane_user_position_idx ON transactions (lane, user_id, position)")
    op.execute("""
        CREATE INDEX transactions_lane_reference_idx ON transactions
            (lane, hashtextextended(reference_id || '/' || coalesce(round_id, ''), user_id))
            WHERE kind IN ('GAME_BET', 'GAME_PAYOUT') AND status = 'posted'
    """)
    op.execute("DROP INDEX transactions_user_position_idx")
    op.execute("DROP INDEX transactions_reference_idx")
