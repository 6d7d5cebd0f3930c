"""What the endpoints of payments do, each act in one transaction of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from payments_service.domain import closed_loop, payments, words
from payments_service.domain.availability import ANY, Switch
from payments_service.domain.closed_loop import Place, Source
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Attendant, Direction, Provider
from payments_service.domain.settlement import ExceptionKind
from payments_service.domain.states import OPEN, Event, State
from payments_service.domain.words import Word
from payments_service.repository import closed_loop as loop
from payments_service.repository import desk, effects, exceptions
from payments_service.repository import payments as kept
from shared import database, money
from shared.clock import Clock
from shared.contracts.payments import (
    AskedAvailability,
    AskedCancellation,
    AskedCompletion,
    AskedPayment,
    AskedRefund,
    AskedReview,
    CompletionOutcome,
    PaymentDetail,
    PaymentMove,
    PaymentView,
    PaymentWord,
    ReviewVerdict,
)
from shared.errors import CommandIdReused, FieldError, Forbidden, InvalidInput, NotFound

# So many parts of one request are moved on before it is answered; the loops do the rest.
AT_ONCE = 5
COMPLETION, REVIEW, REFUND = "completion", "review", "refund"
REFUNDABLE = frozenset({State.COMPLETED, State.REINSTATED})
OTHER_MONEY = frozenset({ExceptionKind.AMOUNT, ExceptionKind.CURRENCY})
MAX_EXCEPTIONS = 100


@dataclass(frozen=True, slots=True)
class PaymentDesk:
    """What the endpoints stand on. `reviewers` is how many of staff have to let a payment through."""

    engine: AsyncEngine
    providers: Mapping[str, Provider]
    attendant: Attendant
    clock: Clock
    completers: int
    reviewers: int

    async def begin(self, direction: Direction, asked: AskedPayment) -> Sequence[PaymentView]:
        """Keep a payment, split where it goes to several places, and move it on. The same request is the same payment.

        Raises InvalidInput, CommandIdReused.
        """
        provider = self.providers.get(asked.provider)
        if provider is None:
            raise InvalidInput([FieldError("provider", f"must be one of {', '.join(sorted(self.providers))}")])
        if asked.method not in provider.methods:
            raise InvalidInput([FieldError("method", f"must be one of {', '.join(sorted(provider.methods))}")])
        async with database.transaction(self.engine) as connection:
            await desk.lock_player(connection, asked.user_id)
            parts = await kept.group(connection, asked.payment_id)
            if not parts:
                parts = await self._parts(connection, direction, asked)
                for part in parts:
                    await kept.add(connection, part)
        _check_same(parts, direction, asked)
        await self._attend(parts)
        return await self.group(asked.payment_id)

    async def _attend(self, parts: Sequence[Payment]) -> None:
        await self.attendant.attend(*(part.id for part in parts[:AT_ONCE]))
        if len(parts) > AT_ONCE:
            self.attendant.wake()

    async def group(self, group_id: UUID) -> Sequence[PaymentView]:
        """Those of one request."""
        async with database.reading(self.engine) as connection:
            return [view(payment) for payment in await kept.group(connection, group_id)]

    async def detail(self, payment_id: UUID) -> PaymentDetail:
        """A payment with all that is known of it. Raises NotFound."""
        async with database.reading(self.engine) as connection:
            payment = await kept.find(connection, payment_id)
            if payment is None:
                raise NotFound(f"there is no payment {payment_id}")
            parts = await kept.group(connection, payment.group_id)
            refunds = await kept.refunds_of(connection, payment_id)
            moves = await kept.moves(connection, payment_id)
            said = await desk.said(connection, payment_id)
        return PaymentDetail(
            **dict(view(payment)),
            parts=[view(part) for part in parts],
            refunds=[view(refund) for refund in refunds],
            moves=[PaymentMove.model_validate(dict(row._mapping)) for row in moves],
            said=[PaymentWord.model_validate(dict(row._mapping)) for row in said],
        )

    async def complete(self, payment_id: UUID, asked: AskedCompletion) -> None:
        """Say what became of a payment in its provider's place; the last of those that are needed decides.

        Raises NotFound, Forbidden, InvalidInput. Said again of a payment that stands there already, it changes nothing.
        """
        said, now = asked.completion, self.clock()
        async with database.transaction(self.engine) as connection:
            payment = await self._locked(connection, payment_id)
            if payment.status.value == said.outcome.value:
                return
            if payment.status not in OPEN:
                raise InvalidInput([FieldError("outcome", f"cannot be said of a payment that is {payment.status}")])
            if said.outcome is CompletionOutcome.COMPLETED:
                await _check_money(connection, payment_id)
            same = await self._approve(
                connection, payment, COMPLETION, said.outcome.value, asked.actor, said.reason, said.evidence
            )
            if same >= self.completers:
                after = payments.happened(payment, Event(said.outcome.value), now, f"staff: {said.reason}"[:128])
                assert after is not None
                await effects.save(connection, payment, payments.in_hand(replace(after, news=False), now), now)
        await self.attendant.attend(payment_id)

    async def review(self, payment_id: UUID, asked: AskedReview) -> None:
        """Let a payment that waits for it go on, or not: with all of its withdrawal that waits for the same reason.

        A withdrawal that waits in the queue can be rejected. Raises NotFound, Forbidden, InvalidInput.
        """
        said, now = asked.review, self.clock()
        async with database.transaction(self.engine) as connection:
            payment = await kept.find(connection, payment_id)
            if payment is None:
                raise NotFound(f"there is no payment {payment_id}")
            await desk.lock_player(connection, payment.user_id)
            parts = [await self._locked(connection, part.id) for part in await kept.group(connection, payment.group_id)]
            reviewed = _reviewed(parts, payment_id, said.verdict)
            for count, part in enumerate(reviewed):
                same = await self._approve(connection, part, REVIEW, said.verdict.value, asked.actor, said.reason, None)
                after: Payment | None = None
                if said.verdict is ReviewVerdict.REJECT:
                    after = payments.happened(part, Event.CANCELLED, now, f"staff: {said.reason}"[:128])
                elif same >= self.reviewers:
                    after = payments.scheduled(replace(part, waits_for=None, cleared=True), now)
                if after is not None:
                    after = payments.in_hand(after, now) if count < AT_ONCE else after
                    await effects.save(connection, part, after, now)
        await self._attend(reviewed)

    async def cancel(self, payment_id: UUID, asked: AskedCancellation) -> None:
        """Give up a deposit that waits in the queue. Said again, it changes nothing.

        Raises NotFound, Forbidden for another player's, InvalidInput for what has begun.
        """
        async with database.transaction(self.engine) as connection:
            payment = await self._locked(connection, payment_id)
            if asked.own_user_id not in (None, payment.user_id):
                raise Forbidden("a player may cancel its own payments alone")
            if payment.status is State.CANCELLED:
                return
            now = self.clock()
            after = payments.given_up(payment, f"cancelled: {asked.cancellation.reason}"[:128], now)
            if after is None:
                raise InvalidInput([FieldError("payment_id", "is no deposit that waits in the queue")])
            await effects.save(connection, payment, after, now)

    async def refund(self, payment_id: UUID, asked: AskedRefund) -> Sequence[PaymentView]:
        """Send some of a deposit back, or all that is left. The same request is the same refund.

        Raises NotFound, InvalidInput, CommandIdReused.
        """
        async with database.transaction(self.engine) as connection:
            deposit = await self._locked(connection, payment_id)
            refunds = await kept.refunds_of(connection, payment_id)
            known = await kept.find(connection, asked.refund_id)
            if known is None:
                left, now = payments.left_of(deposit, refunds), self.clock()
                amount = _refundable(deposit, left, asked.refund.amount)
                refund = payments.in_hand(payments.refund_of(deposit, asked.refund_id, amount, now), now)
                words = f"staff: {asked.refund.reason}"[:128]
                await kept.add(connection, replace(refund, reason=words, requested_by=asked.actor))
                await self._record(connection, refund.id, REFUND, str(amount), asked.actor, asked.refund.reason)
            elif known.of_payment != payment_id:
                raise CommandIdReused("payment")
            elif asked.refund.amount is not None and known.amount_minor != _minor(asked.refund.amount, known.currency):
                raise CommandIdReused("amount")
        await self.attendant.attend(asked.refund_id)
        return await self.group(asked.refund_id)

    async def switch(self, asked: AskedAvailability) -> None:
        """Turn a switch. Turned on, what is queued is let go by itself. Raises InvalidInput."""
        said = asked.availability
        self._check_there(said.provider, said.method)
        switch = Switch(said.provider, said.direction, said.method, said.available)
        async with database.transaction(self.engine) as connection:
            await desk.switch(connection, switch, said.reason, asked.actor, self.clock())

    def _check_there(self, provider: str, method: str) -> None:
        """Raises InvalidInput where a switch names what there is none of: it would stop nothing."""
        if provider not in (ANY, *self.providers):
            raise InvalidInput([FieldError("provider", f"must be {ANY} or one of {', '.join(sorted(self.providers))}")])
        named = self.providers.values() if provider == ANY else [self.providers[provider]]
        methods = frozenset[str]().union(*(each.methods for each in named))
        if method not in (ANY, *methods):
            raise InvalidInput([FieldError("method", f"must be {ANY} or one of {', '.join(sorted(methods))}")])

    async def _parts(self, connection: AsyncConnection, direction: Direction, asked: AskedPayment) -> Sequence[Payment]:
        chosen = Place(asked.provider, asked.method, asked.instrument)
        whole = closed_loop.Part(chosen, asked.amount_minor, returned=False)
        parts: Sequence[closed_loop.Part] = (whole,)
        if direction is Direction.WITHDRAWAL:
            sources = await self._sources(connection, asked.user_id, asked.currency)
            parts = closed_loop.split(asked.amount_minor, sources, chosen)
            self._check_payable(parts, asked)
        now = self.clock()
        return [
            Payment(
                id=asked.payment_id if count == 0 else uuid5(asked.payment_id, str(count)),
                group_id=asked.payment_id,
                group_minor=asked.amount_minor,
                user_id=asked.user_id,
                direction=direction,
                provider=part.place.provider,
                method=part.place.method,
                amount_minor=part.amount_minor,
                currency=asked.currency,
                created_at=now,
                instrument=part.place.instrument,
                of_payment=part.deposit_id,
                requested_by=asked.actor,
                due_at=now + payments.IN_HAND if count < AT_ONCE else now,
            )
            for count, part in enumerate(parts)
        ]

    async def _sources(self, connection: AsyncConnection, user_id: int, currency: str) -> list[Source]:
        """Where a player's money can go back to, by the ways that its providers have."""
        deposits = await loop.deposits(connection, user_id, currency)
        found: list[Source] = []
        for source in await loop.sources(connection, user_id, currency):
            provider = self.providers.get(source.place.provider)
            if provider is None:
                continue
            if source.place.method in provider.refund_only:
                found += closed_loop.by_deposits(source, deposits.get(source.place, ()))
            else:
                found.append(source)
        return found

    def _check_payable(self, parts: Sequence[closed_loop.Part], asked: AskedPayment) -> None:
        """Raises InvalidInput where the rest of a withdrawal would go to where nothing can be sent."""
        rest = next((part for part in parts if not part.returned), None)
        if rest is None or self.providers[asked.provider].can_pay_out(asked.method, asked.instrument):
            return
        back = money.to_decimal(asked.amount_minor - rest.amount_minor, asked.currency)
        told = (
            f"cannot be paid out to; {back} {asked.currency} can go back to where it came from, the rest needs another"
        )
        raise InvalidInput([FieldError("instrument", told)])

    async def _approve(
        self,
        connection: AsyncConnection,
        payment: Payment,
        act: str,
        verdict: str,
        actor: str,
        reason: str,
        evidence: str | None,
    ) -> int:
        """Keep a word of staff, which replaces its speaker's earlier one; returns how many say the same now.

        What was said before the payment came to wait for what it waits for does not count. Raises Forbidden where it
        is not one's to say.
        """
        if actor == payment.requested_by:
            raise Forbidden("who asked for a payment does not decide on it")
        moves = await kept.moves(connection, payment.id)
        since = words.waiting_since([(row.at, row.waits_for) for row in moves])
        said = await desk.said(connection, payment.id)
        before = words.standing([Word(row.actor, row.verdict, row.at) for row in said if row.act == act], since)
        if before.get(actor) == verdict:
            raise Forbidden("a second person has to say the same; you have said it")
        await self._record(connection, payment.id, act, verdict, actor, reason, evidence)
        return list((before | {actor: verdict}).values()).count(verdict)

    async def _record(
        self,
        connection: AsyncConnection,
        payment_id: UUID,
        act: str,
        verdict: str,
        actor: str,
        reason: str,
        evidence: str | None = None,
    ) -> None:
        now = self.clock()
        await desk.approve(
            connection, payment_id, act, verdict=verdict, actor=actor, reason=reason, evidence=evidence, now=now
        )

    async def _locked(self, connection: AsyncConnection, payment_id: UUID) -> Payment:
        payment = await kept.lock(connection, payment_id)
        if payment is None:
            raise NotFound(f"there is no payment {payment_id}")
        return payment


