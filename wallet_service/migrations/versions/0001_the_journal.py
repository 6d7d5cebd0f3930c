"""The journal, and what is derived from it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TYPE transaction_kind AS ENUM (
            'DEPOSIT', 'GAME_BET', 'GAME_PAYOUT', 'BET_ROLLBACK', 'PAYOUT_ROLLBACK', 'WITHDRAWAL_HOLD',
            'WITHDRAWAL_CAPTURE', 'WITHDRAWAL_RELEASE', 'WITHDRAWAL', 'CHARGEBACK', 'REFUND',
            'ADJUSTMENT_CREDIT', 'ADJUSTMENT_DEBIT');
    """)
    op.execute("CREATE TYPE transaction_status AS ENUM ('posted', 'refused')")
    op.execute("CREATE TYPE account_class AS ENUM ('cash', 'reserved', 'revenue', 'clearing', 'adjustments')")
    op.execute("""
        CREATE TABLE transactions (
            position bigint NOT NULL,
            user_id bigint NOT NULL,
            amount bigint NOT NULL,
            cash_after bigint NOT NULL,
            reserved_after bigint NOT NULL,
            occurred_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            id uuid NOT NULL,
            kind transaction_kind NOT NULL,
            status transaction_status NOT NULL,
            debit account_class NOT NULL,
            credit account_class NOT NULL,
            lane smallint NOT NULL,
            checksum bytea NOT NULL,
            key_id text NOT NULL,
            currency text NOT NULL,
            reason text,
            provider text,
            reference_id text,
            round_id text,
            stated_reason text,
            actor text,
            facts json,
            CONSTRAINT transactions_pkey PRIMARY KEY (lane, position),
            CONSTRAINT transactions_lane_id_key UNIQUE (lane, id),
            CONSTRAINT transactions_amount_check CHECK (amount >= 0)
        )
    """)
    for column, comment in (
        ("amount", "minor units: moved, or on a refused row asked"),
        ("cash_after", "minor units"),
        ("reserved_after", "minor units"),
        ("id", "the command''s id"),
    ):
        op.execute(f"COMMENT ON COLUMN transactions.{column} IS '{comment}'")
    op.execute("CREATE INDEX transactions_lane_user_position_idx ON transactions (lane, user_id, position)")
    op.execute("""
        CREATE INDEX transactions_lane_reference_idx ON transactions
            (lane, hashtextextended(reference_id || '/' || coalesce(round_id, ''), user_id))
            WHERE kind IN ('GAME_BET', 'GAME_PAYOUT') AND status = 'posted'
    """)
    op.execute("""
        CREATE TABLE lanes (
            lane smallint CONSTRAINT lanes_pkey PRIMARY KEY,
            position bigint NOT NULL,
            head bytea NOT NULL,
            next_offset bigint NOT NULL,
            published bigint NOT NULL,
            decided_at timestamptz NOT NULL
        )
    """)
    for column, comment in (
        ("head", "the last row''s checksum"),
        ("next_offset", "of wallet.commands.v1; shows gaps and lag, guards nothing"),
        ("published", "events up to here were acknowledged by the broker"),
    ):
        op.execute(f"COMMENT ON COLUMN lanes.{column} IS '{comment}'")
    op.execute("""
        CREATE TABLE accounts (
            user_id bigint NOT NULL,
            cash bigint NOT NULL,
            reserved bigint NOT NULL CONSTRAINT accounts_reserved_check CHECK (reserved >= 0),
            lane smallint NOT NULL,
            currency text NOT NULL,
            CONSTRAINT accounts_pkey PRIMARY KEY (lane, user_id, currency)
        )
    """)
    op.execute("""
        CREATE TABLE house_accounts (
            balance bigint NOT NULL,
            lane smallint NOT NULL,
            account text NOT NULL,
            currency text NOT NULL,
            CONSTRAINT house_accounts_pkey PRIMARY KEY (lane, account, currency)
        )
    """)
    op.execute("""
        CREATE TABLE holds (
            user_id bigint NOT NULL,
            remaining bigint NOT NULL CONSTRAINT holds_remaining_check CHECK (remaining >= 0),
            lane smallint NOT NULL,
            currency text NOT NULL,
            reference_id text NOT NULL,
            CONSTRAINT holds_pkey PRIMARY KEY (lane, user_id, reference_id)
        )
    """)
    op.execute("""
        CREATE TABLE cancellations (
            user_id bigint NOT NULL,
            returned bigint NOT NULL,
            kind transaction_kind NOT NULL,
            lane smallint NOT NULL,
            reference_id text NOT NULL,
            round_id text NOT NULL,
            CONSTRAINT cancellations_pkey PRIMARY KEY (lane, user_id, kind, reference_id, round_id)
        )
    """)
    op.execute("COMMENT ON COLUMN cancellations.round_id IS 'empty where the reference has no round'")
    # Whoever holds the service's credentials can add to the journal and not rewrite it. An administrator can, and is
    # found by the chain.
    op.execute("""
        CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the journal is append-only: % is not allowed', TG_OP;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE ON transactions
            FOR EACH ROW EXECUTE FUNCTION journal_is_append_only()
    """)
    op.execute("""
        CREATE TRIGGER transactions_no_truncate BEFORE TRUNCATE ON transactions
            FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()
    """)
    op.execute("GRANT SELECT ON alembic_version TO wallet_service")
    op.execute("GRANT SELECT, INSERT ON transactions TO wallet_service")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE ON lanes, accounts, house_accounts, holds, cancellations TO wallet_service"
    )


def downgrade() -> None:
    # The journal is never dropped by a migration.
    raise RuntimeError("there is no way back before the journal")
