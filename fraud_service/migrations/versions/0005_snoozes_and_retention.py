"""Snoozes of rules, what unblocks answered, what signals said, and what finds what is past its time.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TOLD = ("user_id bigint", "at bigint", "kind text", "country text", "instrument_id text", "device_id text")
_EXPIRING = ("games", "links", "score_history", "rule_days", "jobs")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE rule_snoozes (
            id uuid NOT NULL,
            user_id bigint NOT NULL,
            since timestamptz NOT NULL DEFAULT clock_timestamp(),
            until timestamptz NOT NULL,
            rule_id text NOT NULL,
            made_by text NOT NULL,
            note text NOT NULL,
            ended_by text,
            CONSTRAINT rule_snoozes_pkey PRIMARY KEY (id)
        )
    """)
    op.execute("CREATE INDEX rule_snoozes_user_idx ON rule_snoozes (user_id, since)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON rule_snoozes TO fraud_service")
    op.execute("""
        CREATE TABLE unblocks (
            user_id bigint NOT NULL,
            position bigint NOT NULL,
            at bigint NOT NULL,
            CONSTRAINT unblocks_pkey PRIMARY KEY (user_id)
        )
    """)
    op.execute("COMMENT ON COLUMN unblocks.at IS 'when somebody asked for it, in milliseconds'")
    op.execute("GRANT SELECT, INSERT, UPDATE ON unblocks TO fraud_service")
    op.execute("ALTER TABLE fraud_blocks ADD seen_at bigint NOT NULL DEFAULT 0, ADD lane smallint, ADD read_to bigint")
    op.execute("ALTER TABLE fraud_blocks ALTER seen_at DROP DEFAULT")
    op.execute("COMMENT ON COLUMN fraud_blocks.seen_at IS 'the latest of what it is for, in milliseconds'")
    op.execute("COMMENT ON COLUMN fraud_blocks.read_to IS 'the wallet is asked once the lane is read up to here'")
    op.execute(f"ALTER TABLE signals {', '.join(f'ADD {column}' for column in _TOLD)}")
    op.execute("COMMENT ON COLUMN signals.at IS 'as it counts, in milliseconds; null where nothing is known of it'")
    op.execute("CREATE INDEX signals_at_idx ON signals (at) WHERE at IS NOT NULL")
    op.execute("CREATE INDEX games_created_idx ON games (created_at)")
    op.execute("CREATE INDEX links_at_idx ON links (at)")
    op.execute("CREATE INDEX score_history_at_idx ON score_history (at)")
    op.execute(f"GRANT DELETE ON {', '.join(_EXPIRING)} TO fraud_service")


def downgrade() -> None:
    op.execute(f"REVOKE DELETE ON {', '.join(_EXPIRING)} FROM fraud_service")
    for index in ("score_history_at_idx", "links_at_idx", "games_created_idx", "signals_at_idx"):
        op.execute(f"DROP INDEX {index}")
    op.execute(f"ALTER TABLE signals {', '.join(f'DROP {column.split()[0]}' for column in _TOLD)}")
    op.execute("ALTER TABLE fraud_blocks DROP read_to, DROP lane, DROP seen_at")
    op.execute("DROP TABLE unblocks")
    op.execute("DROP TABLE rule_snoozes")
