"""Players blocked for fraud."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for kind in ("FRAUD_BLOCK", "FRAUD_UNBLOCK"):
        op.execute(f"ALTER TYPE transaction_kind ADD VALUE '{kind}'")
    op.execute("""
        ALTER TABLE player_restrictions ADD COLUMN blocked_since timestamptz, ADD COLUMN blocked_until timestamptz,
            ADD COLUMN block_reason text,
            ADD CONSTRAINT player_restrictions_block_check CHECK (
                (blocked_since IS NULL) = (block_reason IS NULL)
                AND (blocked_since IS NOT NULL OR blocked_until IS NULL)
            )
    """)
    op.execute("COMMENT ON COLUMN player_restrictions.blocked_until IS 'null: until it is lifted'")


def downgrade() -> None:
    # A block is never dropped by a migration.
    raise RuntimeError("there is no way back before the blocks")
