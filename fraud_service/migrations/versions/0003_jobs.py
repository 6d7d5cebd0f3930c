"""Jobs: scoring players again, and backtests.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE jobs (
            id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            started_at timestamptz,
            finished_at timestamptz,
            done bigint NOT NULL DEFAULT 0,
            total bigint NOT NULL DEFAULT 0,
            place bigint NOT NULL DEFAULT 0,
            owner uuid,
            kind text NOT NULL,
            requested_by text NOT NULL,
            error text,
            request json NOT NULL,
            result json,
            CONSTRAINT jobs_pkey PRIMARY KEY (id),
            CONSTRAINT jobs_kind_check CHECK (kind IN ('reprocessing', 'backtest'))
        )
    """)
    op.execute("COMMENT ON COLUMN jobs.due_at IS 'nobody takes it before; who works on it moves it on'")
    op.execute("COMMENT ON COLUMN jobs.place IS 'the last player that was scored again'")
    op.execute("CREATE INDEX jobs_due_idx ON jobs (kind, created_at) WHERE finished_at IS NULL")
    op.execute("GRANT SELECT, INSERT, UPDATE ON jobs TO fraud_service")


def downgrade() -> None:
    op.execute("DROP TABLE jobs")
