"""A payment, and what there is to do for it next."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import JsonValue

from payments_service.domain import ledger, states
from payments_service.domain.ledger import Booked, Posted, Step
from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderRequest
from payments_service.domain.states import Event, State
from shared.contracts import actors

# Whoever saves a payment goes on with it at once; what he leaves is taken by a loop after this.
IN_HAND = timedelta(seconds=10)
# A question that was not answered for good is asked again after a minute, and in the end once a day.
ASK_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 6 * 60, 24 * 60))
# Where there is news, the provider is about to know it itself. One that answers otherwise each time is believed.
NEWS_AFTER = tuple(timedelta(seconds=seconds) for seconds in (2, 10, 60, 600))
# What did not reach the provider goes out again, the same under the same key. A player who waits for a deposit is gone
# after a while, and must not be charged then.
SEND_WITHIN = {
    Direction.DEPOSIT: timedelta(minutes=15),
    Direction.WITHDRAWAL: timedelta(days=1),
    Direction.REFUND: timedelta(days=30),
}
# A deposit that its player was to go on with, and did not by then, is cancelled.
LEFT_AFTER = timedelta(days=1)
# After this, staff is shown a payment whose outcome is not known.
OVERDUE_AFTER = timedelta(days=1)

NEVER_ARRIVED = "NEVER_ARRIVED"
RETURN_OF_DEPOSIT = "return"
GONE_ELSEWHERE = "gone_elsewhere"


class Waits(StrEnum):
    """What a payment waits for that is not its provider: for payments to be available, or for staff.

    REVIEW: whether it may go out. COMPLETION: what became of it, for its provider told of other money than was asked.
    """

    QUEUE = "queue"
    REVIEW = "review"
    COMPLETION = "completion"


class Action(StrEnum):
    """What is to be done next."""

    BOOK = "book"
    CHECK = "check"
    SEND = "send"
    ASK = "ask"
    GIVE_BACK = "give_back"


@dataclass(frozen=True, slots=True)
class Payment:
    """One movement of money at one provider. Several of one withdrawal that is split share a group, and its hold.

    `cleared`: it was checked, or staff let it through. `news`: the provider said that something has happened, and is
    to be asked what. `asks` counts the questions since it was last sure. `taken_by` is the command that took the money
    from the player, at `taken_at`. `of_payment` is the deposit that a refund gives back, or as whose refund a
    withdrawal goes out. `refunded_minor` is what of a deposit has gone back by either. `sent_at`: when it first went to
    its provider, from here.
    """

    id: UUID
    group_id: UUID
    group_minor: int
    user_id: int
    direction: Direction
    provider: str
    method: str
    amount_minor: int
    currency: str
    created_at: datetime
    instrument: str | None = None
    last4: str | None = None
    status: State = State.CREATED
    posted: Posted = Posted.NOTHING
    waits_for: Waits | None = None
    cleared: bool = False
    news: bool = False
    reason: str | None = None
    reference: str | None = None
    of_payment: UUID | None = None
    given_back_by: UUID | None = None
    taken_by: UUID | None = None
    taken_at: datetime | None = None
    fee_minor: int | None = None
    refunded_minor: int = 0
    charged_back_minor: int | None = None
    charged_back_at: datetime | None = None
    action: dict[str, JsonValue] | None = field(default=None, hash=False)
    asks: int = 0
    due_at: datetime | None = None
    changed_at: datetime | None = None
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    batch_id: UUID | None = None
    requested_by: str = actors.PAYMENTS

    def booked(self) -> Booked:
        """As the wallet's commands need it."""
        return Booked(
            payment_id=self.id,
            group_id=self.group_id,
            group_minor=self.group_minor,
            user_id=self.user_id,
            provider=self.provider,
            amount_minor=self.amount_minor,
            currency=self.currency,
            created_at=self.created_at,
            taken_by=self.taken_by,
            charged_back_minor=self.charged_back_minor,
        )

    def request(self) -> ProviderRequest:
        """As the provider is asked for it."""
        return ProviderRequest(self.id, self.user_id, self.amount_minor, self.currency, self.method, self.instrument)

    @property
    def goes_as(self) -> Direction:
        """What it is to its provider: a withdrawal that goes back as a refund is one there."""
        return self.direction if self.of_payment is None else Direction.REFUND

    def step(self) -> Step | None:
        """The command that is due at the wallet."""
        return ledger.DUE.get((self.direction, self.status, self.posted))


