"""KYC: a player's state, its encrypted values, its data key, and what providers say.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CELLS = (
    *("name", "birth_date", "street", "city", "postal_code", "country"),
    *("document_type", "document_number", "document_expires_on", "phone"),
)


def upgrade() -> None:
    op.execute(f"""
        CREATE TABLE kyc (
            user_id bigint NOT NULL,
            submitted_at timestamptz,
            changed_at timestamptz,
            tier_asked_at timestamptz,
            ask_wallet_after timestamptz,
            ask_provider_after timestamptz,
            version integer NOT NULL,
            expiry_month date,
            expiry_checked_on date,
            submission_id uuid,
            tier_command_id uuid,
            state text NOT NULL,
            settled_by text,
            reason_code text,
            public_reason text,
            staff_reason text,
            tier text NOT NULL,
            tier_asked text,
            index_key_id text,
            document_index bytea,
            {"".join(f"{cell} bytea," for cell in _CELLS)}
            CONSTRAINT kyc_pkey PRIMARY KEY (user_id),
            CONSTRAINT kyc_submission_key UNIQUE (submission_id),
            CONSTRAINT kyc_state_check CHECK (
                state IN ('none', 'submitted', 'verified', 'rejected', 'review', 'expired', 'erased')
            ),
            CONSTRAINT kyc_settled_by_check CHECK (settled_by IN ('rules', 'provider', 'staff')),
            CONSTRAINT kyc_tier_check CHECK (num_nulls(tier_asked, tier_asked_at, tier_command_id) IN (0, 3)),
            CONSTRAINT kyc_index_check CHECK (num_nulls(index_key_id, document_index) IN (0, 2))
        )
    """)
    for column, comment in (
        ("version", "counts the submissions; bound into every cell"),
        ("expiry_month", "the first day of the month in which the document expires: all of that day that is in clear"),
        ("expiry_checked_on", "the day on which the document was last looked at"),
        ("tier", "what the wallet has acknowledged"),
        ("ask_wallet_after", "when the tier that was asked for is asked for again; null: nothing to ask"),
        ("ask_provider_after", "when the provider is asked again; null: nothing to ask"),
        ("document_index", "HMAC of country, type and number: the same document has the same"),
        *((cell, "AES-256-GCM: nonce, ciphertext, tag") for cell in _CELLS),
    ):
        op.execute(f"COMMENT ON COLUMN kyc.{column} IS '{comment}'")
    op.execute("CREATE INDEX kyc_document_idx ON kyc (document_index) WHERE document_index IS NOT NULL")
    op.execute("CREATE INDEX kyc_wallet_idx ON kyc (ask_wallet_after) WHERE ask_wallet_after IS NOT NULL")
    op.execute("CREATE INDEX kyc_provider_idx ON kyc (ask_provider_after) WHERE ask_provider_after IS NOT NULL")
    op.execute("""
        CREATE INDEX kyc_expiry_idx ON kyc (expiry_month, expiry_checked_on)
            WHERE state IN ('submitted', 'verified', 'review')
    """)
    op.execute("""
        CREATE TABLE kyc_data_keys (
            user_id bigint NOT NULL,
            kek_id text NOT NULL,
            wrapped bytea NOT NULL,
            CONSTRAINT kyc_data_keys_pkey PRIMARY KEY (user_id)
        )
    """)
    op.execute("CREATE INDEX kyc_data_keys_kek_idx ON kyc_data_keys (kek_id)")
    op.execute("""
        CREATE TABLE kyc_webhooks (
            occurred_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            submission_id uuid NOT NULL,
            event_id text NOT NULL,
            result text NOT NULL,
            CONSTRAINT kyc_webhooks_pkey PRIMARY KEY (event_id),
            CONSTRAINT kyc_webhooks_result_check CHECK (result IN ('verified', 'rejected', 'review'))
        )
    """)
    op.execute("CREATE INDEX kyc_webhooks_submission_idx ON kyc_webhooks (submission_id, occurred_at)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON kyc TO compliance_service")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON kyc_data_keys TO compliance_service")
    op.execute("GRANT SELECT, INSERT ON kyc_webhooks TO compliance_service")


def downgrade() -> None:
    for table in ("kyc_webhooks", "kyc_data_keys", "kyc"):
        op.execute(f"DROP TABLE {table}")