def view(payment: Payment, number: int | None = None) -> PaymentView:
    """A payment as others may see it: without its instrument's token."""
    return PaymentView.model_validate(
        {name: getattr(payment, name) for name in PaymentView.model_fields if name != "number"} | {"number": number}
    )


def _reviewed(parts: Sequence[Payment], payment_id: UUID, verdict: ReviewVerdict) -> list[Payment]:
    """Those of one request that a review of one of them decides on. Raises InvalidInput where that does not wait."""
    one = next(part for part in parts if part.id == payment_id)
    if one.waits_for is Waits.REVIEW:
        return [part for part in parts if (part.waits_for, part.reason) == (Waits.REVIEW, one.reason)]
    if one.waits_for is not Waits.QUEUE or one.direction is not Direction.WITHDRAWAL:
        raise InvalidInput([FieldError("verdict", "is not asked for: the payment does not wait for review")])
    if verdict is not ReviewVerdict.REJECT:
        raise InvalidInput([FieldError("verdict", "must be reject: what waits in the queue goes on by itself")])
    return [part for part in parts if part.waits_for is Waits.QUEUE]


async def _check_money(connection: AsyncConnection, payment_id: UUID) -> None:
    """Raises InvalidInput where other money moved than was asked for, which is what a completion books."""
    found = await exceptions.page(
        connection, batch_id=None, payment_id=payment_id, only_open=True, before=None, limit=MAX_EXCEPTIONS
    )
    other = next((row for row in found if row.kind in OTHER_MONEY), None)
    if other is not None:
        told = f"would book {other.expected}, and {other.found} was told of: say failed, or close that exception first"
        raise InvalidInput([FieldError("outcome", f"{told} with what was done about it")])


