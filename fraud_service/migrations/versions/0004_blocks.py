"""Blocks that flags ask for.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE fraud_blocks (
            flag_id uuid NOT NULL,
            user_id bigint NOT NULL,
            position bigint,
            requested_at timestamptz NOT NULL,
            lift_requested_at timestamptz,
            ask_after timestamptz,
            asked integer NOT NULL,
            state text NOT NULL,
            reason text NOT NULL,
            lift_reason text,
            CONSTRAINT fraud_blocks_pkey PRIMARY KEY (flag_id),
            CONSTRAINT fraud_blocks_state_check CHECK (
                state IN ('requested', 'in_force', 'covered', 'refused', 'cancelled', 'lifting', 'lifted')
            ),
            CONSTRAINT fraud_blocks_due_check CHECK (
                (ask_after IS NOT NULL) = (state IN ('requested', 'lifting'))
            )
        )
    """)
    op.execute("COMMENT ON COLUMN fraud_blocks.position IS 'of the wallet''s decision, in the player''s lane'")
    op.execute("CREATE INDEX fraud_blocks_due_idx ON fraud_blocks (ask_after) WHERE ask_after IS NOT NULL")
    op.execute("CREATE INDEX fraud_blocks_user_idx ON fraud_blocks (user_id)")
    op.execute("CREATE INDEX fraud_flags_resolved_idx ON fraud_flags (resolved_at) WHERE resolved_at IS NOT NULL")
    op.execute("GRANT SELECT, INSERT, UPDATE ON fraud_blocks TO fraud_service")


def downgrade() -> None:
    op.execute("DROP INDEX fraud_flags_resolved_idx")
    op.execute("DROP TABLE fraud_blocks")
