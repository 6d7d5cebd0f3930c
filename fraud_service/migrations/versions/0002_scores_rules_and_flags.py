"""Features and scores, games, what players share, rules, flags, and the outbox.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    ("outbox", "SELECT, INSERT, DELETE"),
    ("features", "SELECT, INSERT, UPDATE"),
    ("score_history", "SELECT, INSERT, DELETE"),
    ("games", "SELECT, INSERT, DELETE"),
    # Its rows are locked before they are deleted.
    ("signals", "SELECT, INSERT, UPDATE, DELETE"),
    ("links", "SELECT, INSERT, UPDATE"),
    ("fraud_rules", "SELECT, INSERT, UPDATE"),
    ("rules_revision", "SELECT, UPDATE"),
    ("rule_days", "SELECT, INSERT, UPDATE"),
    ("fraud_flags", "SELECT, INSERT, UPDATE"),
)


def upgrade() -> None:
    op.execute("""
        CREATE TABLE outbox (
            number bigint GENERATED ALWAYS AS IDENTITY,
            event_id uuid NOT NULL,
            user_id bigint NOT NULL,
            type text NOT NULL,
            body jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT outbox_pkey PRIMARY KEY (number)
        )
    """)
    _create_scores()
    _create_observed()
    _create_rules()
    _create_flags()
    for table, rights in _TABLES:
        op.execute(f"GRANT {rights} ON {table} TO fraud_service")


def _create_scores() -> None:
    op.execute("""
        CREATE TABLE features (
            user_id bigint NOT NULL,
            latest timestamptz,
            revision bigint NOT NULL DEFAULT 0,
            score smallint NOT NULL DEFAULT 0,
            level text NOT NULL DEFAULT 'SAFE',
            reasons json NOT NULL,
            shadow json NOT NULL,
            state json,
            CONSTRAINT features_pkey PRIMARY KEY (user_id),
            CONSTRAINT features_score_check CHECK (score BETWEEN 0 AND 100)
        ) WITH (fillfactor = 60)
    """)
    op.execute("COMMENT ON COLUMN features.revision IS 'of the rules that the score is by'")
    op.execute("CREATE INDEX features_score_idx ON features (score DESC)")
    op.execute("CREATE INDEX features_revision_idx ON features (revision, user_id)")
    op.execute("""
        CREATE TABLE score_history (
            number bigint GENERATED ALWAYS AS IDENTITY,
            user_id bigint NOT NULL,
            at timestamptz NOT NULL,
            revision bigint NOT NULL,
            score smallint NOT NULL,
            level text NOT NULL,
            reasons json NOT NULL,
            CONSTRAINT score_history_pkey PRIMARY KEY (user_id, number)
        )
    """)


def _create_observed() -> None:
    op.execute("""
        CREATE TABLE games (
            created_at timestamptz NOT NULL,
            user_id bigint NOT NULL,
            stake_minor bigint NOT NULL,
            payout_minor bigint NOT NULL,
            win_probability_ppm integer,
            opponent_user_id bigint,
            round_id text NOT NULL,
            game_id text NOT NULL,
            outcome text NOT NULL,
            currency text NOT NULL,
            CONSTRAINT games_pkey PRIMARY KEY (round_id, user_id)
        )
    """)
    op.execute("CREATE INDEX idx_games_outcome_created ON games (outcome, created_at)")
    op.execute("""
        CREATE TABLE signals (
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            source text NOT NULL,
            event_id text NOT NULL,
            CONSTRAINT signals_pkey PRIMARY KEY (source, event_id)
        )
    """)
    op.execute("CREATE INDEX signals_received_idx ON signals (received_at)")
    op.execute("""
        CREATE TABLE links (
            user_id bigint NOT NULL,
            at bigint NOT NULL,
            what text NOT NULL,
            key text NOT NULL,
            CONSTRAINT links_pkey PRIMARY KEY (what, key, user_id)
        )
    """)
    op.execute("COMMENT ON COLUMN links.at IS 'of the last use, in milliseconds'")


def _create_rules() -> None:
    op.execute("""
        CREATE TABLE fraud_rules (
            version bigint GENERATED ALWAYS AS IDENTITY,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            rule_id text NOT NULL,
            state text NOT NULL,
            author text NOT NULL,
            reason text NOT NULL,
            changed_by text NOT NULL,
            error text,
            body json NOT NULL,
            CONSTRAINT fraud_rules_pkey PRIMARY KEY (version),
            CONSTRAINT fraud_rules_state_check CHECK (state IN ('draft', 'shadow', 'active', 'retired', 'disabled'))
        )
    """)
    op.execute("CREATE UNIQUE INDEX fraud_rules_active_key ON fraud_rules (rule_id) WHERE state = 'active'")
    op.execute("""
        CREATE TABLE rules_revision (
            revision bigint NOT NULL DEFAULT 0,
            one boolean NOT NULL DEFAULT true,
            CONSTRAINT rules_revision_pkey PRIMARY KEY (one),
            CONSTRAINT rules_revision_one_check CHECK (one)
        )
    """)
    op.execute("INSERT INTO rules_revision DEFAULT VALUES")
    op.execute("""
        CREATE TABLE rule_days (
            version bigint NOT NULL,
            day date NOT NULL,
            asked bigint NOT NULL,
            fired bigint NOT NULL,
            CONSTRAINT rule_days_pkey PRIMARY KEY (version, day)
        )
    """)


def _create_flags() -> None:
    op.execute("""
        CREATE TABLE fraud_flags (
            id uuid NOT NULL,
            user_id bigint NOT NULL,
            seen_at bigint NOT NULL,
            created_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            snoozed_until timestamptz,
            resolved_at timestamptz,
            score smallint NOT NULL,
            level text NOT NULL,
            status text NOT NULL,
            assignee text,
            resolved_by text,
            resolution text,
            reasons json NOT NULL,
            notes jsonb NOT NULL DEFAULT '[]',
            CONSTRAINT fraud_flags_pkey PRIMARY KEY (id),
            CONSTRAINT fraud_flags_status_check CHECK (
                status IN ('open', 'in_review', 'snoozed', 'confirmed', 'dismissed')
            ),
            CONSTRAINT fraud_flags_snoozed_check CHECK ((status = 'snoozed') = (snoozed_until IS NOT NULL))
        )
    """)
    op.execute("COMMENT ON COLUMN fraud_flags.seen_at IS 'the latest of what it is for, in milliseconds'")
    op.execute("CREATE INDEX idx_fraud_flags_score ON fraud_flags (score DESC)")
    op.execute("""
        CREATE UNIQUE INDEX fraud_flags_unresolved_key ON fraud_flags (user_id)
            WHERE status IN ('open', 'in_review', 'snoozed')
    """)
    op.execute("CREATE INDEX fraud_flags_user_idx ON fraud_flags (user_id, created_at)")
    op.execute("CREATE INDEX fraud_flags_queue_idx ON fraud_flags (status, score DESC, created_at)")


def downgrade() -> None:
    for table, _ in reversed(_TABLES):
        op.execute(f"DROP TABLE {table}")
