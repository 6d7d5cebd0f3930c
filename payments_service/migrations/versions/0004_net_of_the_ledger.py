"""What came from an instrument is summed up from the ledger's movements, and no longer counted beside them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_movements ADD COLUMN net_minor bigint, ADD COLUMN in_journal boolean")
    # What goes back names the command that it takes back, where it is a reversal: then the money is the player's again.
    op.execute("""
        UPDATE ledger_movements m SET in_journal = true, net_minor = CASE
            WHEN m.movement = 'in' THEN m.amount_minor
            WHEN m.movement = 'back' AND EXISTS (SELECT FROM ledger_movements o WHERE o.command_id = m.about)
                THEN m.amount_minor
            ELSE -m.amount_minor
        END
    """)
    op.execute("ALTER TABLE ledger_movements ALTER net_minor SET NOT NULL, ALTER in_journal SET NOT NULL")
    op.execute("""
        COMMENT ON COLUMN ledger_movements.net_minor IS 'the same; negative where it went to the provider'
    """)
    op.execute("""
        COMMENT ON COLUMN ledger_movements.in_journal IS 'false: so far only the wallet''s answer to a command'
    """)
    op.execute("CREATE INDEX ledger_movements_user_idx ON ledger_movements (user_id, currency)")
    op.execute("GRANT UPDATE ON ledger_movements TO payments_service")
    op.execute("DROP TABLE instruments")


def downgrade() -> None:
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
    op.execute("GRANT SELECT, INSERT, UPDATE ON instruments TO payments_service")
    op.execute("REVOKE UPDATE ON ledger_movements FROM payments_service")
    op.execute("DROP INDEX ledger_movements_user_idx")
    op.execute("ALTER TABLE ledger_movements DROP COLUMN net_minor, DROP COLUMN in_journal")
