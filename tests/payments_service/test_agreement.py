"""Whatever is repeated, late, lost, out of order or contradicted, and wherever the service falls: in the end the
provider's books, the payments and the ledger agree to the minor unit, and nobody was credited or paid twice."""

import os
import random
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Direction, Outcome, ProviderAnswer, ProviderRequest
from payments_service.domain.states import OPEN, State
from payments_service.repository.closed_loop import sources
from shared import database as databases
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from tests.payments_service.fakes import Booking, Crashed, FakeProvider, ModelWallet
from tests.payments_service.support import Setup

PLAYERS = 8
SEEDS = int(os.environ.get("PAYMENTS_SEEDS", "4"))
PAYMENTS = int(os.environ.get("PAYMENTS_COUNT", "120"))


class CrashingProvider(FakeProvider):
    """The service falls before its call, or after it and before it heard of it."""

    crashes = 0.0

    async def _do(self, direction: Direction, request: ProviderRequest, of: UUID | None) -> ProviderAnswer:
        self._fall()
        answer = await super()._do(direction, request, of)
        self._fall()
        return answer

    def _fall(self) -> None:
        if self.mood.random() < self.crashes:
            raise Crashed


class CrashingWallet(ModelWallet):
    """The same at the wallet."""

    crashes = 0.0

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """As `Wallet.ask`."""
        event = await super().ask(command, within_s)
        if self.mood.random() < self.crashes:
            raise Crashed
        return event


class World:
    """One run: players who pay in and out, a provider in a bad mood, and a service that falls."""

    def __init__(self, setup: Setup, seed: int) -> None:
        self.setup = setup
        self.chance = random.Random(seed)
        self.provider = CrashingProvider(mood=random.Random(seed + 1), trouble=0.25, fails=0.2, at_once=0.4)
        self.wallet = CrashingWallet()
        self.wallet.mood, self.wallet.trouble = random.Random(seed + 2), 0.2
        self.provider.crashes = self.wallet.crashes = 0.08
        self.provider.unpaid, self.provider.refunds_fail = 0.2, 0.2
        self.provider.payouts_by_reference = self.chance.random() < 0.5
        self.crashes = 0
        setup.provider, setup.wallet = self.provider, self.wallet
        setup.worker = setup.worker_with()

    async def attend(self, payment_id: UUID) -> None:
        try:
            await self.setup.worker.attend(payment_id)
        except Crashed:
            self.crashes += 1
            self.setup.worker = self.setup.worker_with()

    async def look(self) -> None:
        # One at a time, as they are taken: a fall takes no other's step along.
        due = [each for each in await self.setup.all() if each.due_at is not None and each.due_at <= self.setup.now]
        self.chance.shuffle(due)
        for payment in due:
            await self.attend(payment.id)

    async def deliver(self, share: float) -> None:
        outgoing = self.provider.outgoing
        self.chance.shuffle(outgoing)
        now, self.provider.outgoing = outgoing[: int(len(outgoing) * share)], outgoing[int(len(outgoing) * share) :]
        for event in now:
            await self.setup.inbound.take("sandbox", [event])
        # Some are sent again long after they were taken.
        self.provider.outgoing += [event for event in now if self.chance.random() < 0.05]

    async def begin(self) -> None:
        user_id = self.chance.randint(1, PLAYERS)
        direction = self.chance.choice([Direction.DEPOSIT, Direction.DEPOSIT, Direction.WITHDRAWAL])
        instrument = f"tok_{self.chance.randint(1, 3)}"
        payment = self.setup.new(direction, self.chance.randint(1, 5000), user_id, instrument=instrument)
        await self.attend(await self.setup.add(payment))

    async def refund(self) -> None:
        """Staff sends some of a deposit back, or all that is left."""
        credited = [each for each in await self.setup.all() if each.posted is Posted.CREDITED]
        if not credited:
            return
        deposit = self.chance.choice(credited)
        amount = self.chance.choice([None, "0.01", "5.00"])
        asked = {"actor": "ann", "refund_id": str(uuid4()), "refund": {"amount": amount, "reason": "asked for"}}
        try:
            response = await self.setup.client().post(f"/payments/{deposit.id}/refund", json=asked)
            assert response.status_code in (200, 422), response.text
        except Crashed:
            self.crashes += 1
            self.setup.worker = self.setup.worker_with()

    def live(self) -> None:
        """What happens outside meanwhile."""
        if self.chance.random() < 0.1:
            self.wallet.excluded ^= {self.chance.randint(1, PLAYERS)}
        completed = [
            booking
            for booking in self.provider.books.values()
            if booking.direction is not Direction.REFUND and booking.outcome is Outcome.COMPLETED
        ]
        if completed and self.chance.random() < 0.1:
            booking = self.chance.choice(completed)
            if self._is_credited(booking.id):
                # Somebody else refunds what has no refund of ours: that all is gone is said of all of them.
                refunds = self.provider.refunds_of(booking.id)
                outcomes = [Outcome.CHARGED_BACK, *([] if refunds else [Outcome.REFUNDED])]
                self.provider.take_back(booking.id, self.chance.choice(outcomes))
        sent = [
            booking
            for booking in self.provider.books.values()
            if booking.of is not None and booking.outcome is Outcome.COMPLETED and self._is_credited(booking.of)
        ]
        if sent and self.chance.random() < 0.1:
            self.provider.take_back(self.chance.choice(sent).id, Outcome.FAILED)

    def _is_credited(self, deposit_id: UUID) -> bool:
        _, event = self.wallet.decided.get(uuid5(deposit_id, "credit"), (None, None))
        return event is not None and event.status is Status.POSTED

    async def calm(self) -> None:
        """Nothing goes wrong any more, and time goes by."""
        self.provider.trouble = self.provider.crashes = self.provider.refunds_fail = 0.0
        self.wallet.trouble = self.wallet.crashes = 0.0
        for hours in (0.1, 0.5, 2, 8, 25, 25, 25, 25):
            self.setup.now += timedelta(hours=hours)
            self.provider.settle_some()
            await self.deliver(1)
            await self.look()
            await self.look()
            await self.let_through()

    async def let_through(self) -> None:
        """Staff looks at what waits for it: a withdrawal beside a refund that is under way, and what nobody has."""
        client = self.setup.client()
        for found in (await client.get("/settlement-exceptions?limit=500")).json():
            if found["kind"] == "stranded":
                again = {"actor": "ann", "refund_id": str(uuid4()), "refund": {"amount": None, "reason": "again"}}
                tried = await client.post(f"/payments/{found['payment_id']}/refund", json=again)
                assert tried.json()[0]["status"] in ("pending", "processing", "completed")
        for payment in await self.setup.all():
            if payment.waits_for is Waits.REVIEW:
                assert payment.reason == "REFUND_UNDER_WAY"
                review = {"actor": "ann", "review": {"verdict": "approve", "reason": "another instrument"}}
                assert (await client.post(f"/payments/{payment.id}/review", json=review)).status_code == 200


