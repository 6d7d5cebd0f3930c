"""Figures by day and hour, game and provider; closed days and their restatements; report runs.

What was added up before lacks what these need. The inbox begins again, and everything comes from the journal.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = """
CREATE TABLE outbox (
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    event_id uuid NOT NULL,
    user_id bigint NOT NULL,
    type text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE lane_heads (
    lane smallint CONSTRAINT lane_heads_pkey PRIMARY KEY,
    position bigint NOT NULL,
    head bytea NOT NULL
);
CREATE TABLE daily_totals (
    rows bigint NOT NULL CONSTRAINT daily_totals_rows_check CHECK (rows > 0),
    amount numeric(38, 0) NOT NULL CONSTRAINT daily_totals_amount_check CHECK (amount >= 0),
    day date NOT NULL,
    lane smallint NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    of_kind text NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    game text NOT NULL,
    provider text NOT NULL,
    CONSTRAINT daily_totals_pkey
        PRIMARY KEY (lane, day, currency, kind, of_kind, status, reason, game, provider)
) WITH (fillfactor = 70);
CREATE INDEX daily_totals_day_idx ON daily_totals (day);
CREATE TABLE hourly_totals (
    rows bigint NOT NULL CONSTRAINT hourly_totals_rows_check CHECK (rows > 0),
    amount numeric(38, 0) NOT NULL CONSTRAINT hourly_totals_amount_check CHECK (amount >= 0),
    day date NOT NULL,
    hour smallint NOT NULL,
    lane smallint NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    of_kind text NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    game text NOT NULL,
    provider text NOT NULL,
    CONSTRAINT hourly_totals_pkey
        PRIMARY KEY (lane, day, hour, currency, kind, of_kind, status, reason, game, provider)
) WITH (fillfactor = 70);
CREATE INDEX hourly_totals_day_idx ON hourly_totals (day);
CREATE TABLE daily_owed (
    day date NOT NULL,
    lane smallint NOT NULL,
    currency text NOT NULL,
    cash numeric(38, 0) NOT NULL,
    reserved numeric(38, 0) NOT NULL,
    CONSTRAINT daily_owed_pkey PRIMARY KEY (lane, day, currency)
) WITH (fillfactor = 50);
CREATE TABLE daily_players (
    user_id bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    CONSTRAINT daily_players_pkey PRIMARY KEY (day, currency, user_id)
);
CREATE TABLE players (
    user_id bigint NOT NULL,
    first_day date NOT NULL,
    currency text NOT NULL,
    CONSTRAINT players_pkey PRIMARY KEY (user_id, currency)
);
CREATE INDEX players_first_day_idx ON players (first_day);
CREATE TABLE largest_wins (
    amount bigint NOT NULL,
    position bigint NOT NULL,
    user_id bigint NOT NULL,
    day date NOT NULL,
    lane smallint NOT NULL,
    currency text NOT NULL,
    game text NOT NULL,
    CONSTRAINT largest_wins_pkey PRIMARY KEY (lane, position)
);
CREATE INDEX largest_wins_day_idx ON largest_wins (day, currency, lane);
CREATE TABLE provider_fees (
    payment_id uuid CONSTRAINT provider_fees_pkey PRIMARY KEY,
    event_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    fee bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    provider text NOT NULL
);
CREATE INDEX provider_fees_day_idx ON provider_fees (day);
CREATE TABLE closed_days (
    day date CONSTRAINT closed_days_pkey PRIMARY KEY,
    closed_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    cut jsonb NOT NULL
);
CREATE TABLE restatements (
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT restatements_pkey PRIMARY KEY,
    restated_at timestamptz NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    figure text NOT NULL,
    before text,
    after text,
    cause text NOT NULL
);
CREATE INDEX restatements_day_idx ON restatements (day);
CREATE TABLE report_runs (
    id uuid CONSTRAINT report_runs_pkey PRIMARY KEY,
    due_at timestamptz NOT NULL,
    claimed_until timestamptz NOT NULL,
    finished_at timestamptz,
    first_day date NOT NULL,
    last_day date NOT NULL,
    attempts smallint NOT NULL,
    every text NOT NULL,
    delivered jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT report_runs_days_check CHECK (last_day >= first_day)
);
CREATE INDEX report_runs_every_idx ON report_runs (every, due_at);
GRANT SELECT, INSERT, UPDATE ON lane_heads, daily_totals, hourly_totals, daily_owed, players, provider_fees, report_runs
    TO metrics_service;
GRANT SELECT, INSERT ON daily_players, closed_days, restatements TO metrics_service;
GRANT SELECT, INSERT, DELETE ON largest_wins, outbox TO metrics_service
"""
_DAY = "in the platform''s time zone, of the wallet''s created_at"
_COMMENTS = {
    "daily_totals.day": _DAY,
    "daily_totals.amount": "moved, or on refused rows asked",
    "hourly_totals.day": _DAY,
    "hourly_totals.hour": "by the clock on the wall",
    "hourly_totals.amount": "moved, or on refused rows asked",
    "daily_owed.day": _DAY,
    "daily_owed.cash": "how what is owed to players in cash changed",
    "daily_players.day": _DAY,
    "players.first_day": "of the first row that moved money",
    "largest_wins.day": _DAY,
    "provider_fees.day": "in the platform''s time zone, of the event''s time",
    "closed_days.cut": "per lane the last position that was in it",
    "restatements.figure": "as the daily report names it",
    "restatements.before": "amounts in minor units",
    "report_runs.delivered": "the ways that are done",
}


def upgrade() -> None:
    op.drop_table("daily_totals")
    op.execute("DELETE FROM inbox")
    for statement in _SQL.split(";\n"):
        op.execute(statement)
    for column, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN {column} IS '{comment}'")
    for table in ("daily_totals", "hourly_totals"):
        op.execute(f"COMMENT ON TABLE {table} IS 'texts are empty where the rows have none'")
    op.execute("COMMENT ON TABLE daily_players IS 'who bet'")


def downgrade() -> None:
    tables = ("report_runs", "restatements", "closed_days", "provider_fees", "largest_wins", "players", "daily_players")
    for table in (*tables, "daily_owed", "hourly_totals", "daily_totals", "lane_heads", "outbox"):
        op.drop_table(table)
    op.execute("DELETE FROM inbox")
    op.execute("""
        CREATE TABLE daily_totals (
            day date NOT NULL,
            lane smallint NOT NULL,
            currency text NOT NULL,
            kind text NOT NULL,
            status text NOT NULL,
            reason text NOT NULL,
            rows bigint NOT NULL CONSTRAINT daily_totals_rows_check CHECK (rows > 0),
            amount numeric(38, 0) NOT NULL CONSTRAINT daily_totals_amount_check CHECK (amount >= 0),
            CONSTRAINT daily_totals_pkey PRIMARY KEY (lane, day, currency, kind, status, reason)
        )
    """)
    op.execute("CREATE INDEX daily_totals_day_idx ON daily_totals (day)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON daily_totals TO metrics_service")
