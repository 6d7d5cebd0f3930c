"""Settlement: a day's payments of one provider and currency beside the ledger's rows and the provider's report."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from payments_service.domain import amounts
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import OVER
from payments_service.domain.ports import Direction
from payments_service.domain.states import State

# A report is due so long after the day's end, and is asked for again with growing pauses, an hour at first.
REPORT_AFTER = timedelta(hours=6)
RETRY_AFTER = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 24))
MAX_ATTEMPTS = 14
# What one side has on a day, the other may have on the next, or the one before: each goes by its own clock.
BESIDE = timedelta(days=1)
_NOT_YET = datetime.max.replace(tzinfo=UTC)


class BatchStatus(StrEnum):
    """How far a batch is. DELAYED: its report did not come, or not as one to settle with; it is retried by hand."""

    OPEN = "open"
    WAITING = "waiting"
    MATCHED = "matched"
    EXCEPTIONS = "exceptions"
    DELAYED = "delayed"


class ExceptionKind(StrEnum):
    """What does not agree. CONTRADICTION, OVERDUE, BLOCKED and STRANDED are of a payment by itself, not of a batch.

    STRANDED is a deposit that the wallet did not take, and whose provider did not take it back.
    """

    MISSING = "missing"
    EXTRA = "extra"
    AMOUNT = "amount"
    FEE = "fee"
    CURRENCY = "currency"
    LATE = "late"
    CONTRADICTION = "contradiction"
    OVERDUE = "overdue"
    BLOCKED = "blocked"
    STRANDED = "stranded"


class Side(StrEnum):
    """Who differs from our payments."""

    PROVIDER = "provider"
    LEDGER = "ledger"


class Movement(StrEnum):
    """A movement of money between us and a provider."""

    IN = "in"
    OUT = "out"
    BACK = "back"


class Line(NamedTuple):
    """A movement as one side has it. `day` is the one on which it counts there; None where that side knows none."""

    payment_id: UUID | None
    movement: Movement
    amount_minor: int
    currency: str
    fee_minor: int | None = None
    day: date | None = None
    reference: str | None = None


class Found(NamedTuple):
    """What does not agree, for staff: what our payments say, and what the other side says."""

    kind: ExceptionKind
    side: Side
    payment_id: UUID | None
    reference: str | None
    expected: str | None
    found: str | None


Key = tuple[UUID | str | None, Movement]


class Known(NamedTuple):
    """The payment that a line is about, which is the deposit where the line is a refund's; and its day with us."""

    payment_id: UUID
    currency: str
    day: date | None


class Moved(NamedTuple):
    """A payment that moved money, as its settlement needs it."""

    id: UUID
    provider: str
    requested_by: str
    created_at: datetime
    direction: Direction
    status: State
    posted: Posted
    amount_minor: int
    charged_back_minor: int | None
    currency: str
    fee_minor: int | None
    reference: str | None
    of_payment: UUID | None
    taken_by: UUID | None
    taken_at: datetime | None
    settled_at: datetime | None
    charged_back_at: datetime | None
    changed_at: datetime | None

    def at_provider(self) -> list[tuple[datetime | None, Movement, int]]:
        """When it moved how much at its provider, where a withdrawal may have gone as the refund of a deposit."""
        if self.of_payment is None:
            return self.in_ledger()
        came_back_at = self.changed_at if self.came_back() else None
        return [(self.settled_at, Movement.BACK, self.amount_minor), (came_back_at, Movement.BACK, -self.amount_minor)]

    def known_at(self) -> list[tuple[datetime | None, Movement, int]]:
        """When we knew of what its provider may have booked; of a refund that is under way, at the end of time.

        It books a refund when that is asked for, and takes it back where it fails; we know of the end alone.
        """
        if self.of_payment is None or self.reference is None or self.settled_at is not None:
            return self.at_provider()
        if self.status not in OVER:
            return [(_NOT_YET, Movement.BACK, self.amount_minor)]
        gone, back = self.amount_minor, -self.amount_minor
        return [(self.changed_at, Movement.BACK, gone), (self.changed_at, Movement.BACK, back)]

    def begun_on(self) -> date:
        """The first day on which it can have moved. What was begun at its provider, we heard of later."""
        return date.min if self.requested_by == self.provider else self.created_at.date()

    def in_ledger(self) -> list[tuple[datetime | None, Movement, int]]:
        """When it moved how much in the ledger: what goes back is about the payment that it undoes."""
        disputed = self.charged_back_minor or 0
        match self.direction:
            case Direction.REFUND:
                # Taken from the player before it goes out, and given back where it does not.
                taken_at = self.taken_at or (self.settled_at if self.status is State.COMPLETED else None)
                given_back_at = self.changed_at if self.taken_at is not None and self.status in OVER else None
                return [
                    (taken_at, Movement.BACK, self.amount_minor),
                    (given_back_at, Movement.BACK, -self.amount_minor),
                ]
            case Direction.DEPOSIT:
                won_at = self.changed_at if self.status is State.REINSTATED and self.charged_back_at else None
                return [
                    (self.settled_at, Movement.IN, self.amount_minor),
                    (self.charged_back_at, Movement.BACK, disputed),
                    (won_at, Movement.BACK, -disputed),
                ]
            case Direction.WITHDRAWAL:
                return [
                    (self.settled_at, Movement.OUT, self.amount_minor),
                    (self.changed_at if self.came_back() else None, Movement.BACK, self.amount_minor),
                ]

    def came_back(self) -> bool:
        """Whether a payout or a refund was paid and then was not."""
        return self.direction is not Direction.DEPOSIT and self.status in (State.REFUNDED, State.CHARGED_BACK)


