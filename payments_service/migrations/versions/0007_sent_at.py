"""How long a payment may go out again counts from when it first did, not from when it was asked for."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE payments ADD COLUMN sent_at timestamptz")
    op.execute("COMMENT ON COLUMN payments.sent_at IS 'when it first went to its provider'")


def downgrade() -> None:
    op.execute("ALTER TABLE payments DROP COLUMN sent_at")
