"""The payments service's tables. Money is in minor units; of an instrument there are a token and four digits."""

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
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.inbox import inbox_table
from shared.outbox import outbox_table

SCHEMA = "payments"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)
outbox = outbox_table(metadata)

_NOW = text("clock_timestamp()")

payments = Table(
    "payments",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("group_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger),
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("charged_back_minor", BigInteger),
    Column("charged_back_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True), comment="when it first went to its provider"),
    Column("settled_at", DateTime(timezone=True), comment="when it was known to be completed"),
    Column("taken_at", DateTime(timezone=True), comment="when the wallet took the money from the player"),
    Column("due_at", DateTime(timezone=True), comment="when somebody has to look at it; null: nothing to do"),
    Column("id", Uuid, nullable=False),
    Column("group_id", Uuid, nullable=False, comment="those of one withdrawal that is split share one hold"),
    Column("of_payment", Uuid, comment="the deposit that a refund gives back"),
    Column("given_back_by", Uuid),
    Column("taken_by", Uuid, comment="the command that took the money from the player"),
    Column("batch_id", Uuid, nullable=False),
    Column("asks", Integer, nullable=False),
    Column("cleared", Boolean, nullable=False),
    Column("news", Boolean, nullable=False, comment="its provider said that something happened, and is to be asked"),
    Column("direction", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("instrument", Text, comment="the provider's token"),
    Column("last4", Text),
    Column("status", Text, nullable=False),
    Column("posted", Text, nullable=False, comment="what the wallet decided for it last"),
    Column("waits_for", Text),
    Column("reason", Text),
    Column("reference", Text, comment="the provider's id"),
    Column("requested_by", Text, nullable=False),
    Column("action", JSONB, comment="what the player's client has to do"),
    PrimaryKeyConstraint("id", name="payments_pkey"),
    UniqueConstraint("number", name="payments_number_key"),
    CheckConstraint("amount_minor > 0 AND group_minor >= amount_minor", name="payments_amount_check"),
    CheckConstraint("last4 ~ '^[0-9]{4}$'", name="payments_last4_check"),
)
_p = payments.c
for _name, _columns, _where in (
    ("idx_payments_status", [_p.status], None),
    ("payments_due_idx", [_p.due_at], _p.due_at.isnot(None)),
    ("payments_waiting_idx", [_p.waits_for, _p.number], _p.waits_for.isnot(None)),
    ("payments_user_idx", [_p.user_id, _p.number], None),
    ("payments_changed_idx", [_p.changed_at], None),
    ("payments_group_idx", [_p.group_id], None),
    ("payments_taken_idx", [_p.taken_by], _p.taken_by.isnot(None)),
    ("payments_batch_idx", [_p.batch_id], None),
    ("payments_refunds_idx", [_p.of_payment], _p.of_payment.isnot(None)),
    ("payments_reference_idx", [_p.provider, _p.reference], _p.reference.isnot(None)),
    ("payments_settled_idx", [_p.provider, _p.currency, _p.settled_at], _p.settled_at.isnot(None)),
):
    Index(_name, *_columns, postgresql_where=_where)

payment_events = Table(
    "payment_events",
    metadata,
    Column("amount_minor", BigInteger),
    Column("fee_minor", BigInteger),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("payment_id", Uuid, comment="null while nobody knows whose it is"),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reference", Text),
    Column("currency", Text),
    Column("reason", Text),
    Column("became", Text, nullable=False, comment="news, repeated, ignored, contradicts, or unmatched"),
    PrimaryKeyConstraint("provider", "event_id", name="payment_events_pkey"),
)
Index("payment_events_payment_idx", payment_events.c.payment_id)
Index(
    "payment_events_unmatched_idx",
    payment_events.c.provider,
    payment_events.c.reference,
    postgresql_where=payment_events.c.payment_id.is_(None),
)

payment_moves = Table(
    "payment_moves",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("posted", Text, nullable=False),
    Column("waits_for", Text),
    Column("reason", Text),
    Column("illegal", Text, comment="what was said and not applied"),
    PrimaryKeyConstraint("number", name="payment_moves_pkey"),
    comment="how each payment came to stand where it stands",
)
Index("payment_moves_payment_idx", payment_moves.c.payment_id, payment_moves.c.number)

availability = Table(
    "availability",
    metadata,
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("provider", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("available", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("provider", "direction", "method", name="availability_pkey"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("act", Text, nullable=False, comment="review, completion or refund"),
    Column("verdict", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text),
    PrimaryKeyConstraint("number", name="approvals_pkey"),
    comment="what staff said of a payment; of each person the last word counts, and where two are needed, the second",
)
Index("approvals_payment_idx", approvals.c.payment_id, approvals.c.number)

settlement_batches = Table(
    "settlement_batches",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("day", Date, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reported", Boolean, nullable=False),
    Column("totals", JSONB),
    PrimaryKeyConstraint("id", name="settlement_batches_pkey"),
    UniqueConstraint("provider", "currency", "day", name="settlement_batches_day_key"),
    UniqueConstraint("number", name="settlement_batches_number_key"),
)
Index(
    "settlement_batches_due_idx",
    settlement_batches.c.due_at,
    postgresql_where=settlement_batches.c.status.in_(("open", "waiting", "exceptions")),
)

settlement_lines = Table(
    "settlement_lines",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger),
    Column("day", Date),
    Column("batch_id", Uuid, nullable=False),
    Column("payment_id", Uuid),
    Column("movement", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference", Text),
    PrimaryKeyConstraint("number", name="settlement_lines_pkey"),
    comment="what the report of a batch says, as it was read in last",
)
Index("settlement_lines_batch_idx", settlement_lines.c.batch_id)
Index("settlement_lines_payment_idx", settlement_lines.c.payment_id)
Index("settlement_lines_reference_idx", settlement_lines.c.reference)

settlement_exceptions = Table(
    "settlement_exceptions",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("id", Uuid, nullable=False),
    Column("batch_id", Uuid, comment="null where it is of a payment by itself"),
    Column("payment_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("reference", Text),
    Column("expected", Text),
    Column("found", Text),
    Column("closed_by", Text),
    Column("closed_because", Text),
    PrimaryKeyConstraint("id", name="settlement_exceptions_pkey"),
    UniqueConstraint("number", name="settlement_exceptions_number_key"),
)
Index(
    "settlement_exceptions_open_idx",
    settlement_exceptions.c.number,
    postgresql_where=settlement_exceptions.c.closed_at.is_(None),
)
Index("settlement_exceptions_batch_idx", settlement_exceptions.c.batch_id)
Index("settlement_exceptions_payment_idx", settlement_exceptions.c.payment_id)

ledger_movements = Table(
    "ledger_movements",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False, comment="the same; negative where it went to the provider"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("command_id", Uuid, nullable=False),
    Column("about", Uuid, comment="its reference, where that is an id"),
    Column("in_journal", Boolean, nullable=False, comment="false: so far only the wallet's answer to a command"),
    Column("lane", SmallInteger, nullable=False),
    Column("movement", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("lane", "position", name="ledger_movements_pkey"),
    comment="the rows of the ledger that moved the clearing account of a provider",
)
Index("ledger_movements_command_idx", ledger_movements.c.command_id)
Index("ledger_movements_user_idx", ledger_movements.c.user_id, ledger_movements.c.currency)
Index(
    "ledger_movements_day_idx",
    ledger_movements.c.provider,
    ledger_movements.c.currency,
    ledger_movements.c.at,
)