def next_action(payment: Payment) -> Action | None:
    """What is to be done now, or None where it waits, or is at its end. Whether it is available is asked elsewhere."""
    if payment.waits_for is not None:
        return None
    if payment.status is State.CREATED and not payment.cleared and payment.direction is not Direction.WITHDRAWAL:
        return Action.CHECK
    if payment.step() is not None:
        return Action.BOOK
    if payment.status is State.CREATED:
        return Action.SEND if payment.cleared else Action.CHECK
    if _has_to_go_back(payment):
        return Action.GIVE_BACK
    return Action.ASK if payment.news or payment.status in states.OPEN else None


def leaves_next(payment: Payment) -> bool:
    """Whether what is next begins a payment, which the kill switch stops. That a refund is booked is no beginning."""
    is_booked_first = payment.direction is Direction.REFUND and payment.step() is not None
    return payment.status is State.CREATED and payment.waits_for is None and not is_booked_first


def _has_to_go_back(payment: Payment) -> bool:
    """Whether a deposit arrived that the wallet did not take."""
    arrived = payment.direction is Direction.DEPOSIT and payment.status is State.COMPLETED
    return arrived and payment.posted is Posted.REFUSED and payment.given_back_by is None


def happened(payment: Payment, event: Event, now: datetime, reason: str | None = None) -> Payment | None:
    """The payment after an event, or None where it is illegal. What is due is due now."""
    status = states.after(payment.status, event)
    if status is None:
        return None
    changed = status is not payment.status
    if status is State.CHARGED_BACK and payment.charged_back_at is None:
        left = payment.amount_minor - payment.refunded_minor
        disputed = payment.charged_back_minor or left or payment.amount_minor
        payment = replace(payment, charged_back_at=now, charged_back_minor=disputed)
    return scheduled(
        replace(
            payment,
            status=status,
            reason=reason or (None if changed else payment.reason),
            waits_for=None if changed else payment.waits_for,
            action=payment.action if status in states.OPEN else None,
            asks=0 if changed else payment.asks,
            changed_at=now if changed else payment.changed_at,
            sent_at=payment.sent_at or (now if event is Event.SEND else None),
            settled_at=payment.settled_at or (now if status in states.MOVED else None),
        ),
        now,
    )


def given_up(payment: Payment, reason: str, now: datetime) -> Payment | None:
    """A deposit that waits in the queue, once its player does not want it any more; None for any other payment."""
    if payment.direction is not Direction.DEPOSIT or payment.waits_for is not Waits.QUEUE:
        return None
    return happened(payment, Event.CANCELLED, now, reason)


def scheduled(payment: Payment, now: datetime) -> Payment:
    """The payment with the moment at which somebody has to look at it again."""
    action = next_action(payment)
    if action is None:
        return replace(payment, due_at=None)
    if action is not Action.ASK:
        return replace(payment, due_at=now)
    waits = NEWS_AFTER if payment.news and payment.asks <= len(NEWS_AFTER) else ASK_AFTER
    if payment.news and payment.asks == 0:
        return replace(payment, due_at=now)
    return replace(payment, due_at=now + waits[min(payment.asks, len(waits)) - 1 if payment.asks else 0])


def in_hand(payment: Payment, now: datetime) -> Payment:
    """The payment while whoever saves it goes on with what is due now: a loop beside him would do the same again."""
    is_due = payment.due_at is not None and payment.due_at <= now
    return replace(payment, due_at=now + IN_HAND) if is_due else payment


