"""A provider that keeps books and behaves badly, and a wallet that keeps the ledger's rules; both in this process."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID, uuid4

from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderEvent, ProviderRequest
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import ENTRIES, Account, Entry, Kind, Reason, Status
from shared.contracts.readings import Check
from shared.errors import ServiceUnavailable, Unauthenticated
from shared.testing import MOMENT


class Crashed(BaseException):
    """The process ends here: what was committed stays, what was not is gone."""


@dataclass
class Booking:
    """One payment in the provider's books."""

    id: UUID
    direction: Direction
    request: ProviderRequest
    outcome: Outcome
    of: UUID | None = None
    disputed_minor: int | None = None


@dataclass
class FakeProvider:
    """Does each request once, whatever is lost on its way back. `mood` decides what goes wrong."""

    name: str = "sandbox"
    methods: frozenset[str] = frozenset({"card", "bank"})
    refund_only: frozenset[str] = frozenset()
    # Where it can pay out: anywhere, where nothing is said.
    payable: frozenset[str | None] | None = None
    mood: random.Random = field(default_factory=lambda: random.Random(0))
    trouble: float = 0.0
    fails: float = 0.0
    refunds_fail: float = 0.0
    # The share of deposits that wait for their player, and not for the provider.
    unpaid: float = 0.0
    # Of the outcomes that come at once; the rest come with time.
    at_once: float = 1.0
    down: bool = False
    # It finds a payout by its own name for it alone, as PayPal does.
    payouts_by_reference: bool = False
    reports: dict[date, bytes] = field(default_factory=dict)
    books: dict[UUID, Booking] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    outgoing: list[ProviderEvent] = field(default_factory=list)
    # What happens elsewhere while a request is on its way, and while it looks something up.
    before: Callable[[], Awaitable[None]] | None = None
    while_looking: Callable[[], Awaitable[None]] | None = None
    now: datetime = MOMENT

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        return await self._do(Direction.DEPOSIT, request, None)

    def can_pay_out(self, method: str, instrument: str | None) -> bool:
        return self.payable is None or instrument in self.payable

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        return await self._do(Direction.WITHDRAWAL, request, None)

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        return await self._do(Direction.REFUND, request, UUID(of_reference.removeprefix("ref_")))

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        self.calls["look_up"] += 1
        self._maybe_unreachable()
        if self.mood.random() < self.trouble:
            return ProviderAnswer(Outcome.UNKNOWN, None, "no answer", None)
        if self.payouts_by_reference and (direction, reference) == (Direction.WITHDRAWAL, None):
            return UNNAMED
        if self.while_looking is not None:
            await self.while_looking()
        booking = self.books.get(payment_id)
        return None if booking is None else self._answer(booking)

    async def cancel(self, payment_id: UUID, reference: str) -> ProviderAnswer | None:
        self.calls["cancel"] += 1
        self._maybe_unreachable()
        booking = self.books[payment_id]
        assert reference == f"ref_{payment_id}"
        if booking.outcome is Outcome.PENDING:
            booking.outcome = Outcome.CANCELLED
            self._tell(booking)
        return self._answer(booking)

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        if headers.get("x-signed") != "yes":
            raise Unauthenticated("forged")
        return [event for event in self.outgoing if event.event_id in body.decode().split()]

    async def settlement_report(self, currency: str, day: date) -> bytes | None:
        return self.reports.get(day)

    def settle_some(self) -> None:
        """Time goes by: what is in processing comes to its end."""
        for booking in self.books.values():
            if booking.outcome in (Outcome.PENDING, Outcome.PROCESSING):
                self._end(booking)

    def take_back(self, payment_id: UUID, outcome: Outcome) -> None:
        """A completed payment is refunded or charged back by somebody else, or comes back."""
        booking = self.books[payment_id]
        booking.outcome = outcome
        if outcome is Outcome.CHARGED_BACK:
            booking.disputed_minor = booking.request.amount_minor - self.gone_minor(booking.id)
        if booking.of is not None and self.books[booking.of].outcome is Outcome.REFUNDED:
            self.books[booking.of].outcome = Outcome.COMPLETED
        self._tell(booking)

    def refunds_of(self, deposit_id: UUID) -> list[Booking]:
        """What goes, went or did not go back of a deposit by its refunds."""
        return [each for each in self.books.values() if each.of == deposit_id]

    def gone_minor(self, deposit_id: UUID) -> int:
        """How much of a deposit has gone back by its refunds."""
        back = [each for each in self.refunds_of(deposit_id) if each.outcome is Outcome.COMPLETED]
        return sum(each.request.amount_minor for each in back)

    def kept_minor(self, deposit: Booking) -> int:
        """What of a deposit is with us."""
        if deposit.outcome not in (Outcome.COMPLETED, Outcome.CHARGED_BACK):
            return 0
        disputed = (deposit.disputed_minor or 0) if deposit.outcome is Outcome.CHARGED_BACK else 0
        left: int = deposit.request.amount_minor - self.gone_minor(deposit.id) - disputed
        return left

    def net_minor(self) -> int:
        """What came in less what went out, by the provider's own books."""
        total = 0
        for booking in self.books.values():
            amount = booking.request.amount_minor
            if booking.direction is Direction.DEPOSIT:
                total += self.kept_minor(booking)
            if booking.direction is Direction.WITHDRAWAL and booking.outcome is Outcome.COMPLETED:
                total -= amount
        return total

    async def _do(self, direction: Direction, request: ProviderRequest, of: UUID | None) -> ProviderAnswer:
        self.calls[direction.value] += 1
        if self.before is not None:
            await self.before()
        self._maybe_unreachable()
        booking = self.books.get(request.payment_id)
        if booking is None and self.mood.random() < self.trouble / 2:
            return ProviderAnswer(Outcome.UNKNOWN, None, "lost on its way", None)
        if booking is None:
            waits = direction is Direction.DEPOSIT and self.mood.random() < self.unpaid
            booking = Booking(
                request.payment_id, direction, request, Outcome.PENDING if waits else Outcome.PROCESSING, of
            )
            self.books[booking.id] = booking
            if not waits and self.mood.random() < self.at_once:
                self._end(booking)
        assert booking.request == request, "the same key with another request"
        await asyncio.sleep(0)
        if self.mood.random() < self.trouble:
            return ProviderAnswer(Outcome.UNKNOWN, None, "the answer was lost", None)
        return self._answer(booking)

    def _maybe_unreachable(self) -> None:
        if self.down or self.mood.random() < self.trouble / 4:
            raise ServiceUnavailable("refused")

    def _end(self, booking: Booking) -> None:
        fails = self.refunds_fail if booking.direction is Direction.REFUND else self.fails
        if booking.of is not None and self.books[booking.of].outcome is not Outcome.COMPLETED:
            # What was charged back, or has all gone back, cannot go back again.
            fails = 1.0
        booking.outcome = Outcome.FAILED if self.mood.random() < fails else Outcome.COMPLETED
        if booking.of is not None and self._is_all_back(booking.of):
            self.books[booking.of].outcome = Outcome.REFUNDED
        self._tell(booking)
        if self.mood.random() < self.trouble:
            # It contradicts itself: signed as well, and not what stands in its books.
            lie = self.mood.choice([Outcome.FAILED, Outcome.COMPLETED, Outcome.CANCELLED, Outcome.PROCESSING])
            self._tell(booking, lie)

    def _is_all_back(self, deposit_id: UUID) -> bool:
        return self.gone_minor(deposit_id) == self.books[deposit_id].request.amount_minor

    def _tell(self, booking: Booking, outcome: Outcome | None = None) -> None:
        request = booking.request
        event = ProviderEvent(
            event_id=f"evt_{self.mood.getrandbits(64):016x}",
            payment_id=booking.id if self.mood.random() < 0.7 else None,
            reference=f"ref_{booking.id}",
            direction=booking.direction,
            outcome=outcome or booking.outcome,
            amount_minor=request.amount_minor,
            currency=request.currency,
            fee_minor=None,
            reason=None,
            instrument=request.instrument,
            last4="4242",
            occurred_at=self.now,
        )
        if self.mood.random() >= self.trouble:
            self.outgoing += [event] * (2 if self.mood.random() < self.trouble else 1)

    def _answer(self, booking: Booking) -> ProviderAnswer:
        return ProviderAnswer(booking.outcome, f"ref_{booking.id}", None, None, booking.disputed_minor)


