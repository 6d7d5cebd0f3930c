"""Limits, and what they count; held payouts, disputes, and holds that expire."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KINDS = (
    "REVERSAL",
    "PAYOUT_RELEASE",
    "DISPUTE",
    "DISPUTE_RESOLUTION",
    "LIMIT_OVERRIDE",
    "LIMIT_OVERRIDE_REMOVAL",
    "LIMIT_REQUEST",
    "LIMIT_CONFIRMATION",
    "LIMIT_REVOCATION",
)


def upgrade() -> None:
    for kind in KINDS:
        op.execute(f"ALTER TYPE transaction_kind ADD VALUE '{kind}'")
    op.execute("ALTER TYPE account_class ADD VALUE 'none'")
    _accounts()
    _holds()
    op.execute("""
        CREATE TABLE player_limits (
            user_id bigint NOT NULL,
            override bigint,
            own bigint,
            pending bigint,
            pending_from timestamptz,
            lane smallint NOT NULL,
            name text NOT NULL,
            currency text NOT NULL,
            CONSTRAINT player_limits_pkey PRIMARY KEY (lane, user_id, name, currency),
            CONSTRAINT player_limits_pending_check CHECK ((pending IS NULL) = (pending_from IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE held_payouts (
            user_id bigint NOT NULL,
            held bigint NOT NULL CONSTRAINT held_payouts_held_check CHECK (held >= 0),
            lane smallint NOT NULL,
            currency text NOT NULL,
            reference_id text NOT NULL,
            round_id text NOT NULL,
            CONSTRAINT held_payouts_pkey PRIMARY KEY (lane, user_id, currency, reference_id, round_id)
        )
    """)
    op.execute("COMMENT ON COLUMN held_payouts.round_id IS 'empty where the reference has no round'")
    op.execute("CREATE INDEX held_payouts_held_idx ON held_payouts (lane) WHERE held > 0")
    op.execute("CREATE TYPE dispute_state AS ENUM ('open', 'resolved')")
    op.execute("""
        CREATE TABLE disputes (
            position bigint NOT NULL,
            id uuid NOT NULL,
            state dispute_state NOT NULL,
            lane smallint NOT NULL,
            CONSTRAINT disputes_pkey PRIMARY KEY (lane, id)
        )
    """)
    op.execute("COMMENT ON COLUMN disputes.id IS 'the disputed transaction''s'")
    op.execute("COMMENT ON COLUMN disputes.position IS 'of the row that opened or resolved it'")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE ON account_openings, player_limits, held_payouts, disputes TO wallet_service"
    )


def _accounts() -> None:
    op.execute("""
        ALTER TABLE accounts
            ADD COLUMN deposits bigint NOT NULL DEFAULT 0,
            ADD COLUMN bets bigint NOT NULL DEFAULT 0,
            ADD COLUMN payouts bigint NOT NULL DEFAULT 0,
            ADD COLUMN deposited_at timestamptz,
            ADD COLUMN opened_at timestamptz
    """)
    # Counted from the journal's beginning, so that whoever folds it finds the same.
    op.execute("""
        UPDATE accounts a SET deposits = f.deposits, bets = f.bets, payouts = f.payouts, deposited_at = f.deposited_at
        FROM (
            SELECT lane, user_id, currency,
                coalesce(sum(amount) FILTER (WHERE kind = 'DEPOSIT'), 0) AS deposits,
                coalesce(sum(amount) FILTER (WHERE kind = 'GAME_BET'), 0)
                    - coalesce(sum(amount) FILTER (WHERE kind = 'BET_ROLLBACK'), 0) AS bets,
                coalesce(sum(amount) FILTER (WHERE kind = 'GAME_PAYOUT'), 0)
                    - coalesce(sum(amount) FILTER (WHERE kind = 'PAYOUT_ROLLBACK'), 0) AS payouts,
                max(created_at) FILTER (WHERE kind = 'DEPOSIT') AS deposited_at
            FROM transactions WHERE status = 'posted' GROUP BY lane, user_id, currency
        ) f WHERE a.lane = f.lane AND a.user_id = f.user_id AND a.currency = f.currency
    """)
    op.execute("COMMENT ON COLUMN accounts.bets IS 'minor units, as payouts: what was taken back is not in it'")
    op.execute("""
        CREATE TABLE account_openings (
            user_id bigint NOT NULL,
            opened_at timestamptz NOT NULL,
            deposits bigint NOT NULL,
            bets bigint NOT NULL,
            payouts bigint NOT NULL,
            lane smallint NOT NULL,
            currency text NOT NULL,
            CONSTRAINT account_openings_pkey PRIMARY KEY (lane, user_id, currency, opened_at)
        )
    """)
    op.execute("COMMENT ON TABLE account_openings IS 'an account''s totals when a period began in which it was used'")


def _holds() -> None:
    # What was held before holds expired gets the time that the setting gives by default.
    op.execute("ALTER TABLE holds ADD COLUMN hold_until timestamptz NOT NULL DEFAULT now() + interval '7 days'")
    op.execute("ALTER TABLE holds ALTER COLUMN hold_until DROP DEFAULT")
    op.execute("CREATE INDEX holds_until_idx ON holds (hold_until) WHERE remaining > 0")


def downgrade() -> None:
    # What a player has set for itself is never dropped by a migration.
    raise RuntimeError("there is no way back before the limits")
