"""Payments around a database, in this process."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from payments_service.domain.payments import Payment
from payments_service.domain.ports import Direction
from payments_service.endpoints import payments as payment_endpoints
from payments_service.endpoints import settlement as settlement_endpoints
from payments_service.endpoints.desk import PaymentDesk
from payments_service.handlers.queue import Queue
from payments_service.handlers.settlement import Settlement
from payments_service.handlers.webhooks import EventsTaken
from payments_service.handlers.worker import PaymentWorker
from payments_service.repository import ledger
from payments_service.repository import payments as kept
from payments_service.settings import Settings
from shared import database as databases
from shared import problems
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.service import Envelope
from shared.telemetry import Metrics
from shared.testing import MOMENT
from tests.payments_service.fakes import FakeProvider, ModelWallet, Scores, some_id
from tests.support import TOKEN, Database, as_administrator


class Setup:
    """The service's payments around a database, in this process."""

    def __init__(self, database: Database, engine: AsyncEngine) -> None:
        self.database = database
        self.engine = engine
        self.now = MOMENT
        self.provider = FakeProvider()
        self.wallet = ModelWallet()
        self.scores = Scores()
        self.metrics = Metrics()
        self.review_from: dict[str, int] = {"USD": 100_000}
        self.worker = self.worker_with()
        self.settings = Settings.load(
            kafka_bootstrap_servers="127.0.0.1:1",
            internal_api_token=TOKEN,
            payments_database_url=database.dsn("payments_service"),
            wallet_service_url="http://127.0.0.1:1",
            fraud_service_url="http://127.0.0.1:1",
        )
        self.inbound = EventsTaken(engine, lambda: self.now)

    def client(self, *, reviewers: int = 1) -> httpx2.AsyncClient:
        """What the other services see of it."""
        providers = {"sandbox": self.provider}
        desk = PaymentDesk(self.engine, providers, self.worker, lambda: self.now, completers=2, reviewers=reviewers)
        settlement = Settlement(self.engine, providers, lambda: self.now)
        app = FastAPI()
        problems.install(app)
        app.add_middleware(Envelope, metrics=self.metrics)
        app.include_router(payment_endpoints.router(self.settings, desk))
        app.include_router(payment_endpoints.acts(self.settings, desk))
        app.include_router(
            payment_endpoints.webhooks(
                self.settings, providers, self.inbound, self.worker, self.metrics, lambda: self.now
            )
        )
        app.include_router(settlement_endpoints.router(self.settings, self.engine, settlement, lambda: self.now))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service", headers=headers)

    def worker_with(self, *, disabled: bool = False) -> PaymentWorker:
        return PaymentWorker(
            self.engine,
            {"sandbox": self.provider},
            wallet=self.wallet,
            risk=self.scores,
            review_from=self.review_from,
            disabled=disabled,
            clock=lambda: self.now,
            metrics=self.metrics,
        )

    def queue_with(self, *, disabled: bool = False, release_per_s: int = 5) -> Queue:
        return Queue(
            self.engine,
            self.worker,
            disabled=disabled,
            release_per_s=release_per_s,
            window_s=3600,
            clock=lambda: self.now,
            metrics=self.metrics,
        )

    def new(self, direction: Direction, amount_minor: int = 1000, user_id: int = 1, **more: Any) -> Payment:
        payment_id = some_id()
        payment = Payment(
            id=payment_id,
            group_id=payment_id,
            group_minor=amount_minor,
            user_id=user_id,
            direction=direction,
            provider="sandbox",
            method="card",
            amount_minor=amount_minor,
            currency="USD",
            created_at=self.now,
            instrument="tok_1",
            due_at=self.now,
        )
        return replace(payment, **more)

    async def add(self, payment: Payment) -> UUID:
        async with databases.transaction(self.engine) as connection:
            await kept.add(connection, payment)
        return payment.id

    async def go(self, direction: Direction, amount_minor: int = 1000, user_id: int = 1, **more: Any) -> Payment:
        """A new payment, moved on as far as it goes at once."""
        payment_id = await self.add(self.new(direction, amount_minor, user_id, **more))
        await self.worker.attend(payment_id)
        return await self.get(payment_id)

    async def get(self, payment_id: UUID) -> Payment:
        async with databases.reading(self.engine) as connection:
            found = await kept.find(connection, payment_id)
        assert found is not None
        return found

    async def later(self, **time: float) -> None:
        """Let time go by, and do what is due then."""
        self.now += timedelta(**time)
        self.provider.now = self.wallet.now = self.now
        await self.worker.look()

    async def heard(self, events: Sequence[LedgerEvent] | None = None) -> None:
        """The journal brings rows; all that the wallet decided, where it is not said which."""
        brought = [event for _, event in self.wallet.decided.values()] if events is None else events
        async with databases.transaction(self.engine) as connection:
            await ledger.apply(connection, brought)

    async def by_staff(self, command_id: UUID, amount_minor: int) -> None:
        """Staff reverses a transaction in the ledger; nobody tells the payments but the journal."""
        original, _ = self.wallet.decided[command_id]
        reversal = Command(
            command_id=some_id(),
            kind=Kind.REVERSAL,
            user_id=original.user_id,
            amount_minor=amount_minor,
            currency=original.currency,
            reference_id=str(command_id),
            provider=original.provider,
            reason="it was not the player's",
            actor="ann",
            occurred_at=self.now,
        )
        event = await self.wallet.ask(reversal, 1)
        assert event is not None
        await self.heard([event])

    async def all(self) -> list[Payment]:
        async with databases.reading(self.engine) as connection:
            found = await kept.page(connection, user_id=None, status=None, waits_for=None, before=None, limit=100_000)
        return [payment for _, payment in found]

    async def exceptions(self) -> list[tuple[str, str]]:
        rows = await as_administrator(
            self.database,
            "SELECT kind, side FROM payments.settlement_exceptions WHERE closed_at IS NULL ORDER BY number",
        )
        return [(row["kind"], row["side"]) for row in rows]
