"""Moves payments on: whatever is next for one, done at once when it was saved, and by a loop whatever was left.

Every instance looks; whoever takes a payment has it for a while. Two that do the same do no harm: the wallet knows a
step by its command's id, a provider knows a payment by its own. What is to be done is committed before it is done, no
other side is called inside a transaction, and what comes of it is applied to the payment as it stands then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from payments_service.domain import ledger, payments, states
from payments_service.domain.availability import is_available
from payments_service.domain.ledger import Posted, Step
from payments_service.domain.payments import Action, Payment, Waits, leaves_next, next_action
from payments_service.domain.ports import UNNAMED, Cancels, Direction, Outcome, Provider, ProviderAnswer, Risk, Wallet
from payments_service.domain.states import Event
from payments_service.repository import closed_loop, desk, effects, exceptions
from payments_service.repository import payments as kept
from shared import database, logs
from shared.clock import Clock
from shared.contracts.kinds import Reason, Status
from shared.errors import PermanentError, ServiceUnavailable, TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
# Of each provider: one that does not answer holds up none of another's.
AT_ONCE = 8
# Whoever takes a payment has this long until another does.
AGAIN_AFTER = timedelta(seconds=30)
# What is wrong with what a provider's client made of an answer.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, PermanentError)
WALLET_WITHIN_S = 5.0
PROVIDER_WITHIN_S = 20.0
# From created to its end a payment has fewer steps; what has more is not moved on for ever.
MAX_STEPS = 12

NOT_REACHED = ProviderAnswer(Outcome.UNKNOWN, None, "the provider could not be reached", None)
NO_ANSWER = ProviderAnswer(Outcome.UNKNOWN, None, "the provider did not answer in time", None)
NOT_READ = ProviderAnswer(Outcome.UNKNOWN, None, "the provider's answer could not be read", None)
NOT_AVAILABLE = ProviderAnswer(Outcome.UNKNOWN, None, "it did not arrive, and payments are switched off", None)


class PaymentWorker:
    """As `Attendant`; `run` is its loop."""

    def __init__(
        self,
        engine: AsyncEngine,
        providers: Mapping[str, Provider],
        *,
        wallet: Wallet,
        risk: Risk,
        review_from: Mapping[str, int],
        disabled: bool,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._wallet = wallet
        self._risk = risk
        self._review_from = review_from
        self._disabled = disabled
        self._clock = clock
        self._metrics = metrics
        # Those of a provider that is not set up here any more are the last one's.
        self._woken = {provider: asyncio.Event() for provider in (*providers, None)}

    async def run(self) -> None:
        """Until cancelled: move on what is due."""
        async with asyncio.TaskGroup() as loops:
            for provider in self._woken:
                loops.create_task(self._keep_looking(provider))

    async def _keep_looking(self, provider: str | None) -> None:
        woken = self._woken[provider]
        while True:
            try:
                while await self._look(provider) == AT_ONCE:
                    pass
            except TransientError as error:
                log.warning("payments_look_failed", code=error.code)
            woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await woken.wait()

    def wake(self) -> None:
        """As `Attendant.wake`."""
        for woken in self._woken.values():
            woken.set()

    async def look(self) -> int:
        """Move on some of what is due; returns how many there were. Raises DatabaseUnavailable."""
        return sum(await asyncio.gather(*(self._look(provider) for provider in self._woken)))

    async def _look(self, provider: str | None) -> int:
        async with database.transaction(self._engine) as connection:
            others = tuple(self._providers) if provider is None else ()
            taken = await kept.take_due(connection, self._clock(), AGAIN_AFTER, AT_ONCE, of=provider, none_of=others)
        await asyncio.gather(*(self._attend_due(payment_id) for payment_id in taken))
        return len(taken)

    async def _attend_due(self, payment_id: UUID) -> None:
        for step in (self.attend, self._show_overdue):
            try:
                await step(payment_id)
            except TransientError as error:
                log.warning("payment_waits", payment_id=str(payment_id), code=error.code)
            except Exception:
                # It stays due, and is shown to staff when it is overdue; all others go on.
                log.exception("payment_not_moved_on", payment_id=str(payment_id))

    async def _show_overdue(self, payment_id: UUID) -> None:
        """Show staff what is tried again and again, in vain."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            payment = await kept.lock(connection, payment_id)
            if payment is not None and payments.is_overdue(payment, now):
                await effects.overdue(connection, payment, now)

    async def attend(self, *payment_ids: UUID) -> None:
        """As `Attendant.attend`."""
        for payment_id in payment_ids:
            await self._move_on(payment_id)

    async def _move_on(self, payment_id: UUID) -> None:
        try:
            for _ in range(MAX_STEPS):
                if not await self._advance(payment_id):
                    return
        except TransientError as error:
            # It stays due; nobody else's waits for it.
            log.warning("payment_waits", payment_id=str(payment_id), code=error.code)

    async def _advance(self, payment_id: UUID) -> bool:
        """Do one thing for a payment; returns whether there may be more to do at once."""
        async with database.reading(self._engine) as connection:
            payment = await kept.find(connection, payment_id)
            if payment is None:
                return False
            switches = await desk.switches(connection)
        now = self._clock()
        action = next_action(payment)
        place = (payment.provider, payment.direction, payment.method)
        available = is_available(switches, *place, disabled=self._disabled)
        if action is not None and leaves_next(payment) and not available:
            await self._change(payment_id, _queued)
            return False
        match action:
            case Action.BOOK:
                return await self._book(payment)
            case Action.CHECK:
                return await self._check(payment)
            case Action.SEND:
                return await self._send(payment)
            case Action.GIVE_BACK:
                return await self._give_back(payment)
            case Action.ASK if payment.news or (payment.due_at is not None and payment.due_at <= now + AGAIN_AFTER):
                return await self._ask(payment, available=available)
        return False

    async def _book(self, payment: Payment) -> bool:
        step = payment.step()
        assert step is not None
        if payment.direction is Direction.REFUND and not await self._is_credited(payment):
            return False
        decision = await self._wallet.ask(ledger.command(payment.booked(), step), WALLET_WITHIN_S)
        if decision is None:
            return False
        granted = decision.status is Status.POSTED
        reason = None if granted else str(decision.reason)
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            before = await kept.lock(connection, payment.id)
            if before is None or before.step() is not step:
                return True
            decided = payments.decided(before, step, granted=granted, reason=reason, now=now)
            after = payments.in_hand(decided, now)
            await effects.save(connection, before, after, now)
            await effects.decided(connection, after, step, decision, now)
        if not granted:
            log.info("payment_step_refused", payment_id=str(payment.id), step=step.value, reason=reason)
        return True

    async def _is_credited(self, payment: Payment) -> bool:
        """Whether a refund takes from the player what its deposit brought: not before, and not what was never taken."""
        now = self._clock()
        assert payment.of_payment is not None
        async with database.transaction(self._engine) as connection:
            refund, deposit = await kept.lock(connection, payment.id), await kept.find(connection, payment.of_payment)
            assert refund is not None
            assert deposit is not None
            if deposit.posted is Posted.REFUSED and refund.posted is Posted.NOTHING:
                never_taken = payments.scheduled(replace(refund, posted=Posted.REFUSED), now)
                await kept.save(connection, refund, never_taken, now)
        return deposit.posted not in (Posted.NOTHING, Posted.REFUSED)

    async def _check(self, payment: Payment) -> bool:
        """What is asked before money may leave, again when it was queued."""
        if payment.direction is Direction.DEPOSIT:
            # The same command as when the money arrives, and nothing comes of it now.
            check = await self._wallet.check(ledger.command(payment.booked(), Step.CREDIT))
            if check.status is not Status.POSTED:
                reason = str(check.reason)
                return await self._happened(payment.id, Event.REFUSE, reason)
            return await self._change(payment.id, _cleared)
        if payment.direction is Direction.WITHDRAWAL:
            largest = self._review_from.get(payment.currency)
            if largest is not None and payment.group_minor >= largest:
                return await self._change(payment.id, lambda before: _to_review(before, "LARGE"))
            why = await self._why_back(payment) or await self._risk_of(payment.user_id)
            if why is not None:
                return await self._change(payment.id, lambda before: _to_review(before, why))
        return await self._change(payment.id, _cleared)

    async def _why_back(self, payment: Payment) -> str | None:
        """Why somebody has to look at a withdrawal for what goes back, or would not, to where it came from; or None."""
        async with database.reading(self._engine) as connection:
            if await closed_loop.is_being_refunded(connection, payment.user_id, payment.currency):
                return "REFUND_UNDER_WAY"
            if payment.of_payment is not None:
                return None
            places = await closed_loop.deposits(connection, payment.user_id, payment.currency)
        refused = any(deposit.refused for deposits in places.values() for deposit in deposits)
        return "NOT_TAKEN_BACK" if refused else None

    async def _risk_of(self, user_id: int) -> str | None:
        """Why somebody has to look before money leaves to a player, or None. What is not known is looked at."""
        if await self._wallet.is_blocked(user_id):
            # Since its hold, which the wallet would refuse now: it was looked at meanwhile, or queued.
            return Reason.FRAUD_BLOCKED.value
        try:
            return "RISKY" if await self._risk.is_risky(user_id) else None
        except ServiceUnavailable as error:
            log.warning("fraud_score_unknown", code=error.code)
            return "FRAUD_SCORE_UNKNOWN"

    async def _send(self, payment: Payment) -> bool:
        if not await self._happened(payment.id, Event.SEND):
            return False
        return await self._go_out(payment)

    async def _go_out(self, payment: Payment) -> bool:
        of_reference = await self._of_reference(payment)
        answer = await self._heard(payment, lambda provider: _begin(provider, payment, of_reference))
        return await self._answered(payment.id, answer)

    async def _of_reference(self, payment: Payment) -> str | None:
        """The provider's name for the deposit that a payment is a refund of there."""
        if payment.of_payment is None:
            return None
        async with database.reading(self._engine) as connection:
            deposit = await kept.find(connection, payment.of_payment)
        return None if deposit is None else deposit.reference

    async def _heard(
        self, payment: Payment, ask: Callable[[Provider], Awaitable[ProviderAnswer | None]]
    ) -> ProviderAnswer | None:
        """What a payment's provider answers, or why it is not known. The next look finds whether it was done."""
        provider = self._providers.get(payment.provider)
        if provider is None:
            return NOT_REACHED
        try:
            async with asyncio.timeout(PROVIDER_WITHIN_S):
                return await ask(provider)
        except ServiceUnavailable:
            return NOT_REACHED
        except TimeoutError:
            return NO_ANSWER
        except UNREADABLE:
            log.exception("provider_not_understood", payment_id=str(payment.id), provider=payment.provider)
            return NOT_READ

    async def _ask(self, payment: Payment, *, available: bool) -> bool:
        of_reference = await self._of_reference(payment)
        answer = await self._heard(payment, lambda provider: self._stands_at(provider, payment, of_reference))
        if answer in (None, UNNAMED) and payments.goes_out_again(payment, self._clock()):
            if available:
                return await self._go_out(payment)
            # Sent again it would begin there now.
            answer = NOT_AVAILABLE
        return await self._answered(payment.id, answer)

    async def _stands_at(self, provider: Provider, payment: Payment, of_reference: str | None) -> ProviderAnswer | None:
        """How a payment stands with its provider, which cancels a deposit that its player has left."""
        answer = await provider.look_up(payment.goes_as, payment.id, payment.reference, of_reference)
        if answer is None or answer.reference is None or not isinstance(provider, Cancels):
            return answer
        if not payments.was_left(payment, answer, self._clock()):
            return answer
        return await provider.cancel(payment.id, answer.reference)

    async def _answered(self, payment_id: UUID, answer: ProviderAnswer | None) -> bool:
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            before = await kept.lock(connection, payment_id)
            if before is None:
                return False
            if before.step() is not None:
                # Somebody was ahead. The wallet may have done what is due there: first that is known, then it is asked.
                await kept.save(connection, before, payments.in_hand(replace(before, news=True, asks=0), now), now)
                return True
            after = payments.answered(before, answer, now)
            if after is None:
                assert answer is not None
                after = payments.ignored(before, now)
                await kept.note(connection, before, answer.outcome.value, now)
                await exceptions.open_for(connection, effects.contradiction(before, answer.outcome), now)
            if answer is None and before.status in states.MOVED and before.reference is not None:
                found = effects.contradiction(before, "the provider does not know it")
                await exceptions.open_for(connection, found, now)
            goes_on = after.status is not before.status
            await self._save(connection, before, payments.in_hand(after, now) if goes_on else after)
        return goes_on

    async def _give_back(self, payment: Payment) -> bool:
        """A deposit that the wallet did not take goes back to where it came from."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            before = await kept.lock(connection, payment.id)
            if before is None or next_action(before) is not Action.GIVE_BACK:
                return True
            refunds = await kept.refunds_of(connection, before.id)
            left = payments.left_of(before, refunds)
            refund = payments.return_of(before, left, now) if left > 0 else refunds[-1]
            await kept.add(connection, payments.in_hand(refund, now))
            after = payments.scheduled(replace(before, given_back_by=refund.id), now)
            await effects.save(connection, before, after, now)
        await self.attend(refund.id)
        return True

    async def _happened(self, payment_id: UUID, event: Event, reason: str | None = None) -> bool:
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            before = await kept.lock(connection, payment_id)
            after = None if before is None else payments.happened(before, event, now, reason)
            if before is None or after is None:
                return False
            if event is Event.SEND:
                # Whoever falls here leaves it to be asked after, which finds whether it went out.
                after = replace(after, due_at=now + AGAIN_AFTER)
            await self._save(connection, before, after)
        return True

    async def _change(self, payment_id: UUID, change: Callable[[Payment], Payment]) -> bool:
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            before = await kept.lock(connection, payment_id)
            if before is None or before.status is not states.State.CREATED or before.waits_for is not None:
                return True
            after = payments.in_hand(payments.scheduled(change(before), now), now)
            await effects.save(connection, before, after, now)
        return True

    async def _save(self, connection: AsyncConnection, before: Payment, after: Payment) -> None:
        await effects.save(connection, before, after, self._clock())
        if after.status is not before.status:
            # A refusal by the rules is no failure.
            refused = before.status is states.State.CREATED and after.status is states.State.FAILED
            status = "refused" if refused else after.status.value
            self._metrics.payments.labels(after.direction.value, after.provider, status).inc()


async def _begin(provider: Provider, payment: Payment, of_reference: str | None) -> ProviderAnswer:
    match payment.goes_as:
        case Direction.DEPOSIT:
            return await provider.deposit(payment.request())
        case Direction.WITHDRAWAL:
            return await provider.pay_out(payment.request())
        case Direction.REFUND:
            return await provider.refund(payment.request(), of_reference or "")


def _queued(payment: Payment) -> Payment:
    # It is checked again when it is released.
    return replace(payment, waits_for=Waits.QUEUE, cleared=False)


def _to_review(payment: Payment, why: str) -> Payment:
    return replace(payment, waits_for=Waits.REVIEW, reason=why)


def _cleared(payment: Payment) -> Payment:
    return replace(payment, cleared=True)
