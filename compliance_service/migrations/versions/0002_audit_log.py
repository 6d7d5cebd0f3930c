"""The audit log, its checkpoints, and what compliance audits count."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only: % is not allowed', TG_OP;
        END $$
    """)
    _log()
    _months()
    _checkpoints()
    _figures()


def _log() -> None:
    op.execute("""
        CREATE TABLE audit_log (
            number bigint NOT NULL,
            at timestamptz NOT NULL,
            user_id bigint,
            actor text NOT NULL,
            action text NOT NULL,
            reason text,
            before json,
            after json,
            request_id text,
            key_id text NOT NULL,
            previous bytea NOT NULL,
            checksum bytea NOT NULL,
            CONSTRAINT audit_log_pkey PRIMARY KEY (number, at)
        ) PARTITION BY RANGE (at)
    """)
    op.execute("CREATE INDEX audit_log_user_idx ON audit_log (user_id, number) WHERE user_id IS NOT NULL")
    op.execute("CREATE INDEX audit_log_actor_idx ON audit_log (actor, number)")
    op.execute("CREATE INDEX audit_log_action_idx ON audit_log (action, number)")
    op.execute("CREATE INDEX audit_log_at_idx ON audit_log (at)")
    # Whoever holds the service's credentials can add to the log and not rewrite it. An administrator can, and is found
    # by the chain.
    op.execute("""
        CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
            FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()
    """)
    op.execute("""
        CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
    """)
    op.execute("GRANT SELECT, INSERT ON audit_log TO compliance_service")
    op.execute("""
        CREATE TABLE audit_head (
            number bigint NOT NULL,
            at timestamptz NOT NULL,
            checksum bytea NOT NULL,
            one boolean NOT NULL DEFAULT true,
            CONSTRAINT audit_head_pkey PRIMARY KEY (one),
            CONSTRAINT audit_head_one_check CHECK (one)
        )
    """)
    op.execute("COMMENT ON TABLE audit_head IS 'the last entry; its lock puts writers in order'")
    op.execute(
        "INSERT INTO audit_head (number, at, checksum) VALUES (0, '2000-01-01Z', decode(repeat('00', 32), 'hex'))"
    )
    op.execute("GRANT SELECT, UPDATE ON audit_head TO compliance_service")


def _months() -> None:
    # Made on its own and then attached, which waits for no reader. The service may make a month, not drop one.
    op.execute("""
        CREATE FUNCTION make_audit_month(moment timestamptz) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = compliance, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            first timestamptz := date_trunc('month', moment);
            name text := 'audit_log_' || to_char(first, 'YYYY_MM');
        BEGIN
            IF to_regclass(name) IS NOT NULL THEN
                RETURN;
            END IF;
            EXECUTE format('CREATE TABLE %I (LIKE audit_log INCLUDING ALL)', name);
            EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                'EXECUTE FUNCTION audit_is_append_only()', name || '_no_truncate', name);
            EXECUTE format('ALTER TABLE audit_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                name, first, first + interval '1 month');
        END $$
    """)
    op.execute("REVOKE ALL ON FUNCTION make_audit_month FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION make_audit_month TO compliance_service")


def _checkpoints() -> None:
    op.execute("""
        CREATE TABLE audit_checkpoints (
            number bigint NOT NULL,
            first_position bigint NOT NULL,
            last_position bigint NOT NULL,
            sealed_at timestamptz NOT NULL,
            head bytea NOT NULL,
            root bytea NOT NULL,
            previous bytea NOT NULL,
            signature bytea NOT NULL,
            key_id text NOT NULL,
            CONSTRAINT audit_checkpoints_pkey PRIMARY KEY (number),
            CONSTRAINT audit_checkpoints_first_key UNIQUE (first_position),
            CONSTRAINT audit_checkpoints_positions_check CHECK (last_position >= first_position)
        )
    """)
    op.execute("""
        CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
            FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()
    """)
    op.execute("""
        CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
            FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
    """)
    op.execute("GRANT SELECT, INSERT ON audit_checkpoints TO compliance_service")


def _figures() -> None:
    op.execute("""
        CREATE TABLE inbox (
            lane smallint CONSTRAINT inbox_pkey PRIMARY KEY,
            position bigint NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE tiers (
            user_id bigint CONSTRAINT tiers_pkey PRIMARY KEY,
            since timestamptz,
            tier text
        )
    """)
    op.execute("COMMENT ON TABLE tiers IS 'every player that the ledger has named; no tier until it was given one'")
    op.execute("""
        CREATE TABLE exclusion_rows (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            at timestamptz NOT NULL,
            until timestamptz,
            lane smallint NOT NULL,
            type text,
            CONSTRAINT exclusion_rows_pkey PRIMARY KEY (user_id, position)
        )
    """)
    op.execute("COMMENT ON COLUMN exclusion_rows.type IS 'null where the row ended an exclusion'")
    op.execute("""
        CREATE TABLE breaches (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            excluded_at bigint NOT NULL,
            at timestamptz NOT NULL,
            lane smallint NOT NULL,
            kind text NOT NULL,
            CONSTRAINT breaches_pkey PRIMARY KEY (lane, position)
        )
    """)
    op.execute("COMMENT ON COLUMN breaches.excluded_at IS 'the position of the exclusion in force'")
    op.execute("CREATE INDEX breaches_at_idx ON breaches (at)")
    op.execute("""
        CREATE TABLE limit_changes (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            at timestamptz NOT NULL,
            waits_until timestamptz,
            lane smallint NOT NULL,
            kind text NOT NULL,
            name text NOT NULL,
            currency text NOT NULL,
            CONSTRAINT limit_changes_pkey PRIMARY KEY (user_id, name, currency, position)
        )
    """)
    op.execute("CREATE INDEX limit_changes_at_idx ON limit_changes (at)")
    op.execute("""
        CREATE TABLE watched_deposits (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            amount bigint NOT NULL,
            at timestamptz NOT NULL,
            lane smallint NOT NULL,
            currency text NOT NULL,
            large boolean NOT NULL,
            CONSTRAINT watched_deposits_pkey PRIMARY KEY (lane, position)
        )
    """)
    op.execute("COMMENT ON COLUMN watched_deposits.amount IS 'minor units'")
    op.execute("COMMENT ON COLUMN watched_deposits.large IS 'else it is just under the threshold'")
    op.execute("CREATE INDEX watched_deposits_at_idx ON watched_deposits (at)")
    op.execute("""
        CREATE TABLE compliance_audits (
            period_from timestamptz NOT NULL,
            period_to timestamptz NOT NULL,
            requested_at timestamptz NOT NULL,
            id uuid CONSTRAINT compliance_audits_pkey PRIMARY KEY,
            requested_by text NOT NULL,
            figures jsonb NOT NULL,
            CONSTRAINT compliance_audits_period_check CHECK (period_to > period_from)
        )
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON inbox, tiers TO compliance_service")
    op.execute("""
        GRANT SELECT, INSERT ON exclusion_rows, breaches, limit_changes, watched_deposits, compliance_audits
            TO compliance_service
    """)


def downgrade() -> None:
    # The audit log is never dropped by a migration.
    raise RuntimeError("there is no way back before the audit log")