def answered(payment: Payment, answer: ProviderAnswer | None, now: datetime) -> Payment | None:
    """The payment after its provider was asked, or None where what it says is illegal.

    None as an answer: the provider never heard of it. Then it goes out again, while that is still wanted.
    """
    # What has ended and cannot be asked for by a name will never be.
    if answer is None or (answer == UNNAMED and (_was_never_shown(payment) or payment.status not in states.OPEN)):
        return _unheard_of(payment, now)
    event = states.said(answer.outcome)
    was_paid = payment.status in (State.COMPLETED, State.REFUNDED) and payment.direction is not Direction.DEPOSIT
    if event is Event.FAILED and was_paid:
        # What was paid and in the provider's books has failed has come back: a card may refuse a refund days later.
        event = Event.REFUNDED
    if event is Event.UNKNOWN and payment.status not in states.OPEN:
        # It stands where it stood. What there is news of is asked until there is an answer: it is not told again.
        return scheduled(replace(payment, asks=payment.asks + 1), now)
    return happened(
        replace(
            payment,
            reference=payment.reference or answer.reference,
            action=dict(answer.action) if answer.action is not None else payment.action,
            charged_back_minor=payment.charged_back_minor or answer.disputed_minor,
            asks=payment.asks + 1,
            news=payment.news and not _is_news(payment, event) and payment.asks + 1 <= len(NEWS_AFTER),
        ),
        event,
        now,
        answer.reason,
    )


def heard(payment: Payment, outcome: Outcome, now: datetime) -> Payment | None:
    """The payment after its provider said something by itself, or None where that is no news.

    What it says is not believed as it stands, signed as it is: it came late, or twice, or before what it follows.
    The provider is asked.
    """
    after = states.after(payment.status, states.said(outcome))
    lost_again = (payment.status, outcome) == (State.REINSTATED, Outcome.CHARGED_BACK)
    contradicts = after is None and (lost_again or outcome in (Outcome.FAILED, Outcome.CANCELLED))
    if after is payment.status or (after is None and not contradicts):
        return None
    return scheduled(replace(payment, news=True, asks=0), now)


def ignored(payment: Payment, now: datetime) -> Payment:
    """The payment after an answer that is illegal: asked again a few times, then left as it is."""
    asks = payment.asks + 1
    return scheduled(replace(payment, asks=asks, news=payment.news and asks <= len(NEWS_AFTER)), now)


def _is_news(payment: Payment, event: Event) -> bool:
    """Whether an answer tells more than is known: until then the provider's own books are behind its message."""
    return event is not Event.UNKNOWN and states.after(payment.status, event) is not payment.status


def _was_never_shown(payment: Payment) -> bool:
    """Whether a deposit needs its player, who was never told where: then nobody can have paid it."""
    return payment.direction is Direction.DEPOSIT and payment.instrument is None


def _unheard_of(payment: Payment, now: datetime) -> Payment | None:
    asked = replace(payment, asks=payment.asks + 1)
    if payment.status not in states.OPEN:
        return scheduled(replace(asked, news=False), now)
    if not goes_out_again(payment, now):
        return happened(asked, Event.FAILED, now, NEVER_ARRIVED)
    return scheduled(asked, now)


def goes_out_again(payment: Payment, now: datetime) -> bool:
    """Whether a payment that its provider never heard of, or cannot be asked for, is sent to it again."""
    sent_at = payment.sent_at or payment.created_at
    return payment.status in states.OPEN and now - sent_at < SEND_WITHIN[payment.direction]


def was_left(payment: Payment, answer: ProviderAnswer, now: datetime) -> bool:
    """Whether a deposit still waits, as its provider says, for a player who has not gone on with it."""
    waits = (payment.direction, answer.outcome) == (Direction.DEPOSIT, Outcome.PENDING)
    return waits and now - payment.created_at >= LEFT_AFTER


def is_on_its_way(payment: Payment) -> bool:
    """Whether a payment waits for nobody of staff, and something is to be done or to be known of it."""
    return next_action(payment) is not None


def is_overdue(payment: Payment, now: datetime) -> bool:
    """Whether staff has to know that a payment's outcome is not known, or that what is next for it is not done."""
    if next_action(payment) is Action.ASK and payment.status not in states.OPEN:
        # News of what ended long ago is as old as it was asked for in vain: with these pauses, more than a day.
        return payment.asks > len(ASK_AFTER)
    return is_on_its_way(payment) and now - (payment.changed_at or payment.created_at) >= OVERDUE_AFTER


