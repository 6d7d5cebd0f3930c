"""Exclusions around a database, in this process; with a wallet that is made up."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.endpoints import exclusions as endpoints
from compliance_service.endpoints.exclusions import ExclusionDesk
from compliance_service.handlers.exclusions import ExclusionWorker, apply
from compliance_service.settings import Settings
from shared import clock, database, jurisdictions, problems
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Account, Kind, Reason, Status
from shared.errors import ServiceUnavailable
from shared.money import NO_CURRENCY
from shared.service import Envelope
from shared.telemetry import Metrics
from shared.testing import MOMENT
from tests.compliance_service.support import as_agreed
from tests.support import TOKEN

PLAYER = 42


class FakeWallet:
    """An asker that is a wallet of its own: never shortens, decides each command once, in one lane."""

    def __init__(self, setup: "Setup") -> None:
        self.setup = setup
        self.rows: list[LedgerEvent] = []
        self.asked: list[Command] = []
        self.away = False
        self.silent = False
        self.until: datetime | None = MOMENT

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        if self.away:
            raise ServiceUnavailable("no wallet")
        self.asked.append(command)
        found = next((row for row in self.rows if row.command_id == command.command_id), None)
        row = found or self.decide(command)
        return None if self.silent else row

    def decide(self, command: Command) -> LedgerEvent:
        now, reason = self.setup.now, None
        excluded = self.until is None or self.until > now
        if command.kind is Kind.EXCLUSION_END:
            reason = None if excluded else Reason.NOT_EXCLUDED
        elif excluded and command.until is not None and (self.until is None or command.until < self.until):
            reason = Reason.EXCLUSION_SHORTENED
        if reason is None:
            self.until = MOMENT if command.kind is Kind.EXCLUSION_END else command.until
        return self.row(command, reason)

    def row(self, command: Command, reason: Reason | None) -> LedgerEvent:
        until = clock.to_text(command.until) if command.until else "for ever"
        made = LedgerEvent(
            **{"lane": 0, "position": len(self.rows) + 1, "command_id": command.command_id, "kind": command.kind},
            **{"status": Status.REFUSED if reason else Status.POSTED, "reason": reason, "user_id": command.user_id},
            **{"amount_minor": 0, "currency": NO_CURRENCY, "debit": Account.NONE, "credit": Account.NONE},
            **{"cash_minor": 0, "reserved_minor": 0, "occurred_at": command.occurred_at, "created_at": self.setup.now},
            **{"key_id": "k1", "checksum": "ab" * 32, "reference_id": command.reference_id, "actor": command.actor},
            **{"stated_reason": command.reason, "facts": {"until": until}},
        )
        self.rows.append(made)
        return made


class Setup:
    """The service's exclusions around a database, in this process."""

    def __init__(self, engine: AsyncEngine, settings: Settings, pack: str = "default") -> None:
        self.engine = engine
        self.now = MOMENT
        self.wallet = FakeWallet(self)
        self.worker = ExclusionWorker(engine, self.wallet, lambda: self.now)
        desk = ExclusionDesk(engine, jurisdictions.load(pack), self.worker, lambda: self.now)
        app = FastAPI()
        problems.install(app)
        app.add_middleware(Envelope, metrics=Metrics())
        app.include_router(endpoints.router(settings, desk))
        app.include_router(endpoints.ends(settings, desk))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://service", headers=headers
        )

    async def ask(
        self, kind: str = "TEMPORARY", hours: int | None = 24, *, by_staff: bool = False, number: UUID | None = None
    ) -> httpx2.Response:
        wanted = {"type": kind, "duration_hours": hours, "reason": "enough"}
        return await self.post("exclusions", {"id": str(number or uuid4()), "exclusion": wanted}, by_staff=by_staff)

    async def post(self, path: str, body: dict[str, Any] | None = None, *, by_staff: bool = False) -> httpx2.Response:
        by = {"actor": "ann" if by_staff else "player:42", "by_staff": by_staff, "request_id": "r-1"}
        return await self.client.post(f"/users/{PLAYER}/{path}", json={**(body or {}), **by})

    async def get(self, exclusion_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/users/{PLAYER}/exclusions/{exclusion_id}")).json()
        return found

    async def hear(self, *rows: LedgerEvent) -> None:
        """What the ledger's inbox does with rows."""
        async with database.transaction(self.engine) as connection:
            await apply(connection, rows)

    async def column(self, statement: str) -> list[Any]:
        async with database.reading(self.engine) as connection:
            return list((await connection.execute(text(statement))).scalars())

    async def told(self) -> list[str]:
        types = await self.column("SELECT type FROM outbox ORDER BY number")
        for kind, body in zip(types, await self.column("SELECT body FROM outbox ORDER BY number"), strict=True):
            as_agreed(kind, body)
        return types