def at_provider(moved: Sequence[Moved], day: date) -> list[Line]:
    """What our payments say that a provider moved on a day."""
    return [line for payment in moved for line in _lines(payment, payment.at_provider()) if line.day == day]


def compared(moved: Sequence[Moved], provider: Sequence[Line], day: date) -> tuple[list[Line], list[Moved]]:
    """What our payments say that a provider moved on a day, and those of them of which its report says nothing."""
    ours, theirs = at_provider(moved, day), {_about(line) for line in provider}
    lacking = {line.payment_id for line in ours if _about(line) not in theirs}
    return ours, [each for each in moved if (each.of_payment or each.id) in lacking]


def bookable(moved: Sequence[Moved], day: date) -> frozenset[tuple[Key, int]]:
    """What a provider may have booked on a day of what it moves: alone, or with all that we knew of on one day.

    It may have done so since a payment began, and until we knew: what equals that on a later day is something else.
    """
    by_day: dict[date, list[Line]] = {}
    for payment in moved:
        for line in _lines(payment, payment.known_at()):
            assert line.day is not None
            if payment.begun_on() <= day + BESIDE and day - BESIDE <= line.day:
                by_day.setdefault(line.day, []).append(line)
    each = [line for lines in by_day.values() for line in (*lines, *_by_key(lines).values())]
    return frozenset((_about(line), line.amount_minor) for line in each)


def in_ledger(moved: Sequence[Moved]) -> list[Line]:
    """What our payments say that the ledger moved. What the wallet refused moved nothing there, nor what undid it."""
    return [line for payment in moved if _is_in_ledger(payment) for line in _lines(payment, payment.in_ledger())]


def _lines(payment: Moved, movements: Sequence[tuple[datetime | None, Movement, int]]) -> list[Line]:
    return [
        Line(
            payment_id=payment.of_payment or payment.id,
            movement=movement,
            amount_minor=amount_minor,
            currency=payment.currency,
            fee_minor=None if movement is Movement.BACK else payment.fee_minor,
            day=moment.date(),
            reference=payment.reference,
        )
        for moment, movement, amount_minor in movements
        if moment is not None
    ]


def match_ledger(moved: Sequence[Moved], ledger: Sequence[Line], day: date) -> list[Found]:
    """What does not agree between our payments and the ledger on a day.

    `ledger` are its rows of that day and the two beside it: what it moved beside midnight counts with the day on which
    we did. What none of our payments moved, whenever, is extra: a deposit that staff reversed in the ledger is one.
    """
    lines = in_ledger(moved)
    mine = _by_key([line for line in lines if line.day == day])
    same_day = _by_key([row for row in ledger if row.day == day])
    on_other_days = {_about(line) for line in lines if line.day != day}
    moved_on = {(_about(line), line.day) for line in lines}

    def counts(row: Line) -> bool:
        about = _about(row)
        if row.day == day:
            return about in mine or about not in on_other_days
        agrees = about in mine and about in same_day and mine[about].amount_minor == same_day[about].amount_minor
        return about in mine and not agrees and (about, row.day) not in moved_on

    rows = [row._replace(day=None) for row in ledger if counts(row)]
    return match([line for line in lines if line.day == day], rows, Side.LEDGER, {}, day)


