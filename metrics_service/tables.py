"""The metrics service's tables. All amounts are minor units of the row's currency.

What is added up has the lane in its key, so that no row is hot. Once a day is closed, its rows of all lanes are one, so
that a month is read as fast on many lanes as on one.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.inbox import inbox_table
from shared.outbox import outbox_table

SCHEMA = "metrics"
# The lane of what was added up over all of them.
ALL_LANES = -1

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)
outbox = outbox_table(metadata)

# With the inbox's position, the checksum of the row there: where a report is cut from the chain.
lane_heads = Table(
    "lane_heads",
    metadata,
    Column("lane", SmallInteger, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    PrimaryKeyConstraint("lane", name="lane_heads_pkey"),
)


# A sum of many bigints is more than a bigint.
_SUM = Numeric(38, 0)
_ALIKE = ("currency", "kind", "of_kind", "status", "reason", "game", "provider")
_DAY = "in the platform's time zone, of the wallet's created_at"


def _totals(name: str, *when: Column[object]) -> Table:
    keys = ("lane", *(column.name for column in when), *_ALIKE)
    return Table(
        name,
        metadata,
        Column("rows", BigInteger, nullable=False),
        Column("amount", _SUM, nullable=False, comment="moved, or on refused rows asked"),
        *when,
        Column("lane", SmallInteger, nullable=False),
        *(Column(each, Text, nullable=False) for each in _ALIKE),
        PrimaryKeyConstraint(*keys, name=f"{name}_pkey"),
        CheckConstraint("rows > 0", name=f"{name}_rows_check"),
        CheckConstraint("amount >= 0", name=f"{name}_amount_check"),
        comment="texts are empty where the rows have none",
    )


daily_totals = _totals("daily_totals", Column("day", Date, nullable=False, comment=_DAY))
Index("daily_totals_day_idx", daily_totals.c.day)
hourly_totals = _totals(
    "hourly_totals",
    Column("day", Date, nullable=False, comment=_DAY),
    Column("hour", SmallInteger, nullable=False, comment="by the clock on the wall"),
)
Index("hourly_totals_day_idx", hourly_totals.c.day)

daily_owed = Table(
    "daily_owed",
    metadata,
    Column("day", Date, nullable=False, comment=_DAY),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("cash", _SUM, nullable=False, comment="how what is owed to players in cash changed"),
    Column("reserved", _SUM, nullable=False),
    PrimaryKeyConstraint("lane", "day", "currency", name="daily_owed_pkey"),
)

daily_players = Table(
    "daily_players",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False, comment=_DAY),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("day", "currency", "user_id", name="daily_players_pkey"),
    comment="who bet",
)

players = Table(
    "players",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("first_day", Date, nullable=False, comment="of the first row that moved money"),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "currency", name="players_pkey"),
)
Index("players_first_day_idx", players.c.first_day)

largest_wins = Table(
    "largest_wins",
    metadata,
    Column("amount", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False, comment=_DAY),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("game", Text, nullable=False),
    PrimaryKeyConstraint("lane", "position", name="largest_wins_pkey"),
)
Index("largest_wins_day_idx", largest_wins.c.day, largest_wins.c.currency, largest_wins.c.lane)

# What a payment's newest event with a fee says of it; how many events came, in which order, makes no difference.
provider_fees = Table(
    "provider_fees",
    metadata,
    Column("payment_id", Uuid, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("day", Date, nullable=False, comment="in the platform's time zone, of the event's time"),
    Column("currency", Text, nullable=False),
    Column("provider", Text, nullable=False),
    PrimaryKeyConstraint("payment_id", name="provider_fees_pkey"),
)
Index("provider_fees_day_idx", provider_fees.c.day)

closed_days = Table(
    "closed_days",
    metadata,
    Column("day", Date, nullable=False),
    Column("closed_at", DateTime(timezone=True), nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("cut", JSONB, nullable=False, comment="per lane the last position that was in it"),
    PrimaryKeyConstraint("day", name="closed_days_pkey"),
)

restatements = Table(
    "restatements",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("restated_at", DateTime(timezone=True), nullable=False),
    Column("day", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("figure", Text, nullable=False, comment="as the daily report names it"),
    Column("before", Text, comment="amounts in minor units"),
    Column("after", Text),
    Column("cause", Text, nullable=False),
    PrimaryKeyConstraint("number", name="restatements_pkey"),
)
Index("restatements_day_idx", restatements.c.day)

report_runs = Table(
    "report_runs",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("claimed_until", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("every", Text, nullable=False),
    Column("delivered", JSONB, nullable=False, server_default=text("'[]'"), comment="the ways that are done"),
    PrimaryKeyConstraint("id", name="report_runs_pkey"),
    CheckConstraint("last_day >= first_day", name="report_runs_days_check"),
)
Index("report_runs_every_idx", report_runs.c.every, report_runs.c.due_at)