def decided(payment: Payment, step: Step, *, granted: bool, reason: str | None, now: datetime) -> Payment:
    """The payment after the wallet decided on a step."""
    if granted:
        after = replace(payment, posted=ledger.AFTER[step])
        if step in ledger.TAKES:
            after = replace(after, taken_by=ledger.command_id(payment.booked(), step), taken_at=now)
        return scheduled(after, now)
    if payment.status is State.CREATED:
        refused = happened(replace(payment, posted=Posted.REFUSED), Event.REFUSE, now, reason)
        assert refused is not None
        return refused
    return scheduled(replace(payment, posted=ledger.AFTER_REFUSAL.get(step, Posted.BLOCKED), reason=reason), now)


def refund_of(deposit: Payment, refund_id: UUID, amount_minor: int, now: datetime) -> Payment:
    """A refund of some of a deposit, to where that came from."""
    return Payment(
        id=refund_id,
        group_id=refund_id,
        group_minor=amount_minor,
        user_id=deposit.user_id,
        direction=Direction.REFUND,
        provider=deposit.provider,
        method=deposit.method,
        amount_minor=amount_minor,
        currency=deposit.currency,
        created_at=now,
        instrument=deposit.instrument,
        last4=deposit.last4,
        # What the wallet did not take is not taken from the player either.
        posted=Posted.REFUSED if deposit.posted is Posted.REFUSED else Posted.NOTHING,
        cleared=True,
        of_payment=deposit.id,
        due_at=now,
    )


def return_of(deposit: Payment, amount_minor: int, now: datetime) -> Payment:
    """The refund of what is left of a deposit that arrived and that the wallet did not take."""
    refund = refund_of(deposit, uuid5(deposit.id, RETURN_OF_DEPOSIT), amount_minor, now)
    return replace(refund, reason=deposit.reason)


def begun_elsewhere(deposit: Payment, reference: str, amount_minor: int, now: datetime) -> Payment:
    """A refund that was begun at the provider itself: it is asked how that stands."""
    refund = refund_of(deposit, uuid5(deposit.id, reference), amount_minor, now)
    return replace(refund, status=State.PENDING, reference=reference, requested_by=deposit.provider)


def gone_elsewhere(deposit: Payment, refunds: Sequence[Payment], now: datetime) -> Payment | None:
    """The refund of all that is left of a deposit, which its provider says has gone back, and not how.

    None where our refunds of it are all that there is.
    """
    if (left_minor := left_of(deposit, refunds)) <= 0:
        return None
    refund = refund_of(deposit, uuid5(deposit.id, f"{GONE_ELSEWHERE}/{len(refunds)}"), left_minor, now)
    return replace(refund, status=State.COMPLETED, settled_at=now, requested_by=deposit.provider)


# What is so does not take any of the deposit that it is of.
OVER = (State.FAILED, State.CANCELLED, State.REFUNDED)


def left_of(deposit: Payment, refunds: Iterable[Payment]) -> int:
    """What of a deposit has not gone back and is not on its way, in minor units."""
    return deposit.amount_minor - sum(refund.amount_minor for refund in refunds if refund.status not in OVER)


def in_doubt(deposit: Payment, now: datetime) -> Payment | None:
    """A deposit that its provider said had gone back, once a refund of ours that counted for that did not go out.

    It is asked again: it may have gone back elsewhere, or not at all. None where nobody said so, or it all has gone.
    """
    if deposit.refunded_minor >= deposit.amount_minor:
        return None
    return happened(replace(deposit, news=True, asks=0), Event.CAME_BACK, now)


def after_refund(deposit: Payment, amount_minor: int, now: datetime, *, withdrawn: bool = False) -> Payment:
    """A deposit after some of it has gone back: refunded, where that is all of it, and the last was no withdrawal.

    A negative amount has come back to us.
    """
    refunded = replace(deposit, refunded_minor=deposit.refunded_minor + amount_minor)
    if amount_minor < 0:
        return happened(refunded, Event.CAME_BACK, now) or refunded
    if withdrawn or refunded.refunded_minor < deposit.amount_minor:
        return refunded
    return happened(refunded, Event.REFUNDED, now, deposit.reason) or refunded
