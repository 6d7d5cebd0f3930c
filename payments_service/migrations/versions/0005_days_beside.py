"""A batch with exceptions is looked at again, beside what the reports of other days have of its payments."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX settlement_batches_due_idx")
    op.execute("""
        CREATE INDEX settlement_batches_due_idx ON settlement_batches (due_at)
        WHERE status IN ('open', 'waiting', 'exceptions')
    """)
    op.execute("CREATE INDEX settlement_lines_payment_idx ON settlement_lines (payment_id)")
    op.execute("CREATE INDEX settlement_lines_reference_idx ON settlement_lines (reference)")
    # What has gone out is not reviewed: staff says what became of it.
    op.execute("UPDATE payments SET waits_for = 'completion' WHERE waits_for = 'review' AND status <> 'created'")


def downgrade() -> None:
    op.execute("UPDATE payments SET waits_for = 'review' WHERE waits_for = 'completion'")
    op.execute("DROP INDEX settlement_lines_reference_idx")
    op.execute("DROP INDEX settlement_lines_payment_idx")
    op.execute("DROP INDEX settlement_batches_due_idx")
    op.execute("""
        CREATE INDEX settlement_batches_due_idx ON settlement_batches (due_at) WHERE status IN ('open', 'waiting')
    """)
