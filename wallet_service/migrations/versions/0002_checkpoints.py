"""Checkpoints over the journal, and how far each lane's were published."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE checkpoints (
            number bigint NOT NULL,
            first_position bigint NOT NULL,
            last_position bigint NOT NULL,
            sealed_at timestamptz NOT NULL,
            lane smallint NOT NULL,
            head bytea NOT NULL,
            root bytea NOT NULL,
            previous bytea NOT NULL,
            signature bytea NOT NULL,
            key_id text NOT NULL,
            CONSTRAINT checkpoints_pkey PRIMARY KEY (lane, number),
            CONSTRAINT checkpoints_lane_first_key UNIQUE (lane, first_position),
            CONSTRAINT checkpoints_positions_check CHECK (last_position >= first_position)
        )
    """)
    op.execute("""
        CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE ON checkpoints
            FOR EACH ROW EXECUTE FUNCTION journal_is_append_only()
    """)
    op.execute("""
        CREATE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON checkpoints
            FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()
    """)
    op.execute("""
        CREATE TABLE seals (
            published bigint NOT NULL,
            lane smallint NOT NULL,
            CONSTRAINT seals_pkey PRIMARY KEY (lane)
        )
    """)
    op.execute("COMMENT ON COLUMN seals.published IS 'checkpoints up to this number were acknowledged by the broker'")
    op.execute("GRANT SELECT, INSERT ON checkpoints TO wallet_service")
    op.execute("GRANT SELECT, INSERT, UPDATE ON seals TO wallet_service")


def downgrade() -> None:
    # What proves the journal is never dropped by a migration.
    raise RuntimeError("there is no way back before the checkpoints")
