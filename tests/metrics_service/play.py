"""A month of play: journal rows as the wallet would have written them, in the wallet's table and as events."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import orjson
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import ENTRIES, NO_ENTRY, Account, Entry, Kind, Reason, Status
from shared.inbox import Apply
from shared.lanes import lane_of
from shared.money import NO_CURRENCY
from tests.support import LANES, Database

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 31
CURRENCIES = ("USD", "EUR", "JPY")
GAMES = tuple(f"game_{number}" for number in range(1, 41))
PROVIDERS = ("stripe", "paypal", "bank")
REASONS = (Reason.INSUFFICIENT_FUNDS, Reason.DAILY_LOSS_LIMIT, Reason.MAX_BET_EXCEEDED, Reason.SELF_EXCLUDED)
# What is played, the most frequent first; a kind that has none of its own is drawn from these.
SCENES = (
    *(("round",) * 70),
    *(("refused",) * 8),
    *(("deposit",) * 8),
    *(("rollback",) * 3),
    *(("withdrawal",) * 3),
    *(("hold",) * 3),
    *(("correction",) * 3),
    "exclusion",
    "held payout",
)


class Play:
    """Makes rows in the order in which the wallet would; the same seed makes the same."""

    def __init__(self, rows: int, *, seed: int = 7, players: int = 2000, days: int = DAYS) -> None:
        self._draw = random.Random(seed)
        self._positions: dict[int, int] = defaultdict(int)
        self._players = players
        self._step = timedelta(days=days) / rows
        self._rows = rows
        self._now = FIRST
        self._user = 1
        self._currency = "USD"

    def rows(self) -> Iterator[LedgerEvent]:
        """All of them."""
        made = 0
        while made < self._rows:
            self._user = self._draw.randrange(1, self._players)
            self._currency = CURRENCIES[self._user % 3]
            for row in self._scene(self._draw.choice(SCENES)):
                made += 1
                if made > self._rows:
                    return
                self._now += self._step
                yield row

    def _scene(self, name: str) -> Iterator[LedgerEvent]:
        amount, game = self._draw.randrange(1, 50_000), self._draw.choice(GAMES)
        provider, reference = self._draw.choice(PROVIDERS), f"{game}:{self._draw.getrandbits(32)}"
        match name:
            case "round":
                yield self._row(Kind.GAME_BET, amount, reference=reference)
                if self._draw.random() < 0.3:
                    yield self._row(Kind.GAME_PAYOUT, amount * self._draw.randrange(1, 6), reference=game)
            case "refused":
                kind = self._draw.choice([Kind.GAME_BET, Kind.WITHDRAWAL, Kind.DEPOSIT])
                yield self._row(kind, amount, reference=reference, reason=self._draw.choice(REASONS))
            case "deposit":
                yield self._row(Kind.DEPOSIT, amount, provider=provider)
            case "rollback":
                yield self._row(Kind.BET_ROLLBACK, amount, reference=reference)
                yield self._row(Kind.BET_ROLLBACK, 0, reference=game, reason=Reason.ORIGINAL_NOT_SEEN, refused=False)
                yield self._row(Kind.PAYOUT_ROLLBACK, amount // 2, reference=game)
            case "withdrawal":
                yield self._row(Kind.WITHDRAWAL, amount, provider=provider)
            case "hold":
                yield self._row(Kind.WITHDRAWAL_HOLD, amount, reference=reference)
                yield self._row(Kind.WITHDRAWAL_CAPTURE, amount // 2, reference=reference, provider=provider)
                yield self._row(Kind.WITHDRAWAL_RELEASE, amount - amount // 2, reference=reference)
            case "correction":
                yield from self._corrections(amount, provider)
            case "exclusion":
                yield self._row(Kind.EXCLUSION, 0, reference="TEMPORARY", currency=NO_CURRENCY)
            case "held payout":
                held = Entry(Account.REVENUE, Account.RESERVED)
                yield self._row(Kind.GAME_PAYOUT, amount * 5, reference=game, entry=held)
                yield self._row(Kind.PAYOUT_RELEASE, amount * 3, reference=game)

    def _corrections(self, amount: int, provider: str) -> Iterator[LedgerEvent]:
        kind = self._draw.choice(
            [Kind.REFUND, Kind.CHARGEBACK, Kind.ADJUSTMENT_CREDIT, Kind.ADJUSTMENT_DEBIT, Kind.DEPOSIT, Kind.WITHDRAWAL]
        )
        named = provider if Account.CLEARING in ENTRIES[kind] else None
        yield self._row(kind, amount, provider=named)
        entry = ENTRIES[kind]
        if self._draw.random() < 0.5:
            back = Entry(entry.credit, entry.debit)
            facts: dict[str, JsonValue] = {"reversed_kind": kind.value}
            yield self._row(Kind.REVERSAL, amount // 3 + 1, provider=named, entry=back, facts=facts)

    def _row(
        self,
        kind: Kind,
        amount: int,
        *,
        reference: str | None = None,
        provider: str | None = None,
        reason: Reason | None = None,
        refused: bool = True,
        currency: str | None = None,
        entry: Entry | None = None,
        facts: dict[str, JsonValue] | None = None,
    ) -> LedgerEvent:
        lane = lane_of(self._user, LANES)
        self._positions[lane] += 1
        debit, credit = entry or ENTRIES.get(kind, NO_ENTRY)
        number = self._draw.getrandbits(256)
        return LedgerEvent.model_construct(
            lane=lane,
            position=self._positions[lane],
            command_id=UUID(int=number >> 128),
            kind=kind,
            status=Status.REFUSED if reason and refused else Status.POSTED,
            reason=reason,
            user_id=self._user,
            amount_minor=amount,
            currency=currency or self._currency,
            debit=debit,
            credit=credit,
            provider=provider,
            reference_id=reference,
            round_id=None,
            stated_reason=None,
            actor=None,
            cash_minor=0,
            reserved_minor=0,
            facts=facts,
            occurred_at=self._now,
            created_at=self._now,
            key_id="k1",
            # No chain: what is summed up does not look at it.
            checksum=f"{number:064x}",
        )


async def write(database: Database, rows: Sequence[LedgerEvent]) -> None:
    """Put rows into the wallet's journal."""
    columns = [
        *("lane", "position", "id", "kind", "status", "reason", "user_id", "amount", "currency", "debit", "credit"),
        *("provider", "reference_id", "cash_after", "reserved_after", "facts", "occurred_at", "created_at"),
        *("key_id", "checksum"),
    ]
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        records = (
            (
                *(row.lane, row.position, row.command_id, str(row.kind), row.status.value, row.reason),
                *(row.user_id, row.amount_minor, row.currency, str(row.debit), str(row.credit), row.provider),
                *(row.reference_id, row.cash_minor, row.reserved_minor),
                orjson.dumps(row.facts).decode() if row.facts else None,
                *(row.occurred_at, row.created_at, row.key_id, bytes.fromhex(row.checksum)),
            )
            for row in rows
        )
        await connection.copy_records_to_table("transactions", schema_name="wallet", columns=columns, records=records)
    finally:
        await connection.close()


async def take(engine: AsyncEngine, apply: Apply, rows: Sequence[LedgerEvent], batch: int = 1000) -> None:
    """Have the service apply rows, in batches, in their order."""
    for start in range(0, len(rows), batch):
        async with databases.transaction(engine) as connection:
            await apply(connection, rows[start : start + batch])
