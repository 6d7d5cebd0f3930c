"""A refund is taken from its player before it goes out, and given back where it does not."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE payments ADD COLUMN taken_at timestamptz")
    op.execute("COMMENT ON COLUMN payments.taken_at IS 'when the wallet took the money from the player'")
    # Until now it was taken when it had gone out.
    op.execute("UPDATE payments SET taken_at = settled_at WHERE direction = 'refund' AND posted = 'taken_back'")
    # What came back was shown to staff, and is now the player's again by itself: its provider is asked once more.
    op.execute("""
        UPDATE payments p SET news = true, asks = 0, due_at = clock_timestamp()
        WHERE direction = 'refund' AND status = 'completed' AND EXISTS (
            SELECT FROM settlement_exceptions e
            WHERE e.payment_id = p.id AND e.kind = 'contradiction' AND e.closed_at IS NULL
        )
    """)
    # What the wallet did not take and could not go back was shown to nobody.
    op.execute("""
        INSERT INTO settlement_exceptions (opened_at, id, payment_id, kind, side, reference, expected, found)
        SELECT clock_timestamp(), gen_random_uuid(), d.id, 'stranded', 'provider', d.reference, d.reason, r.status
        FROM payments d JOIN payments r ON r.id = d.given_back_by
        WHERE d.posted = 'refused' AND d.status = 'completed' AND r.status IN ('failed', 'cancelled')
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE payments DROP COLUMN taken_at")
