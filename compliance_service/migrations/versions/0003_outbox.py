"""The outbox: events that are committed with what they tell of."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE outbox (
            number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
            event_id uuid NOT NULL,
            user_id bigint NOT NULL,
            type text NOT NULL,
            body jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("GRANT SELECT, INSERT, DELETE ON outbox TO compliance_service")


def downgrade() -> None:
    op.execute("DROP TABLE outbox")
