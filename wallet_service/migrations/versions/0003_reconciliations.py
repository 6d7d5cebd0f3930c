"""Records of reconciliations: who asked for which period, and what was found."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE reconciliations (
            number bigint GENERATED ALWAYS AS IDENTITY,
            period_from timestamptz NOT NULL,
            period_to timestamptz NOT NULL,
            requested_at timestamptz NOT NULL,
            started_at timestamptz,
            finished_at timestamptz,
            rows bigint,
            discrepancy_count bigint,
            id uuid NOT NULL,
            attempts smallint NOT NULL,
            cause text NOT NULL,
            status text NOT NULL,
            requested_by text,
            discrepancies jsonb,
            CONSTRAINT reconciliations_pkey PRIMARY KEY (id),
            CONSTRAINT reconciliations_number_key UNIQUE (number),
            CONSTRAINT reconciliations_period_check CHECK (period_to > period_from),
            CONSTRAINT reconciliations_cause_check CHECK (cause IN ('on_demand', 'monthly')),
            CONSTRAINT reconciliations_status_check CHECK (status IN ('requested', 'running', 'finished', 'failed')),
            CONSTRAINT reconciliations_result_check CHECK (
                (status = 'finished') = (num_nulls(rows, discrepancy_count, discrepancies) = 0)
            )
        )
    """)
    for column, comment in (
        ("number", "the order in which they were requested, and are carried out"),
        ("rows", "journal rows of the period"),
        ("attempts", "how often it was begun"),
        ("discrepancies", "the first of them; amounts in minor units, as text"),
    ):
        op.execute(f"COMMENT ON COLUMN reconciliations.{column} IS '{comment}'")
    # A month is requested once, however many instances notice that it is over.
    op.execute("""
        CREATE UNIQUE INDEX reconciliations_monthly_key ON reconciliations (period_from) WHERE cause = 'monthly'
    """)
    op.execute("""
        CREATE INDEX reconciliations_open_idx ON reconciliations (number) WHERE status IN ('requested', 'running')
    """)
    op.execute("""
        CREATE INDEX reconciliations_finished_idx ON reconciliations (finished_at) WHERE status = 'finished'
    """)
    # What was asked, by whom and when, is not the service's to change.
    op.execute("GRANT SELECT, INSERT ON reconciliations TO wallet_service")
    op.execute("""
        GRANT UPDATE (started_at, finished_at, rows, discrepancy_count, attempts, status, discrepancies)
            ON reconciliations TO wallet_service
    """)


def downgrade() -> None:
    op.execute("DROP TABLE reconciliations")
