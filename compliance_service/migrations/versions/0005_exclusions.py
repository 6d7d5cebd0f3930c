"""Exclusions, and the incidents that players are suspended for.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE exclusions (
            number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
            user_id bigint NOT NULL,
            requested_at timestamptz NOT NULL,
            since timestamptz,
            until timestamptz,
            ends_at timestamptz,
            ended_at timestamptz,
            ask_after timestamptz,
            position bigint,
            lane smallint,
            asked smallint NOT NULL DEFAULT 0,
            time_out boolean NOT NULL,
            by_staff boolean NOT NULL,
            id uuid NOT NULL,
            command_id uuid NOT NULL,
            end_command_id uuid,
            replaced_by uuid,
            type text NOT NULL,
            state text NOT NULL,
            reason text NOT NULL,
            actor text NOT NULL,
            end_actor text,
            refusal text,
            CONSTRAINT exclusions_pkey PRIMARY KEY (id),
            CONSTRAINT exclusions_command_key UNIQUE (command_id),
            CONSTRAINT exclusions_state_check CHECK (
                state IN ('requested', 'in_force', 'end_requested', 'ended', 'expired', 'refused')
            ),
            CONSTRAINT exclusions_end_check CHECK (num_nulls(ends_at, end_command_id, end_actor) IN (0, 3)),
            CONSTRAINT exclusions_place_check CHECK (num_nulls(since, lane, position) IN (0, 3))
        )
    """)
    for column, comment in (
        ("number", "orders a history"),
        ("until", "null: for ever"),
        ("ends_at", "when the requested end takes effect"),
        ("ask_after", "when the wallet is asked for it, or again; null: nothing to ask"),
        ("asked", "how often the wallet was asked"),
    ):
        op.execute(f"COMMENT ON COLUMN exclusions.{column} IS '{comment}'")
    op.execute("CREATE INDEX exclusions_user_idx ON exclusions (user_id, number)")
    op.execute("CREATE INDEX exclusions_ask_idx ON exclusions (ask_after) WHERE ask_after IS NOT NULL")
    op.execute("""
        CREATE INDEX exclusions_until_idx ON exclusions (until) WHERE state IN ('in_force', 'end_requested')
    """)
    op.execute("""
        CREATE TABLE incidents (
            user_id bigint NOT NULL,
            opened_at timestamptz NOT NULL,
            id uuid NOT NULL,
            exclusion_id uuid NOT NULL,
            actor text NOT NULL,
            reason text NOT NULL,
            details text,
            CONSTRAINT incidents_pkey PRIMARY KEY (id)
        )
    """)
    op.execute("CREATE INDEX incidents_user_idx ON incidents (user_id, opened_at)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON exclusions TO compliance_service")
    op.execute("GRANT SELECT, INSERT ON incidents TO compliance_service")


def downgrade() -> None:
    for table in ("incidents", "exclusions"):
        op.execute(f"DROP TABLE {table}")
