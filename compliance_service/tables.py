"""The compliance service's tables. KYC values are encrypted: none of them stands in a column in clear."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from shared.inbox import inbox_table
from shared.outbox import outbox_table

SCHEMA = "compliance"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)
outbox = outbox_table(metadata)

# One chain. `before` and `after` are kept as the text that was hashed, so they are not jsonb.
audit_log = Table(
    "audit_log",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("user_id", BigInteger),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text),
    Column("before", JSON),
    Column("after", JSON),
    Column("request_id", Text),
    Column("key_id", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number", "at", name="audit_log_pkey"),
    postgresql_partition_by="RANGE (at)",
)
Index(
    "audit_log_user_idx",
    audit_log.c.user_id,
    audit_log.c.number,
    postgresql_where=audit_log.c.user_id.isnot(None),
)
Index("audit_log_actor_idx", audit_log.c.actor, audit_log.c.number)
Index("audit_log_action_idx", audit_log.c.action, audit_log.c.number)
Index("audit_log_at_idx", audit_log.c.at)

audit_head = Table(
    "audit_head",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("one", Boolean, nullable=False, server_default=text("true")),
    PrimaryKeyConstraint("one", name="audit_head_pkey"),
    CheckConstraint("one", name="audit_head_one_check"),
    comment="the last entry; its lock puts writers in order",
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    PrimaryKeyConstraint("number", name="audit_checkpoints_pkey"),
    UniqueConstraint("first_position", name="audit_checkpoints_first_key"),
    CheckConstraint("last_position >= first_position", name="audit_checkpoints_positions_check"),
)

# What compliance audits count, from the ledger alone.
tiers = Table(
    "tiers",
    metadata,
    Column("user_id", BigInteger, autoincrement=False),
    Column("since", DateTime(timezone=True)),
    Column("tier", Text),
    PrimaryKeyConstraint("user_id", name="tiers_pkey"),
    comment="every player that the ledger has named; no tier until it was given one",
)

exclusion_rows = Table(
    "exclusion_rows",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True)),
    Column("lane", SmallInteger, nullable=False),
    Column("type", Text, comment="null where the row ended an exclusion"),
    PrimaryKeyConstraint("user_id", "position", name="exclusion_rows_pkey"),
)

breaches = Table(
    "breaches",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("excluded_at", BigInteger, nullable=False, comment="the position of the exclusion in force"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("lane", "position", name="breaches_pkey"),
)
Index("breaches_at_idx", breaches.c.at)

limit_changes = Table(
    "limit_changes",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("waits_until", DateTime(timezone=True)),
    Column("lane", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "name", "currency", "position", name="limit_changes_pkey"),
)
Index("limit_changes_at_idx", limit_changes.c.at)

watched_deposits = Table(
    "watched_deposits",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("large", Boolean, nullable=False, comment="else it is just under the threshold"),
    PrimaryKeyConstraint("lane", "position", name="watched_deposits_pkey"),
)
Index("watched_deposits_at_idx", watched_deposits.c.at)

compliance_audits = Table(
    "compliance_audits",
    metadata,
    Column("period_from", DateTime(timezone=True), nullable=False),
    Column("period_to", DateTime(timezone=True), nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("id", Uuid),
    Column("requested_by", Text, nullable=False),
    Column("figures", JSONB, nullable=False),
    PrimaryKeyConstraint("id", name="compliance_audits_pkey"),
    CheckConstraint("period_to > period_from", name="compliance_audits_period_check"),
)

# The columns of a player's values, each a cell of its own.
CELLS = (
    *("name", "birth_date", "street", "city", "postal_code", "country"),
    *("document_type", "document_number", "document_expires_on", "phone"),
)

_CELL = "AES-256-GCM: nonce, ciphertext, tag"

kyc = Table(
    "kyc",
    metadata,
    Column("user_id", BigInteger, autoincrement=False),
    Column("submitted_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True)),
    Column("tier_asked_at", DateTime(timezone=True)),
    Column(
        "ask_wallet_after",
        DateTime(timezone=True),
        comment="when the tier that was asked for is asked for again; null: nothing to ask",
    ),
    Column(
        "ask_provider_after",
        DateTime(timezone=True),
        comment="when the provider is asked again; null: nothing to ask",
    ),
    Column("version", Integer, nullable=False, comment="counts the submissions; bound into every cell"),
    Column(
        "expiry_month",
        Date,
        comment="the first day of the month in which the document expires: all of that day that is in clear",
    ),
    Column("expiry_checked_on", Date, comment="the day on which the document was last looked at"),
    Column("submission_id", Uuid),
    Column("tier_command_id", Uuid),
    Column("state", Text, nullable=False),
    Column("settled_by", Text),
    Column("reason_code", Text),
    Column("public_reason", Text),
    Column("staff_reason", Text),
    Column("tier", Text, nullable=False, comment="what the wallet has acknowledged"),
    Column("tier_asked", Text),
    Column("index_key_id", Text),
    Column(
        "document_index",
        LargeBinary,
        comment="HMAC of country, type and number: the same document has the same",
    ),
    *(Column(name, LargeBinary, comment=_CELL) for name in CELLS),
    PrimaryKeyConstraint("user_id", name="kyc_pkey"),
    UniqueConstraint("submission_id", name="kyc_submission_key"),
)
for _name, _columns, _where in (
    ("kyc_document_idx", [kyc.c.document_index], kyc.c.document_index.isnot(None)),
    ("kyc_wallet_idx", [kyc.c.ask_wallet_after], kyc.c.ask_wallet_after.isnot(None)),
    ("kyc_provider_idx", [kyc.c.ask_provider_after], kyc.c.ask_provider_after.isnot(None)),
    (
        "kyc_expiry_idx",
        [kyc.c.expiry_month, kyc.c.expiry_checked_on],
        kyc.c.state.in_(("submitted", "verified", "review")),
    ),
):
    Index(_name, *_columns, postgresql_where=_where)

kyc_data_keys = Table(
    "kyc_data_keys",
    metadata,
    Column("user_id", BigInteger, autoincrement=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("user_id", name="kyc_data_keys_pkey"),
)
Index("kyc_data_keys_kek_idx", kyc_data_keys.c.kek_id)

kyc_webhooks = Table(
    "kyc_webhooks",
    metadata,
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("submission_id", Uuid, nullable=False),
    Column("event_id", Text),
    Column("result", Text, nullable=False),
    PrimaryKeyConstraint("event_id", name="kyc_webhooks_pkey"),
)
Index("kyc_webhooks_submission_idx", kyc_webhooks.c.submission_id, kyc_webhooks.c.occurred_at)

exclusions = Table(
    "exclusions",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False, comment="orders a history"),
    Column("user_id", BigInteger, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("since", DateTime(timezone=True)),
    Column("until", DateTime(timezone=True), comment="null: for ever"),
    Column("ends_at", DateTime(timezone=True), comment="when the requested end takes effect"),
    Column("ended_at", DateTime(timezone=True)),
    Column(
        "ask_after", DateTime(timezone=True), comment="when the wallet is asked for it, or again; null: nothing to ask"
    ),
    Column("position", BigInteger),
    Column("lane", SmallInteger),
    Column("asked", SmallInteger, nullable=False, server_default=text("0"), comment="how often the wallet was asked"),
    Column("time_out", Boolean, nullable=False),
    Column("by_staff", Boolean, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("command_id", Uuid, nullable=False),
    Column("end_command_id", Uuid),
    Column("replaced_by", Uuid),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("end_actor", Text),
    Column("refusal", Text),
    PrimaryKeyConstraint("id", name="exclusions_pkey"),
    UniqueConstraint("command_id", name="exclusions_command_key"),
)
Index("exclusions_user_idx", exclusions.c.user_id, exclusions.c.number)
Index("exclusions_ask_idx", exclusions.c.ask_after, postgresql_where=exclusions.c.ask_after.isnot(None))
Index(
    "exclusions_until_idx",
    exclusions.c.until,
    postgresql_where=exclusions.c.state.in_(("in_force", "end_requested")),
)

incidents = Table(
    "incidents",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("id", Uuid),
    Column("exclusion_id", Uuid, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text),
    PrimaryKeyConstraint("id", name="incidents_pkey"),
)
Index("incidents_user_idx", incidents.c.user_id, incidents.c.opened_at)

play_sessions = Table(
    "play_sessions",
    metadata,
    Column("user_id", BigInteger, autoincrement=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("last_bet_at", DateTime(timezone=True), nullable=False),
    Column("checked_at", DateTime(timezone=True), comment="when the player last acknowledged a reality check"),
    Column("day", Date, nullable=False),
    Column("day_s", Integer, nullable=False, comment="seconds played on that day"),
    Column("checks_told", Integer, nullable=False),
    Column("session_told", Boolean, nullable=False),
    Column("day_told", Boolean, nullable=False),
    PrimaryKeyConstraint("user_id", name="play_sessions_pkey"),
)

play_settings = Table(
    "play_settings",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("pending_from", DateTime(timezone=True)),
    Column("value", Integer, nullable=False),
    Column("pending", Integer),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "name", name="play_settings_pkey"),
)
