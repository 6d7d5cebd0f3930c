"""What of a deposit went back by refunds, and what was charged back when."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE payments ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE payments ADD COLUMN charged_back_minor bigint")
    op.execute("ALTER TABLE payments ADD COLUMN charged_back_at timestamptz")
    op.execute("COMMENT ON COLUMN approvals.act IS 'review, completion or refund'")
    op.execute("CREATE INDEX payments_refunds_idx ON payments (of_payment) WHERE of_payment IS NOT NULL")
    op.execute("CREATE INDEX payments_changed_idx ON payments (changed_at)")


def downgrade() -> None:
    op.execute("COMMENT ON COLUMN approvals.act IS 'review or completion'")
    op.execute("DROP INDEX payments_changed_idx")
    op.execute("DROP INDEX payments_refunds_idx")
    op.execute("ALTER TABLE payments DROP COLUMN charged_back_at")
    op.execute("ALTER TABLE payments DROP COLUMN charged_back_minor")
    op.execute("ALTER TABLE payments DROP COLUMN refunded_minor")