class ModelWallet:
    """The ledger's rules for payments, over plain numbers: every command has one decision, whoever asks again."""

    def __init__(self) -> None:
        self.cash: Counter[int] = Counter()
        self.reserved: Counter[int] = Counter()
        self.clearing = 0
        self.holds: dict[str, int] = {}
        self.decided: dict[UUID, tuple[Command, LedgerEvent]] = {}
        self.excluded: set[int] = set()
        self.blocked: set[int] = set()
        self.refuses: dict[Kind, Reason] = {}
        self.mood = random.Random(0)
        self.trouble = 0.0
        self.away = False
        # When it decides, where that is not when it was asked for.
        self.now: datetime | None = None
        # It decides, and nobody hears of it.
        self.unheard = False
        self.before: Callable[[], Awaitable[None]] | None = None

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """As `Wallet.ask`."""
        if self.before is not None:
            await self.before()
        await asyncio.sleep(0)
        if self.away or self.mood.random() < self.trouble / 2:
            raise ServiceUnavailable("no wallet")
        if command.command_id in self.decided:
            first, event = self.decided[command.command_id]
            assert first == command, "the same id with another command"
        else:
            reason = self._refusal(command)
            entry = self._entry(command)
            if reason is None:
                self._post(command, entry)
            event = _event(command, reason, entry, len(self.decided) + 1, self.now or command.occurred_at)
            self.decided[command.command_id] = (command, event)
        return None if self.unheard or self.mood.random() < self.trouble else event

    async def check(self, command: Command) -> Check:
        """As `Wallet.check`."""
        if self.before is not None:
            await self.before()
        if self.away:
            raise ServiceUnavailable("no wallet")
        reason = self._refusal(command)
        return Check(
            status=Status.REFUSED if reason else Status.POSTED,
            reason=reason,
            amount_minor=command.amount_minor,
            currency=command.currency,
            credit=Account.CASH,
            cash_minor=self.cash[command.user_id],
            reserved_minor=self.reserved[command.user_id],
        )

    async def is_blocked(self, user_id: int) -> bool:
        """As `Wallet.is_blocked`."""
        if self.away:
            raise ServiceUnavailable("no wallet")
        return user_id in self.blocked

    def posted(self, kind: Kind) -> int:
        """How many rows of a kind were posted."""
        return sum(event.kind is kind and event.status is Status.POSTED for _, event in self.decided.values())

    def _refusal(self, command: Command) -> Reason | None:
        reference = command.reference_id or ""
        if command.kind in self.refuses:
            return self.refuses[command.kind]
        match command.kind:
            case Kind.DEPOSIT if command.user_id in self.excluded:
                return Reason.SELF_EXCLUDED
            case Kind.WITHDRAWAL_HOLD if self.cash[command.user_id] < command.amount_minor:
                return Reason.INSUFFICIENT_FUNDS
            case Kind.WITHDRAWAL_CAPTURE | Kind.WITHDRAWAL_RELEASE if (
                self.holds.get(reference, 0) < command.amount_minor
            ):
                return Reason.HOLD_EXCEEDED if reference in self.holds else Reason.HOLD_NOT_FOUND
        return None

    def _entry(self, command: Command) -> Entry:
        if command.kind is not Kind.REVERSAL:
            return ENTRIES[command.kind]
        debit, credit = ENTRIES[self.decided[UUID(command.reference_id or "")][0].kind]
        return Entry(credit, Account.CASH if debit is Account.RESERVED else debit)

    def _post(self, command: Command, entry: Entry) -> None:
        reference = command.reference_id or ""
        self._move(entry.debit, command.user_id, -command.amount_minor)
        self._move(entry.credit, command.user_id, command.amount_minor)
        match command.kind:
            case Kind.WITHDRAWAL_HOLD:
                self.holds[reference] = command.amount_minor
            case Kind.WITHDRAWAL_CAPTURE | Kind.WITHDRAWAL_RELEASE:
                self.holds[reference] -= command.amount_minor

    def _move(self, account: Account, user_id: int, amount_minor: int) -> None:
        match account:
            case Account.CASH:
                self.cash[user_id] += amount_minor
            case Account.RESERVED:
                self.reserved[user_id] += amount_minor
            case Account.CLEARING:
                # What it owes mirrors what the player has.
                self.clearing -= amount_minor


def _event(command: Command, reason: Reason | None, entry: Entry, position: int, decided_at: datetime) -> LedgerEvent:
    return LedgerEvent(
        lane=0,
        position=position,
        command_id=command.command_id,
        kind=command.kind,
        status=Status.REFUSED if reason else Status.POSTED,
        reason=reason,
        user_id=command.user_id,
        amount_minor=command.amount_minor,
        currency=command.currency,
        debit=entry.debit,
        credit=entry.credit,
        provider=command.provider,
        reference_id=command.reference_id,
        cash_minor=0,
        reserved_minor=0,
        occurred_at=command.occurred_at,
        created_at=decided_at,
        key_id="k1",
        checksum="ab" * 32,
    )


class Scores:
    """As `Risk`."""

    def __init__(self) -> None:
        self.risky: set[int] = set()
        self.away = False

    async def is_risky(self, user_id: int) -> bool:
        """As `Risk.is_risky`."""
        if self.away:
            raise ServiceUnavailable("no scores")
        return user_id in self.risky


def some_id() -> UUID:
    """An id that nothing else has."""
    return uuid4()
