"""The wallet's tables. Every primary key begins with the lane, so that a lane can move to a server of its own; only
`reconciliations` are of all lanes.

Amounts and balances are minor units of the row's currency.
"""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from shared.contracts.kinds import Account, Kind, Status

SCHEMA = "wallet"

metadata = MetaData(schema=SCHEMA)


def _values(names: type[StrEnum]) -> list[str]:
    return [member.value for member in names]


kind_type = Enum(Kind, name="transaction_kind", metadata=metadata, values_callable=_values)
status_type = Enum(Status, name="transaction_status", metadata=metadata, values_callable=_values)
account_type = Enum(Account, name="account_class", metadata=metadata, values_callable=_values)

# The journal. Wide columns first, so that no byte is lost to alignment.
transactions = Table(
    "transactions",
    metadata,
    Column("position", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units: moved, or on a refused row asked"),
    Column("cash_after", BigInteger, nullable=False, comment="minor units"),
    Column("reserved_after", BigInteger, nullable=False, comment="minor units"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("id", Uuid, nullable=False, comment="the command's id"),
    Column("kind", kind_type, nullable=False),
    Column("status", status_type, nullable=False),
    Column("debit", account_type, nullable=False),
    Column("credit", account_type, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text),
    Column("provider", Text),
    Column("reference_id", Text),
    Column("round_id", Text),
    Column("stated_reason", Text),
    Column("actor", Text),
    # json, not jsonb: the text is what the checksum covers, so it is kept to the letter.
    Column("facts", JSON),
    PrimaryKeyConstraint("lane", "position", name="transactions_pkey"),
    UniqueConstraint("lane", "id", name="transactions_lane_id_key"),
    CheckConstraint("amount >= 0", name="transactions_amount_check"),
)
# These two leave the lane out: a player is on one lane alone, and the key would be eight bytes longer.
Index("transactions_user_position_idx", transactions.c.user_id, transactions.c.position)
# Finds what a rollback takes back. The hash keeps the index small; the query compares the fields themselves too.
Index(
    "transactions_reference_idx",
    func.hashtextextended(
        transactions.c.reference_id.op("||")(text("'/'")).op("||")(func.coalesce(transactions.c.round_id, text("''"))),
        transactions.c.user_id,
    ),
    postgresql_where=text("kind IN ('GAME_BET', 'GAME_PAYOUT') AND status = 'posted'"),
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane", SmallInteger, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False, comment="the last row's checksum"),
    Column(
        "next_offset", BigInteger, nullable=False, comment="of wallet.commands.v1; shows gaps and lag, guards nothing"
    ),
    Column("published", BigInteger, nullable=False, comment="events up to here were acknowledged by the broker"),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("lane", name="lanes_pkey"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("cash", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("deposits", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "bets",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="minor units, as payouts: what was taken back is not in it",
    ),
    Column("payouts", BigInteger, nullable=False, server_default=text("0")),
    Column("deposited_at", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("lane", "user_id", "currency", name="accounts_pkey"),
    CheckConstraint("reserved >= 0", name="accounts_reserved_check"),
)

account_openings = Table(
    "account_openings",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("deposits", BigInteger, nullable=False),
    Column("bets", BigInteger, nullable=False),
    Column("payouts", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("lane", "user_id", "currency", "opened_at", name="account_openings_pkey"),
    comment="an account's totals when a period began in which it was used",
)

player_limits = Table(
    "player_limits",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("override", BigInteger),
    Column("own", BigInteger),
    Column("pending", BigInteger),
    Column("pending_from", DateTime(timezone=True)),
    Column("lane", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("lane", "user_id", "name", "currency", name="player_limits_pkey"),
    CheckConstraint("(pending IS NULL) = (pending_from IS NULL)", name="player_limits_pending_check"),
)

house_accounts = Table(
    "house_accounts",
    metadata,
    Column("balance", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("lane", "account", "currency", name="house_accounts_pkey"),
)

player_restrictions = Table(
    "player_restrictions",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("excluded_until", DateTime(timezone=True), comment="null: for ever"),
    Column("lane", SmallInteger, nullable=False),
    Column("exclusion", Text),
    Column("tier", Text),
    Column("blocked_since", DateTime(timezone=True)),
    Column("blocked_until", DateTime(timezone=True), comment="null: until it is lifted"),
    Column("block_reason", Text),
    PrimaryKeyConstraint("lane", "user_id", name="player_restrictions_pkey"),
    CheckConstraint("exclusion IS NOT NULL OR excluded_until IS NULL", name="player_restrictions_until_check"),
    CheckConstraint(
        "(blocked_since IS NULL) = (block_reason IS NULL) AND (blocked_since IS NOT NULL OR blocked_until IS NULL)",
        name="player_restrictions_block_check",
    ),
)

holds = Table(
    "holds",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("hold_until", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("lane", "user_id", "reference_id", name="holds_pkey"),
    CheckConstraint("remaining >= 0", name="holds_remaining_check"),
)
Index("holds_until_idx", holds.c.hold_until, postgresql_where=text("remaining > 0"))

# What of the payouts of a reference waits in reserved for its release.
held_payouts = Table(
    "held_payouts",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("round_id", Text, nullable=False, comment="empty where the reference has no round"),
    PrimaryKeyConstraint("lane", "user_id", "currency", "reference_id", "round_id", name="held_payouts_pkey"),
    CheckConstraint("held >= 0", name="held_payouts_held_check"),
)
Index("held_payouts_held_idx", held_payouts.c.lane, postgresql_where=text("held > 0"))

# One row for each reference that a rollback came for, whether or not there was anything to take back; and one for each
# transaction that was reversed, under its id.
cancellations = Table(
    "cancellations",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("kind", kind_type, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("round_id", Text, nullable=False, comment="empty where the reference has no round"),
    PrimaryKeyConstraint("lane", "user_id", "kind", "reference_id", "round_id", name="cancellations_pkey"),
)

disputes = Table(
    "disputes",
    metadata,
    Column("position", BigInteger, nullable=False, comment="of the row that opened or resolved it"),
    Column("id", Uuid, nullable=False, comment="the disputed transaction's"),
    Column("state", Enum("open", "resolved", name="dispute_state", metadata=metadata), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    PrimaryKeyConstraint("lane", "id", name="disputes_pkey"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    PrimaryKeyConstraint("lane", "number", name="checkpoints_pkey"),
    UniqueConstraint("lane", "first_position", name="checkpoints_lane_first_key"),
    CheckConstraint("last_position >= first_position", name="checkpoints_positions_check"),
)

# One row a lane, locked by whoever seals it, so that no batch waits for a seal.
seals = Table(
    "seals",
    metadata,
    Column(
        "published",
        BigInteger,
        nullable=False,
        comment="checkpoints up to this number were acknowledged by the broker",
    ),
    Column("lane", SmallInteger, autoincrement=False),
    PrimaryKeyConstraint("lane", name="seals_pkey"),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column(
        "number",
        BigInteger,
        Identity(always=True),
        nullable=False,
        comment="the order in which they were requested, and are carried out",
    ),
    Column("period_from", DateTime(timezone=True), nullable=False),
    Column("period_to", DateTime(timezone=True), nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("rows", BigInteger, comment="journal rows of the period"),
    Column("discrepancy_count", BigInteger),
    Column("id", Uuid, nullable=False),
    Column("attempts", SmallInteger, nullable=False, comment="how often it was begun"),
    Column("cause", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("requested_by", Text),
    Column("discrepancies", JSONB, comment="the first of them; amounts in minor units, as text"),
    PrimaryKeyConstraint("id", name="reconciliations_pkey"),
    UniqueConstraint("number", name="reconciliations_number_key"),
    CheckConstraint("period_to > period_from", name="reconciliations_period_check"),
    CheckConstraint("cause IN ('on_demand', 'monthly')", name="reconciliations_cause_check"),
    CheckConstraint("status IN ('requested', 'running', 'finished', 'failed')", name="reconciliations_status_check"),
    CheckConstraint(
        "(status = 'finished') = (num_nulls(rows, discrepancy_count, discrepancies) = 0)",
        name="reconciliations_result_check",
    ),
)
Index(
    "reconciliations_monthly_key",
    reconciliations.c.period_from,
    unique=True,
    postgresql_where=text("cause = 'monthly'"),
)
Index(
    "reconciliations_open_idx",
    reconciliations.c.number,
    postgresql_where=text("status IN ('requested', 'running')"),
)
Index("reconciliations_finished_idx", reconciliations.c.finished_at, postgresql_where=text("status = 'finished'"))
