"""Staff may say another word of a payment: all are kept."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE approvals DROP CONSTRAINT approvals_pkey")
    op.execute("ALTER TABLE approvals ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY")
    op.execute("ALTER TABLE approvals ADD CONSTRAINT approvals_pkey PRIMARY KEY (number)")
    op.execute("CREATE INDEX approvals_payment_idx ON approvals (payment_id, number)")
    op.execute("""
        COMMENT ON TABLE approvals
            IS 'what staff said of a payment; of each person the last word counts, and where two are needed, the second'
    """)


def downgrade() -> None:
    # The key before has room for one word of each: the last, which counts.
    op.execute("""
        DELETE FROM approvals a USING approvals later
        WHERE (later.payment_id, later.act, later.actor) = (a.payment_id, a.act, a.actor) AND later.number > a.number
    """)
    op.execute("DROP INDEX approvals_payment_idx")
    op.execute("ALTER TABLE approvals DROP COLUMN number")
    op.execute("ALTER TABLE approvals ADD CONSTRAINT approvals_pkey PRIMARY KEY (payment_id, act, actor)")
    op.execute("COMMENT ON TABLE approvals IS 'what staff said of a payment; where two are needed, the second decides'")