def _refundable(deposit: Payment, left_minor: int, asked: str | None) -> int:
    """What goes back of a deposit, in minor units: what is asked for, else what is left. Raises InvalidInput."""
    if deposit.direction is not Direction.DEPOSIT or deposit.status not in REFUNDABLE:
        raise InvalidInput([FieldError("payment_id", "is no deposit that stands: there is nothing to give back")])
    if deposit.posted not in (Posted.CREDITED, Posted.REFUSED):
        raise InvalidInput([FieldError("payment_id", "is not in the ledger yet")])
    amount = left_minor if asked is None else _minor(asked, deposit.currency)
    if not 0 < amount <= left_minor:
        left = f"{money.to_decimal(left_minor, deposit.currency)} {deposit.currency}"
        raise InvalidInput([FieldError("amount", f"must be more than zero and at most what is left: {left}")])
    return amount


def _minor(amount: str, currency: str) -> int:
    try:
        return money.to_minor(amount, currency, zero=True)
    except ValueError as error:
        raise InvalidInput([FieldError("amount", str(error))]) from None


def _check_same(parts: Sequence[Payment], direction: Direction, asked: AskedPayment) -> None:
    first = parts[0]
    if first.group_minor != asked.amount_minor:
        raise CommandIdReused("amount")
    same: dict[str, object] = {"user_id": asked.user_id, "direction": direction, "currency": asked.currency}
    # Where a withdrawal was to go is not kept: its parts go back to where money came from first.
    if direction is Direction.DEPOSIT:
        same |= {"provider": asked.provider, "method": asked.method}
        # One that was asked for without an instrument has that which its provider told of.
        same |= {} if asked.instrument is None else {"instrument": asked.instrument}
    for name, value in same.items():
        if getattr(first, name) != value:
            raise CommandIdReused(name)
