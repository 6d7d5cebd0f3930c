"""A provider that does everything wrong, and services that are killed wherever they are, the payments service, the
wallet and the provider's own: in the end the provider's books, our payments and the ledger agree to the minor unit, and
nobody was credited or paid twice.

PAYMENTS says how many payments there are. The pauses after which a provider is asked again are minutes, an hour, a day:
time goes by in here by what is due being brought forward in the tables.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid5

import httpx2
import pytest

from ops import proof
from ops.development_certificates import make
from ops.infrastructure import free_port
from ops.proof import Check, payments
from payments_service.handlers.providers.sandbox import SUBJECT
from shared import clock
from shared.broker import BrokerOptions
from tests.reliability.payments import AT_ONCE, INTERNAL, Door, Payers
from tests.reliability.support import Service, forget_members
from tests.support import Database, as_administrator

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

PAYMENTS = int(os.environ.get("PAYMENTS", "200"))
SEED = int(os.environ.get("PAYMENTS_SEED", "1"))
INSTANCES = 2
SANDBOX_TOKEN = "sandbox-" * 4
FAULTS = {
    "seed": SEED,
    "delay_s": 3,
    **dict.fromkeys(("repeat", "reorder", "drop"), 0.25),
    **dict.fromkeys(("forge", "contradict", "decline", "no_answer", "refuse"), 0.12),
}
SETTLED_WITHIN_S = 180.0
# How often a deposit is disputed, or refunded by staff, and something comes back, while time goes by.
DISPUTED, REFUNDED, COMES_BACK = 0.3, 0.5, 0.3
NEXT_IN_DISPUTE = {"completed": "charged_back", "charged_back": "reinstated"}
KILLS = max(1, PAYMENTS // 100)
WENT_WRONG_WITHIN_S = 300.0
OPEN = "('created', 'pending', 'processing', 'unknown')"
UNSETTLED = f"""SELECT id, direction, status, posted, due_at, news, asks, reason FROM payments.payments
    WHERE (due_at IS NOT NULL OR status IN {OPEN}) AND waits_for IS NULL LIMIT 10"""
NOT_BY_STAFF = "waits_for IS NULL AND id NOT IN (SELECT payment_id FROM payments.settlement_exceptions)"
# What has to have happened while everything went wrong.
HAPPENED = {
    "a payment that failed": "status = 'failed'",
    "a dispute": "status IN ('charged_back', 'reinstated')",
    "a refund by staff": "direction = 'refund' AND posted = 'taken_back'",
    "a return of what had gone out": "direction <> 'deposit' AND status = 'refunded' AND posted = 'released'",
    "a withdrawal that went as refund": "direction = 'withdrawal' AND of_payment IS NOT NULL AND status = 'completed'",
}
# Each payment moves its money once. The parts of a withdrawal are captured one by one from the hold that they share.
MOVED_TWICE = """SELECT reference_id, kind::text FROM wallet.transactions
    WHERE status = 'posted' AND provider = 'sandbox' AND kind <> 'WITHDRAWAL_CAPTURE'
    GROUP BY reference_id, kind HAVING count(*) > 1"""


HELD_IN_WALLET = "SELECT user_id, currency::text, reserved FROM wallet.accounts WHERE reserved <> 0 ORDER BY 1, 2"
WAITS_FOR_STAFF = """SELECT user_id, currency, sum(amount_minor)::bigint FROM payments.payments
    WHERE waits_for = 'review' AND posted = 'held' GROUP BY 1, 2 ORDER BY 1, 2"""


class World:
    """A provider, a wallet, and several instances of the payments service before one database."""

    def __init__(self, database: Database, kafka: BrokerOptions, service: Callable[..., Service], folder: Path) -> None:
        self.folder = folder
        self.database = database
        self.kafka = kafka
        self.draw = random.Random(SEED)
        self.door = Door()
        certificates = make(SUBJECT, clock.utc_now())
        port = free_port()
        shared = {
            "SANDBOX_URL": f"http://127.0.0.1:{port}",
            "SANDBOX_API_TOKEN": SANDBOX_TOKEN,
            "SANDBOX_WEBHOOK_SECRET": "whsec_of-the-tests-alone",
        }
        self.wallet = service()
        self.sandbox = service(
            "ops.sandbox",
            port,
            **shared,
            SANDBOX_FILE=str(folder / "sandbox.db"),
            SANDBOX_WEBHOOK_URL=self.door.url,
            SANDBOX_RETRY_S="0.2",
            SANDBOX_CERTIFICATE=certificates.certificate,
            SANDBOX_CERTIFICATE_KEY=certificates.key,
        )
        self.instances = [
            service(
                "payments_service",
                **shared,
                SANDBOX_AUTHORITY=certificates.authority,
                WALLET_SERVICE_URL=self.wallet.url,
                FRAUD_SERVICE_URL=self.door.url,
            )
            for _ in range(INSTANCES)
        ]
        self.door.instances = self.instances
        self.kills: Counter[str] = Counter()
        self.happened: set[str] = set()
        headers = {"Authorization": f"Bearer {SANDBOX_TOKEN}"}
        self.provider = httpx2.AsyncClient(base_url=self.sandbox.url, headers=headers, trust_env=False, timeout=30)

    async def start(self) -> None:
        """Everything, ready."""
        every = (self.wallet, self.sandbox, *self.instances)
        for each in every:
            each.start()
        for each in every:
            await each.until_ready()

    async def plan(self, faults: dict[str, Any]) -> None:
        """Say what goes wrong at the provider."""
        (await self.provider.put("/control/faults", json=faults)).raise_for_status()

    async def kill(self) -> None:
        """Until cancelled: kill somebody wherever he is, and start him again."""
        while True:
            await asyncio.sleep(self.draw.uniform(0.1, 2))
            falling = self._falling()
            for each in falling:
                each.kill()
                self.kills[each.name] += 1
            if self.wallet in falling:
                # Another wallet would wait for the dead one's session to end.
                await forget_members(self.kafka)
            for each in falling:
                each.start()
            for each in falling:
                await each.until_ready()

    async def until_enough_went_wrong(self, payers: Payers, beside: Sequence[asyncio.Task[None]]) -> None:
        """Go on for as long as something has not happened that has to: what comes when is for chance to say."""
        deadline = time.monotonic() + WENT_WRONG_WITHIN_S
        while missing := await self._missing():
            assert time.monotonic() < deadline, missing
            for task in beside:
                assert not task.done(), task.exception()
            await payers.pay(AT_ONCE)

    async def _missing(self) -> list[str]:
        """What has not happened yet. What did once counts: the only refund by staff may be what comes back."""
        for name, condition in HAPPENED.items():
            if name not in self.happened and await self.rows(
                f"SELECT FROM payments.payments WHERE {condition} LIMIT 1"
            ):
                self.happened.add(name)
        missing = [name for name in HAPPENED if name not in self.happened]
        missing += ["kills"] * (self.kills.total() < KILLS)
        return missing + ["a forged webhook"] * (not self.door.webhooks[401])

    def _falling(self) -> list[Service]:
        """Mostly one of the payments services, now and then all of them, the wallet or the provider, or everybody."""
        alone = [[each] for each in (*self.instances, *self.instances, self.wallet, self.sandbox)]
        return self.draw.choice([*alone, self.instances, [*self.instances, self.wallet, self.sandbox]])

    async def pass_time(self) -> None:
        """Until cancelled: what is due later is due now, at whoever has it; what the provider thinks about ends."""
        while True:
            await asyncio.sleep(0.5)
            await self.bring_forward()
            with suppress(httpx2.TransportError):
                # The provider may be down, too.
                await self.end_what_waits(0.5)
                if self.draw.random() < DISPUTED:
                    await self.dispute()
                if self.draw.random() < COMES_BACK:
                    await self.come_back()
            with suppress(httpx2.TransportError):
                if self.draw.random() < REFUNDED:
                    await self.refund()

    async def bring_forward(self) -> None:
        """Let the pauses be over."""
        await as_administrator(self.database, "UPDATE payments.payments SET due_at = now() WHERE due_at > now()")

    async def end_what_waits(self, share: float) -> None:
        """Have the provider decide on some of what it thinks about, either way."""
        for booked in (await self.provider.get("/books")).raise_for_status().json():
            if booked["outcome"] == "processing" and self.draw.random() < share:
                outcome = self.draw.choice(("completed", "completed", "failed"))
                path = f"/control/payments/{booked['payment_id']}"
                (await self.provider.post(path, json={"outcome": outcome})).raise_for_status()

    async def dispute(self) -> None:
        """Have one deposit charged back, or the dispute of one that was end well."""
        books = (await self.provider.get("/books")).raise_for_status().json()
        standing = [each for each in books if each["direction"] == "deposit" and each["outcome"] in NEXT_IN_DISPUTE]
        for booked in self.draw.sample(standing, len(standing)):
            outcome, path = NEXT_IN_DISPUTE[booked["outcome"]], f"/control/payments/{booked['payment_id']}"
            answer = await self.provider.post(path, json={"outcome": outcome})
            if answer.status_code == 200:
                return
            # Some of it has gone back.
            assert answer.status_code == 422, answer.text

    async def refund(self) -> None:
        """Staff gives back some of a deposit, at whichever instance answers."""
        credited = await self.rows("SELECT id FROM payments.payments WHERE posted = 'credited' ORDER BY number")
        if not credited:
            return
        (deposit_id,) = self.draw.choice(credited)
        refund_id = uuid5(deposit_id, str(self.draw.random()))
        refund = {"amount": self.draw.choice([None, "1"]), "reason": "asked for"}
        async with httpx2.AsyncClient(trust_env=False, headers=INTERNAL, timeout=30) as client:
            url = f"{self.draw.choice(self.instances).url}/payments/{deposit_id}/refund"
            body = {"actor": "ann", "refund_id": str(refund_id), "refund": refund}
            answer = await client.post(url, json=body)
        # Some of them are disputed, or have gone back.
        assert answer.status_code in (200, 422, 503), answer.text

    async def come_back(self) -> None:
        """Have a payout or a refund that was completed come back. PayPal tells of no refund that does."""
        books = (await self.provider.get("/books")).raise_for_status().json()
        told = [each for each in books if each["direction"] == "withdrawal" or each["method"] != "paypal"]
        gone = [each for each in told if each["direction"] != "deposit" and each["outcome"] == "completed"]
        if gone:
            path = f"/control/payments/{self.draw.choice(gone)['payment_id']}"
            (await self.provider.post(path, json={"outcome": "failed"})).raise_for_status()

    async def tell_of_what_came_later(self) -> None:
        """What was lost of it comes in the end: a payment that is completed is not asked after for ever."""
        for booked in (await self.provider.get("/books")).raise_for_status().json():
            came_back = booked["direction"] != "deposit" and booked["outcome"] == "failed"
            if came_back or booked["outcome"] in ("charged_back", "reinstated"):
                (await self.provider.post(f"/control/payments/{booked['payment_id']}/webhooks")).raise_for_status()

    async def until_settled(self) -> None:
        """Wait until the provider has nothing left to tell, and we nothing left to do."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while left := await self._left():
            assert time.monotonic() < deadline, left
            await asyncio.sleep(1)

    async def _left(self) -> list[Any]:
        await self.bring_forward()
        await self.end_what_waits(1)
        waiting = (await self.provider.get("/control/webhooks")).json()["waiting"]
        return [f"{waiting} webhooks"] * bool(waiting) + await self.rows(UNSETTLED)

    async def agreement(self) -> Check:
        """The three books beside each other."""
        books = payments.of_books((await self.provider.get("/books")).raise_for_status().json())
        async with proof.snapshot(self.database.dsn("payments_service"), "payments") as connection:
            ours = await payments.of_payments(connection, "sandbox")
            ahead = await payments.ahead(connection, "sandbox")
        async with proof.snapshot(self.database.dsn("wallet_service")) as connection:
            return payments.agreement(books, ours, await payments.of_ledger(connection, "sandbox"), ahead)

    async def evidence(self) -> str:
        """Where it now stands what each side has, for whoever has to find out why they do not agree."""
        books = (await self.provider.get("/books")).json()
        for name in ("payments.payments", "payments.payment_moves", "payments.payment_events", "wallet.transactions"):
            rows = await self.rows(f"SELECT to_jsonb(t) FROM {name} t")
            (self.folder / f"{name}.jsonl").write_text("".join(f"{row[0]}\n" for row in rows))
        (self.folder / "books.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in books))
        return f"all rows are in {self.folder}"

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        return [tuple(row) for row in await as_administrator(self.database, statement)]


async def test_books_payments_and_ledger_agree_whatever_goes_wrong(
    database: Database, kafka: BrokerOptions, service: Callable[..., Service], tmp_path: Path
) -> None:
    world = World(database, kafka, service, tmp_path)
    async with world.provider:
        await in_the_end_all_agree(world)


async def in_the_end_all_agree(world: World) -> None:
    """Payments while everything goes wrong, then calm, then the verdict."""
    with world.door.open():
        await world.start()
        await world.plan(FAULTS)
        payers = Payers(world.instances, SEED)
        beside = [asyncio.create_task(world.kill()), asyncio.create_task(world.pass_time())]
        try:
            await payers.pay(PAYMENTS)
            await world.until_enough_went_wrong(payers, beside)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        for each in (world.wallet, world.sandbox, *world.instances):
            if not each.alive():
                each.start()
            await each.until_ready()
        await world.plan({})
        await world.dispute()
        await world.tell_of_what_came_later()
        await world.until_settled()
        await verify(world, payers)


async def verify(world: World, payers: Payers) -> None:
    """What has to hold in the end."""
    check = await world.agreement()
    assert check.holds, (check.findings, await world.evidence())
    statuses = Counter(dict(await world.rows("SELECT status, count(*) FROM payments.payments GROUP BY status")))
    groups = {row[0] for row in await world.rows("SELECT group_id FROM payments.payments WHERE direction <> 'refund'")}
    assert groups == payers.asked
    assert await world.rows(MOVED_TWICE) == []
    # Nothing is held but for what waits for staff: where a provider took nothing back, it goes elsewhere after a look.
    assert await world.rows(HELD_IN_WALLET) == await world.rows(WAITS_FOR_STAFF)
    stuck = f"SELECT id, status FROM payments.payments WHERE (status IN {OPEN} OR posted = 'blocked')"
    assert await world.rows(f"{stuck} AND {NOT_BY_STAFF}") == []
    async with proof.snapshot(world.database.dsn("wallet_service")) as connection:
        for held in (
            await proof.conserved(connection),
            await proof.folded(connection),
            await proof.derived(connection),
        ):
            assert held.holds, held.findings
    heard = Counter(dict(await world.rows("SELECT became, count(*) FROM payments.payment_events GROUP BY became")))
    print(f"kills {dict(world.kills)}; payments {dict(statuses)}")
    print(f"webhooks {dict(world.door.webhooks)}; heard {dict(heard)}")
    assert statuses["completed"] > PAYMENTS / 10
    assert heard["news"] > 0
