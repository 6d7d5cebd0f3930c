"""The compliance service's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
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

SCHEMA = "compliance"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)

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