def _is_in_ledger(payment: Moved) -> bool:
    if payment.direction is Direction.WITHDRAWAL:
        return not payment.came_back() or payment.taken_by is not None
    # What came and was charged back before anybody saw it was never credited.
    came_and_went = payment.charged_back_at is not None and payment.posted is Posted.NOTHING
    return payment.posted is not Posted.REFUSED and not came_and_went


def match(
    ours: Sequence[Line],
    theirs: Sequence[Line],
    side: Side,
    days: Mapping[UUID, date | None],
    day: date,
    beside: Sequence[Line] = (),
    may_be: frozenset[tuple[Key, int]] = frozenset(),
) -> list[Found]:
    """What does not agree between our payments of a day and another side.

    `days` are those on which what is only on the other side counts with us: that is not missing here, but late there.
    `beside` is what the other side has of our payments on other days; where it is late, that day's batch says so.
    `may_be` is what of our payments may have gone back there on this day; what else went back is extra.
    """
    mine, other = _by_key(ours), _by_key(theirs)
    elsewhere = _by_key([line._replace(day=None) for line in beside])
    found: list[Found] = []
    for key, line in mine.items():
        there = other.get(key) or elsewhere.get(key)
        if there is None:
            found.append(Found(ExceptionKind.MISSING, side, line.payment_id, line.reference, _money(line), None))
        else:
            found += _differences(line, there, side)
    for key, line in other.items():
        if key in mine or line.amount_minor == 0:
            continue
        our_day = None if line.payment_id is None else days.get(line.payment_id)
        if line.movement is Movement.BACK and (key, line.amount_minor) in may_be:
            continue
        if our_day is None or line.movement is Movement.BACK:
            found.append(Found(ExceptionKind.EXTRA, side, line.payment_id, line.reference, None, _money(line)))
        elif our_day < day:
            found.append(_found(ExceptionKind.LATE, line, side, our_day.isoformat(), day.isoformat()))
    return found


def of_batch(lines: Sequence[Line], known: Mapping[UUID | str, Known], currency: str) -> list[Line]:
    """A report's lines by the payments that they are about, as far as they or their payments have a batch's currency.

    `known` is by payment and by the provider's reference: a chargeback has no other name.
    """
    found = []
    for line in lines:
        about = known.get(line.payment_id or line.reference or "") or known.get(line.reference or "")
        if about is not None:
            line = line._replace(payment_id=about.payment_id)
        if currency in (line.currency, about.currency if about else None):
            found.append(line)
    return found


def _about(line: Line) -> Key:
    return (line.payment_id or line.reference, line.movement)


def _differences(mine: Line, other: Line, side: Side) -> list[Found]:
    if mine.currency != other.currency:
        return [_found(ExceptionKind.CURRENCY, mine, side, mine.currency, other.currency)]
    found: list[Found] = []
    if mine.amount_minor != other.amount_minor:
        found.append(_found(ExceptionKind.AMOUNT, mine, side, _money(mine), _money(other)))
    fees = (mine.fee_minor, other.fee_minor)
    if None not in fees and mine.fee_minor != other.fee_minor:
        found.append(_found(ExceptionKind.FEE, mine, side, *(amounts.told(each, mine.currency) for each in fees)))
    if mine.day is not None and other.day is not None and other.day > mine.day:
        found.append(_found(ExceptionKind.LATE, mine, side, mine.day.isoformat(), other.day.isoformat()))
    return found


def _found(kind: ExceptionKind, line: Line, side: Side, expected: str, found: str) -> Found:
    return Found(kind, side, line.payment_id, line.reference, expected, found)


def _by_key(lines: Sequence[Line]) -> Mapping[Key, Line]:
    """Lines by what they are about. Several of one are one: a provider may split a movement over lines."""
    summed: dict[Key, Line] = {}
    for line in lines:
        key = _about(line)
        before = summed.get(key)
        if before is not None and before.currency == line.currency:
            fees = [fee for fee in (before.fee_minor, line.fee_minor) if fee is not None]
            line = line._replace(
                amount_minor=before.amount_minor + line.amount_minor, fee_minor=sum(fees) if fees else None
            )
        summed[key] = line
    return summed


def _money(line: Line) -> str:
    return amounts.told(line.amount_minor, line.currency)


def report_due(day_ends_at: datetime, attempts: int) -> datetime:
    """When a report is asked for, after so many questions that had no answer."""
    due = day_ends_at + REPORT_AFTER
    return due + sum((RETRY_AFTER[min(count, len(RETRY_AFTER) - 1)] for count in range(attempts)), start=timedelta())
