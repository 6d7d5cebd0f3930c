"""Payments, what they stand on, and their settlement."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    *("outbox", "inbox"),
    *("payments", "payment_events", "payment_moves"),
    *("instruments", "availability", "approvals"),
    *("settlement_batches", "settlement_lines", "settlement_exceptions", "ledger_movements"),
)


def upgrade() -> None:
    _transport()
    _payments()
    _what_they_stand_on()
    _settlement()
    op.execute("GRANT SELECT, INSERT, DELETE ON outbox TO payments_service")
    op.execute("""
        GRANT SELECT, INSERT, UPDATE ON inbox, payments, payment_events, instruments, availability, settlement_batches,
            settlement_exceptions TO payments_service
    """)
    op.execute("GRANT SELECT, INSERT ON payment_moves, approvals, ledger_movements TO payments_service")
    op.execute("GRANT SELECT, INSERT, DELETE ON settlement_lines TO payments_service")


def _transport() -> None:
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
    op.execute("""
        CREATE TABLE inbox (
            lane smallint NOT NULL,
            position bigint NOT NULL,
            CONSTRAINT inbox_pkey PRIMARY KEY (lane)
        )
    """)


def _payments() -> None:
    op.execute("""
        CREATE TABLE payments (
            number bigint GENERATED ALWAYS AS IDENTITY,
            user_id bigint NOT NULL,
            amount_minor bigint NOT NULL,
            group_minor bigint NOT NULL,
            fee_minor bigint,
            created_at timestamptz NOT NULL,
            changed_at timestamptz,
            settled_at timestamptz,
            due_at timestamptz,
            id uuid NOT NULL,
            group_id uuid NOT NULL,
            of_payment uuid,
            given_back_by uuid,
            taken_by uuid,
            batch_id uuid NOT NULL,
            asks integer NOT NULL,
            cleared boolean NOT NULL,
            news boolean NOT NULL,
            direction text NOT NULL,
            provider text NOT NULL,
            method text NOT NULL,
            currency text NOT NULL,
            instrument text,
            last4 text,
            status text NOT NULL,
            posted text NOT NULL,
            waits_for text,
            reason text,
            reference text,
            requested_by text NOT NULL,
            action jsonb,
            CONSTRAINT payments_pkey PRIMARY KEY (id),
            CONSTRAINT payments_number_key UNIQUE (number),
            CONSTRAINT payments_amount_check CHECK (amount_minor > 0 AND group_minor >= amount_minor),
            CONSTRAINT payments_last4_check CHECK (last4 ~ '^[0-9]{4}$')
        )
    """)
    op.execute("CREATE INDEX idx_payments_status ON payments (status)")
    op.execute("CREATE INDEX payments_batch_idx ON payments (batch_id)")
    op.execute("CREATE INDEX payments_due_idx ON payments (due_at) WHERE due_at IS NOT NULL")
    op.execute("CREATE INDEX payments_group_idx ON payments (group_id)")
    op.execute("CREATE INDEX payments_reference_idx ON payments (provider, reference) WHERE reference IS NOT NULL")
    op.execute("""
        CREATE INDEX payments_settled_idx ON payments (provider, currency, settled_at)
            WHERE settled_at IS NOT NULL
    """)
    op.execute("CREATE INDEX payments_taken_idx ON payments (taken_by) WHERE taken_by IS NOT NULL")
    op.execute("CREATE INDEX payments_user_idx ON payments (user_id, number)")
    op.execute("CREATE INDEX payments_waiting_idx ON payments (waits_for, number) WHERE waits_for IS NOT NULL")
    op.execute("COMMENT ON COLUMN payments.settled_at IS 'when it was known to be completed'")
    op.execute("COMMENT ON COLUMN payments.due_at IS 'when somebody has to look at it; null: nothing to do'")
    op.execute("COMMENT ON COLUMN payments.group_id IS 'those of one withdrawal that is split share one hold'")
    op.execute("COMMENT ON COLUMN payments.of_payment IS 'the deposit that a refund gives back'")
    op.execute("COMMENT ON COLUMN payments.taken_by IS 'the command that took the money from the player'")
    op.execute("COMMENT ON COLUMN payments.news IS 'its provider said that something happened, and is to be asked'")
    op.execute("COMMENT ON COLUMN payments.instrument IS 'the provider''s token'")
    op.execute("COMMENT ON COLUMN payments.posted IS 'what the wallet decided for it last'")
    op.execute("COMMENT ON COLUMN payments.reference IS 'the provider''s id'")
    op.execute("COMMENT ON COLUMN payments.action IS 'what the player''s client has to do'")
    op.execute("""
        CREATE TABLE payment_events (
            amount_minor bigint,
            fee_minor bigint,
            occurred_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            payment_id uuid,
            provider text NOT NULL,
            event_id text NOT NULL,
            direction text NOT NULL,
            outcome text NOT NULL,
            reference text,
            currency text,
            reason text,
            became text NOT NULL,
            CONSTRAINT payment_events_pkey PRIMARY KEY (provider, event_id)
        )
    """)
    op.execute("CREATE INDEX payment_events_payment_idx ON payment_events (payment_id)")
    op.execute("""
        CREATE INDEX payment_events_unmatched_idx ON payment_events (provider, reference)
            WHERE payment_id IS NULL
    """)
    op.execute("COMMENT ON COLUMN payment_events.payment_id IS 'null while nobody knows whose it is'")
    op.execute("COMMENT ON COLUMN payment_events.became IS 'news, repeated, ignored, contradicts, or unmatched'")
    op.execute("""
        CREATE TABLE payment_moves (
            number bigint GENERATED ALWAYS AS IDENTITY,
            at timestamptz NOT NULL,
            payment_id uuid NOT NULL,
            status text NOT NULL,
            posted text NOT NULL,
            waits_for text,
            reason text,
            illegal text,
            CONSTRAINT payment_moves_pkey PRIMARY KEY (number)
        )
    """)
    op.execute("CREATE INDEX payment_moves_payment_idx ON payment_moves (payment_id, number)")
    op.execute("COMMENT ON TABLE payment_moves IS 'how each payment came to stand where it stands'")
    op.execute("COMMENT ON COLUMN payment_moves.illegal IS 'what was said and not applied'")


def _what_they_stand_on() -> None:
    op.execute("""
        CREATE TABLE instruments (
            user_id bigint NOT NULL,
            deposited_minor bigint NOT NULL,
            returned_minor bigint NOT NULL,
            since timestamptz NOT NULL,
            provider text NOT NULL,
            method text NOT NULL,
            instrument text NOT NULL,
            currency text NOT NULL,
            last4 text,
            CONSTRAINT instruments_pkey PRIMARY KEY (user_id, currency, provider, method, instrument),
            CONSTRAINT instruments_last4_check CHECK (last4 ~ '^[0-9]{4}$')
        )
    """)
    op.execute("""
        COMMENT ON TABLE instruments
            IS 'what came from each instrument and went back to it, as the ledger has it'
    """)
    op.execute("COMMENT ON COLUMN instruments.instrument IS 'empty: the account of the player at the provider'")
    op.execute("""
        CREATE TABLE availability (
            changed_at timestamptz NOT NULL,
            provider text NOT NULL,
            direction text NOT NULL,
            method text NOT NULL,
            available boolean NOT NULL,
            reason text NOT NULL,
            actor text NOT NULL,
            CONSTRAINT availability_pkey PRIMARY KEY (provider, direction, method)
        )
    """)
    op.execute("""
        CREATE TABLE approvals (
            at timestamptz NOT NULL,
            payment_id uuid NOT NULL,
            act text NOT NULL,
            verdict text NOT NULL,
            actor text NOT NULL,
            reason text NOT NULL,
            evidence text,
            CONSTRAINT approvals_pkey PRIMARY KEY (payment_id, act, actor)
        )
    """)
    op.execute("""
        COMMENT ON TABLE approvals
            IS 'what staff said of a payment; where two are needed, the second decides'
    """)
    op.execute("COMMENT ON COLUMN approvals.act IS 'review or completion'")


def _settlement() -> None:
    op.execute("""
        CREATE TABLE settlement_batches (
            number bigint GENERATED ALWAYS AS IDENTITY,
            created_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            settled_at timestamptz,
            day date NOT NULL,
            id uuid NOT NULL,
            attempts integer NOT NULL,
            provider text NOT NULL,
            currency text NOT NULL,
            status text NOT NULL,
            reported boolean NOT NULL,
            totals jsonb,
            CONSTRAINT settlement_batches_pkey PRIMARY KEY (id),
            CONSTRAINT settlement_batches_day_key UNIQUE (provider, currency, day),
            CONSTRAINT settlement_batches_number_key UNIQUE (number)
        )
    """)
    op.execute("""
        CREATE INDEX settlement_batches_due_idx ON settlement_batches (due_at)
            WHERE status IN ('open', 'waiting')
    """)
    op.execute("""
        CREATE TABLE settlement_lines (
            number bigint GENERATED ALWAYS AS IDENTITY,
            amount_minor bigint NOT NULL,
            fee_minor bigint,
            day date,
            batch_id uuid NOT NULL,
            payment_id uuid,
            movement text NOT NULL,
            currency text NOT NULL,
            reference text,
            CONSTRAINT settlement_lines_pkey PRIMARY KEY (number)
        )
    """)
    op.execute("CREATE INDEX settlement_lines_batch_idx ON settlement_lines (batch_id)")
    op.execute("COMMENT ON TABLE settlement_lines IS 'what the report of a batch says, as it was read in last'")
    op.execute("""
        CREATE TABLE settlement_exceptions (
            number bigint GENERATED ALWAYS AS IDENTITY,
            opened_at timestamptz NOT NULL,
            closed_at timestamptz,
            id uuid NOT NULL,
            batch_id uuid,
            payment_id uuid,
            kind text NOT NULL,
            side text NOT NULL,
            reference text,
            expected text,
            found text,
            closed_by text,
            closed_because text,
            CONSTRAINT settlement_exceptions_pkey PRIMARY KEY (id),
            CONSTRAINT settlement_exceptions_number_key UNIQUE (number)
        )
    """)
    op.execute("CREATE INDEX settlement_exceptions_batch_idx ON settlement_exceptions (batch_id)")
    op.execute("""
        CREATE INDEX settlement_exceptions_open_idx ON settlement_exceptions (number)
            WHERE closed_at IS NULL
    """)
    op.execute("CREATE INDEX settlement_exceptions_payment_idx ON settlement_exceptions (payment_id)")
    op.execute("COMMENT ON COLUMN settlement_exceptions.batch_id IS 'null where it is of a payment by itself'")
    op.execute("""
        CREATE TABLE ledger_movements (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            amount_minor bigint NOT NULL,
            at timestamptz NOT NULL,
            command_id uuid NOT NULL,
            about uuid,
            lane smallint NOT NULL,
            movement text NOT NULL,
            provider text NOT NULL,
            currency text NOT NULL,
            CONSTRAINT ledger_movements_pkey PRIMARY KEY (lane, position)
        )
    """)
    op.execute("CREATE INDEX ledger_movements_command_idx ON ledger_movements (command_id)")
    op.execute("CREATE INDEX ledger_movements_day_idx ON ledger_movements (provider, currency, at)")
    op.execute("""
        COMMENT ON TABLE ledger_movements
            IS 'the rows of the ledger that moved the clearing account of a provider'
    """)
    op.execute("COMMENT ON COLUMN ledger_movements.about IS 'its reference, where that is an id'")


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
