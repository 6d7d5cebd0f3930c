"""How long players play: their last sessions, and what they set.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE play_sessions (
            user_id bigint NOT NULL,
            started_at timestamptz NOT NULL,
            last_bet_at timestamptz NOT NULL,
            checked_at timestamptz,
            day date NOT NULL,
            day_s integer NOT NULL,
            checks_told integer NOT NULL,
            session_told boolean NOT NULL,
            day_told boolean NOT NULL,
            CONSTRAINT play_sessions_pkey PRIMARY KEY (user_id)
        )
    """)
    op.execute("COMMENT ON COLUMN play_sessions.day_s IS 'seconds played on that day'")
    op.execute("COMMENT ON COLUMN play_sessions.checked_at IS 'when the player last acknowledged a reality check'")
    op.execute("""
        CREATE TABLE play_settings (
            user_id bigint NOT NULL,
            pending_from timestamptz,
            value integer NOT NULL,
            pending integer,
            name text NOT NULL,
            CONSTRAINT play_settings_pkey PRIMARY KEY (user_id, name),
            CONSTRAINT play_settings_pending_check CHECK (num_nulls(pending, pending_from) IN (0, 2))
        )
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON play_sessions, play_settings TO compliance_service")


def downgrade() -> None:
    for table in ("play_settings", "play_sessions"):
        op.execute(f"DROP TABLE {table}")
