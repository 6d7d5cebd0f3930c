"""The metrics service's tables."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from shared.inbox import inbox_table

SCHEMA = "metrics"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)

# Per lane, so that no row is hot, and so that the inbox's positions say exactly which journal rows are in it.
daily_totals = Table(
    "daily_totals",
    metadata,
    Column("day", Date, nullable=False, comment="UTC, of the wallet's created_at"),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False, comment="empty where the row has none"),
    Column("rows", BigInteger, nullable=False),
    # A sum of many bigints is more than a bigint.
    Column("amount", Numeric(38, 0), nullable=False, comment="minor units: moved, or on refused rows asked"),
    PrimaryKeyConstraint("lane", "day", "currency", "kind", "status", "reason", name="daily_totals_pkey"),
    CheckConstraint("rows > 0", name="daily_totals_rows_check"),
    CheckConstraint("amount >= 0", name="daily_totals_amount_check"),
)
Index("daily_totals_day_idx", daily_totals.c.day)
