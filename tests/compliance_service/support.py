"""KYC around a database, in this process; with a wallet that is made up."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import orjson
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain import webhooks
from compliance_service.domain.encryption import KycKeys
from compliance_service.endpoints import kyc as endpoints
from compliance_service.endpoints.kyc import KycDesk
from compliance_service.handlers.kyc import KycWorker
from compliance_service.handlers.providers import RulesAlone
from compliance_service.settings import Settings
from shared import jurisdictions, problems
from shared.contracts.commands import Command
from shared.contracts.compliance_events import COMPLIANCE_EVENT_TYPES
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Account, Status
from shared.contracts.kyc import KycResult
from shared.errors import ServiceUnavailable
from shared.money import NO_CURRENCY
from shared.service import Envelope
from shared.telemetry import Metrics
from tests.support import TOKEN, Database, as_administrator


def as_agreed(kind: str, body: dict[str, Any]) -> None:
    """Hold what is said on `compliance.events.v1` to its contract: every field of it, and no other."""
    model = COMPLIANCE_EVENT_TYPES[kind]
    assert body.keys() == model.model_fields.keys(), kind
    model.model_validate(body)


KEYS, NEWER = "e1:" + "11" * 32, "e2:" + "33" * 32 + ",e1:" + "11" * 32
INDEX_KEYS = "i1:" + "22" * 32
SECRETS = "s" * 40 + "," + "t" * 40
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
PLANTED: dict[str, Any] = {
    "name": "Zebulon Quillfeather",
    "birth_date": "1987-03-19",
    "address": {"street": "17 Xyloph Lane", "city": "Brackenmoor", "postal_code": "QX7 9ZZ"},
    "country": "GB",
    "document_type": "PASSPORT",
    "document_number": "925665416",
    "document_expires_on": "2031-07-21",
    "phone": "+44 121 496 0321",
}
VALUES = (
    "Zebulon",
    "1987-03-19",
    "Xyloph",
    "Brackenmoor",
    "QX7 9ZZ",
    "925665416",
    "2031-07-21",
    "496 0321",
    "1214960321",
)


class Later:
    """A provider that says what it found by webhook."""

    async def check(self, submission_id: UUID, fields: Any) -> KycResult | None:
        return None


class FakeWallet:
    """An asker: decides each command once, unless it is away or silent."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.away = False
        self.silent = False

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        if self.away:
            raise ServiceUnavailable("no wallet")
        self.asked.append(command)
        if self.silent:
            return None
        return LedgerEvent(
            **{"lane": 0, "position": len(self.asked), "command_id": command.command_id, "kind": command.kind},
            **{"status": Status.POSTED, "user_id": command.user_id, "amount_minor": 0, "currency": NO_CURRENCY},
            **{"debit": Account.NONE, "credit": Account.NONE, "cash_minor": 0, "reserved_minor": 0},
            **{"occurred_at": NOW, "created_at": NOW, "key_id": "k1", "checksum": "ab" * 32},
        )


class Setup:
    """The service's KYC around a database, in this process."""

    def __init__(self, database: Database, engine: AsyncEngine, settings: Settings) -> None:
        self.database = database
        self.settings = settings.model_copy(update={"kyc_provider_secret": SecretStr(SECRETS)})
        self.engine = engine
        self.now = NOW
        self.keys = KycKeys(KEYS, INDEX_KEYS)
        self.wallet = FakeWallet()
        self.metrics = Metrics()
        self.worker = self.worker_with(RulesAlone())
        self.client = self.client_with(self.worker)

    def worker_with(self, provider: Any) -> KycWorker:
        pack = jurisdictions.load("default")
        return KycWorker(
            self.engine,
            self.keys,
            pack,
            ZoneInfo("UTC"),
            provider=provider,
            wallet=self.wallet,
            clock=lambda: self.now,
        )

    def client_with(self, worker: KycWorker) -> httpx2.AsyncClient:
        pack = jurisdictions.load("default")
        desk = KycDesk(self.engine, self.keys, pack, ZoneInfo("UTC"), worker, lambda: self.now)
        app = FastAPI()
        problems.install(app)
        app.add_middleware(Envelope, metrics=self.metrics)
        app.include_router(endpoints.router(self.settings, desk))
        app.include_router(endpoints.provider_router(self.settings, desk, self.metrics))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service", headers=headers)

    async def submit(self, user_id: int = 1, **fields: Any) -> httpx2.Response:
        body = {"submission": PLANTED | fields, "actor": "the-player", "request_id": "r-1"}
        return await self.client.post(f"/users/{user_id}/kyc", json=body)

    async def decide(self, decision: str, reason: str = "seen", **fields: Any) -> httpx2.Response:
        body = {"decision": {"decision": decision, "reason": reason, **fields}, "actor": "officer"}
        return await self.client.post("/users/1/kyc/decision", json=body)

    async def webhook(self, submission_id: str, result: str, at: datetime, event_id: str) -> httpx2.Response:
        event = {"event_id": event_id, "submission_id": submission_id, "result": result, "occurred_at": at.isoformat()}
        return await self.post_webhook(orjson.dumps(event))

    async def post_webhook(self, body: bytes, *, secret: str = "t" * 40, age_s: int = 0) -> httpx2.Response:
        timestamp = int(self.now.timestamp()) - age_s
        headers = {webhooks.TIMESTAMP: str(timestamp), webhooks.SIGNATURE: webhooks.sign(secret, timestamp, body)}
        return await self.client.post("/webhooks/kyc", content=body, headers=headers)

    async def dump(self) -> str:
        """Every table of the schema as text; what is bytes, as what bytes it is too."""
        names = await as_administrator(
            self.database, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'compliance'"
        )
        rows = [await as_administrator(self.database, f"SELECT * FROM compliance.{name[0]}") for name in names]
        return repr(rows)

    async def events(self) -> list[str]:
        found = await as_administrator(self.database, "SELECT type, body FROM compliance.outbox ORDER BY number")
        for kind, body in found:
            as_agreed(kind, orjson.loads(body))
        return [kind for kind, _ in found]

    async def actions(self) -> list[str]:
        found = await as_administrator(self.database, "SELECT action FROM compliance.audit_log ORDER BY number")
        return [row[0] for row in found]
