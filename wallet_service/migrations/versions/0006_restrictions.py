"""What a player may not do for now."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for kind in ("EXCLUSION", "EXCLUSION_END", "KYC_TIER"):
        op.execute(f"ALTER TYPE transaction_kind ADD VALUE '{kind}'")
    op.execute("""
        CREATE TABLE player_restrictions (
            user_id bigint NOT NULL,
            excluded_until timestamptz,
            lane smallint NOT NULL,
            exclusion text,
            tier text,
            CONSTRAINT player_restrictions_pkey PRIMARY KEY (lane, user_id),
            CONSTRAINT player_restrictions_until_check CHECK (exclusion IS NOT NULL OR excluded_until IS NULL)
        )
    """)
    op.execute("COMMENT ON COLUMN player_restrictions.excluded_until IS 'null: for ever'")
    op.execute("GRANT SELECT, INSERT, UPDATE ON player_restrictions TO wallet_service")


def downgrade() -> None:
    # An exclusion is never dropped by a migration.
    raise RuntimeError("there is no way back before the restrictions")
