"""What the sandbox does with a request: it enters it in its books once, and says what will be told of it."""

import random
import secrets
from collections.abc import Callable, Sequence

from ops.sandbox import messages
from ops.sandbox.books import Books, Webhook
from ops.sandbox.models import Direction, Faults, Movement, Outcome, Payment, Request
from shared.errors import CommandIdReused, FieldError, InvalidInput, NotFound

# How instruments begin that say what becomes of a payment, whatever the faults are.
DECLINED, WAITING = "tok_declined", "tok_waiting"

_PREFIXES = {Direction.DEPOSIT: "pi", Direction.WITHDRAWAL: "tr", Direction.REFUND: "re"}
_DISPUTES = frozenset({(Outcome.COMPLETED, Outcome.CHARGED_BACK), (Outcome.CHARGED_BACK, Outcome.REINSTATED)})
_COMES_BACK = frozenset({(Outcome.COMPLETED, Outcome.FAILED)})
_OPPOSITE = {Outcome.COMPLETED: Outcome.FAILED, Outcome.FAILED: Outcome.COMPLETED}
# How long after the answer the first webhook goes out, and one after another.
_FIRST_S, _BETWEEN_S = 0.05, 0.01


class Desk:
    """Decides, with its own chance for each payment, so that a run with one seed can be had again."""

    def __init__(self, books: Books, clock: Callable[[], float]) -> None:
        self._books = books
        self._clock = clock

    def take(self, direction: Direction, request: Request) -> Payment:
        """Carry it out, once: asked again, it says how it stands. Raises CommandIdReused, InvalidInput, NotFound."""
        known = self._books.find(str(request.payment_id))
        if known is not None:
            self._same(known, direction, request)
            return known
        faults, now = self._books.faults(), self._clock()
        chance = self.chance(faults, str(request.payment_id))
        if direction is Direction.REFUND:
            self._check_refund(request)
        payment = Payment(
            payment_id=str(request.payment_id),
            direction=direction,
            user_id=request.user_id,
            amount_minor=request.amount_minor,
            currency=request.currency,
            method=request.method,
            instrument=request.instrument,
            of_reference=request.of_reference,
            reference=f"{_PREFIXES[direction]}_{secrets.token_hex(12)}",
            outcome=Outcome.PROCESSING,
            reason=None,
            fee_minor=request.amount_minor * 29 // 1000 if direction is Direction.DEPOSIT else 0,
            created_at=now,
        )
        told = messages.bodies(payment, now)
        instrument = request.instrument or ""
        if not instrument.startswith(WAITING):
            declined = instrument.startswith(DECLINED) or chance.random() < faults.decline
            payment = _settled(payment, Outcome.FAILED if declined else Outcome.COMPLETED)
            told += messages.bodies(payment, now)
        self._books.add(payment, self._webhooks(payment, told, faults, chance))
        return payment

    def settle(self, payment_id: str, outcome: Outcome) -> Payment:
        """Bring a payment to this end, by hand: what waits, a deposit that is charged back, or not after all, and a
        payout or refund that comes back.

        Raises NotFound, InvalidInput: a deposit of which something has gone back is not charged back here.
        """
        payment = self.find(payment_id)
        allowed = payment.outcome is Outcome.PROCESSING and outcome in (Outcome.COMPLETED, Outcome.FAILED)
        moves = (payment.outcome, outcome) in (_DISPUTES if payment.direction is Direction.DEPOSIT else _COMES_BACK)
        moves = moves and not self._books.refunded(payment.reference)
        if not allowed and not moves:
            raise InvalidInput([FieldError("outcome", f"cannot follow {payment.outcome}")])
        payment, faults, now = _settled(payment, outcome), self._books.faults(), self._clock()
        told = messages.bodies(payment, now)
        chance = self.chance(faults, f"{payment_id}-{outcome}")
        moved = Movement(payment, outcome is not Outcome.CHARGED_BACK, now) if moves else None
        self._books.settle(payment, self._webhooks(payment, told, faults, chance), moved)
        return payment

    def tell_again(self, payment_id: str) -> Payment:
        """Send what is told of how a payment stands once more, whatever the faults are. Raises NotFound."""
        payment, now = self.find(payment_id), self._clock()
        self._books.tell([Webhook(payment.by_paypal(), body, False, now) for body in messages.bodies(payment, now)])
        return payment

    def find(self, payment_id: str) -> Payment:
        """How a payment stands. Raises NotFound."""
        payment = self._books.find(payment_id)
        if payment is None:
            raise NotFound(f"no payment {payment_id} was ever asked for")
        return payment

    @staticmethod
    def chance(faults: Faults, name: str) -> random.Random:
        """The chance of one payment."""
        return random.Random(f"{faults.seed}-{name}")  # noqa: S311 - faults for tests, no secret

    def _webhooks(
        self, payment: Payment, told: Sequence[bytes], faults: Faults, chance: random.Random
    ) -> list[Webhook]:
        now, paypal = self._clock(), payment.by_paypal()
        times = [now + _FIRST_S + count * _BETWEEN_S + chance.random() * faults.delay_s for count in range(len(told))]
        if chance.random() < faults.reorder:
            times.reverse()
        sent = [
            Webhook(paypal, body, False, due_at)
            for body, due_at in zip(told, times, strict=True)
            if chance.random() >= faults.drop
        ]
        sent += [found._replace(due_at=found.due_at + 0.5) for found in sent if chance.random() < faults.repeat]
        if payment.outcome in _OPPOSITE:
            contrary = messages.bodies(payment._replace(outcome=_OPPOSITE[payment.outcome]), now)
            lies = ((True, faults.forge), (False, faults.contradict))
            sent += [
                Webhook(paypal, body, forged, now + chance.random() * (faults.delay_s + 1))
                for forged, probability in lies
                if chance.random() < probability
                for body in contrary
            ]
        return sent

    def _check_refund(self, request: Request) -> None:
        deposit = self._books.by_reference(request.of_reference or "")
        if deposit is None or deposit.direction is not Direction.DEPOSIT or deposit.outcome is not Outcome.COMPLETED:
            raise NotFound("of_reference is no deposit that was completed")
        if deposit.currency != request.currency:
            raise InvalidInput([FieldError("currency", "is not the deposit's")])
        if self._books.refunded(deposit.reference) + request.amount_minor > deposit.amount_minor:
            raise InvalidInput([FieldError("amount_minor", "is more than is left of the deposit")])

    @staticmethod
    def _same(known: Payment, direction: Direction, request: Request) -> None:
        if known.direction is not direction:
            raise CommandIdReused("direction")
        for field, value in request.model_dump(exclude={"payment_id"}).items():
            if getattr(known, field) != value:
                raise CommandIdReused(field)


def _settled(payment: Payment, outcome: Outcome) -> Payment:
    failed = "expired_or_canceled_card" if payment.direction is Direction.REFUND else "insufficient_funds"
    reason = {Outcome.FAILED: failed, Outcome.CHARGED_BACK: "fraudulent"}.get(outcome)
    return payment._replace(outcome=outcome, reason=reason)
