"""The fraud service's tables."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
)

from shared.inbox import inbox_table

SCHEMA = "fraud"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)

# Every player that a ledger row has named, and the lane whose position says how fresh the player's figures are.
players = Table(
    "players",
    metadata,
    Column("user_id", BigInteger, nullable=False, autoincrement=False),
    Column("lane", SmallInteger, nullable=False),
    PrimaryKeyConstraint("user_id", name="players_pkey"),
)

# A minute without a bet has no row.
bet_minutes = Table(
    "bet_minutes",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("minute", DateTime(timezone=True), nullable=False, comment="its first moment, by the wallet's created_at"),
    Column("bets", Integer, nullable=False),
    PrimaryKeyConstraint("user_id", "minute", name="bet_minutes_pkey"),
    CheckConstraint("bets > 0", name="bet_minutes_bets_check"),
)
# Finds what is past its time.
Index("bet_minutes_minute_idx", bet_minutes.c.minute)