def effect_at_provider(provider: FakeProvider, booking: Booking) -> int:
    """What a payment moved in the end, in minor units; what went back of a deposit counts with that."""
    if booking.direction is Direction.DEPOSIT:
        return provider.kept_minor(booking)
    paid_out = booking.direction is Direction.WITHDRAWAL and booking.outcome is Outcome.COMPLETED
    return -int(booking.request.amount_minor) if paid_out else 0


def effect_of_payment(payment: Payment) -> int:
    if payment.direction is Direction.DEPOSIT and payment.status in (State.COMPLETED, State.CHARGED_BACK):
        return payment.amount_minor - payment.refunded_minor - (payment.charged_back_minor or 0)
    paid_out = payment.direction is Direction.WITHDRAWAL and payment.status is State.COMPLETED
    return -payment.amount_minor if paid_out else 0


def effects_in_ledger(wallet: ModelWallet) -> Counter[int]:
    of_player: Counter[int] = Counter()
    signs = {Kind.DEPOSIT: 1, Kind.REVERSAL: 1, Kind.REFUND: -1, Kind.CHARGEBACK: -1, Kind.WITHDRAWAL_CAPTURE: -1}
    for command, event in wallet.decided.values():
        if event.status is Status.POSTED and command.kind in signs:
            of_player[command.user_id] += signs[command.kind] * command.amount_minor
    return of_player


async def instruments_agree(setup: Setup, world: World) -> None:
    """What the ledger says came from each instrument and has not gone back is what stands in the provider's books."""
    net: Counter[tuple[int, str | None]] = Counter()
    for booking in world.provider.books.values():
        net[booking.request.user_id, booking.request.instrument] += effect_at_provider(world.provider, booking)
    found: Counter[tuple[int, str | None]] = Counter()
    async with databases.reading(setup.engine) as connection:
        for user_id in range(1, PLAYERS + 1):
            for source in await sources(connection, user_id, "USD"):
                found[user_id, source.place.instrument] = source.net_minor
    assert found
    assert found == +net


@pytest.mark.integration
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
async def test_books_payments_and_ledger_agree_in_the_end(payments: Setup, seed: int) -> None:
    world = World(payments, seed * 1000)
    for _ in range(PAYMENTS):
        await world.begin()
        world.live()
        if world.chance.random() < 0.2:
            await world.refund()
        payments.now += timedelta(seconds=world.chance.choice([1, 5, 20, 70]))
        if world.chance.random() < 0.3:
            world.provider.settle_some()
        if world.chance.random() < 0.5:
            await world.deliver(world.chance.random())
        if world.chance.random() < 0.3:
            await world.look()
    # What somebody else takes back is told for certain here: a message that is lost is found by settlement.
    for booking in world.provider.books.values():
        came_back = booking.direction is Direction.REFUND and booking.outcome is Outcome.FAILED
        if came_back or booking.outcome in (Outcome.REFUNDED, Outcome.CHARGED_BACK):
            trouble, world.provider.trouble = world.provider.trouble, 0.0
            world.provider._tell(booking)
            world.provider.trouble = trouble
    await world.calm()
    assert world.crashes > 0

    found = {payment.id: payment for payment in await payments.all()}
    # Each player's sums agree on all three sides, and each payment with its own line in the books.
    books: Counter[int] = Counter()
    ours: Counter[int] = Counter()
    for booking in world.provider.books.values():
        effect = effect_at_provider(world.provider, booking)
        books[booking.request.user_id] += effect
        assert effect == effect_of_payment(found[booking.id]), found[booking.id]
    for payment in found.values():
        ours[payment.user_id] += effect_of_payment(payment)
        assert payment.id in world.provider.books or effect_of_payment(payment) == 0
    for user_id in range(1, PLAYERS + 1):
        assert books[user_id] == ours[user_id] == effects_in_ledger(world.wallet)[user_id]
    assert world.provider.net_minor() == world.wallet.clearing
    await instruments_agree(payments, world)
    # No money is held for what has ended, and nothing is stuck.
    assert all(reserved == 0 for reserved in world.wallet.reserved.values())
    assert [payment for payment in found.values() if payment.status in OPEN or payment.due_at is not None] == []
    assert [payment for payment in found.values() if payment.posted is Posted.BLOCKED] == []
