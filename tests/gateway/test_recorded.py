"""Whatever staff changes at the door is on record: here before it is done, or where its owner decides it."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import orjson
from fastapi import FastAPI

from compliance_service.domain import audit
from shared.contracts.kinds import Account, Kind
from shared.tokens import Role
from tests.gateway.conftest import Gateway
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import DEPOSIT, bearer, build, client_of
from tests.gateway.test_access import concrete, described
from tests.gateway.test_exclusions import ASKED as EXCLUSION
from tests.gateway.test_fraud import FLAG
from tests.gateway.test_kyc import SHOWN

Route = tuple[str, str]

WHO = "ann"
ORIGINAL = UUID(int=1)
WHY = {"reason": "known to us"}
NOTE = {"note": "all on one card"}
SLEEP = {"until": "2099-01-01T00:00:00Z", **NOTE}
PERIOD = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}
MONEY = {"currency": "USD", "amount": "5.00"}
ADJUSTMENT = {"type": "ADJUSTMENT_CREDIT", "user_id": PLAYER, **MONEY, **WHY}

FLAGS, RULES, USER = "/api/v1/fraud/flags/{flag_id}", "/api/v1/fraud/rules", "/api/v1/users/{user_id}"
TRANSACTION, PAYMENT = "/api/v1/transactions/{transaction_id}", "/api/v1/payments/{payment_id}"
# What staff may change, and what it asks for.
ACTS: dict[Route, Any] = {
    ("POST", "/api/v1/console/sign-ins"): {},
    ("POST", "/api/v1/transactions"): ADJUSTMENT,
    ("POST", "/api/v1/transactions/batch"): {"transactions": [ADJUSTMENT | {"idempotency_key": "one"}]},
    ("POST", f"{TRANSACTION}/reversal"): WHY,
    ("POST", f"{TRANSACTION}/release"): WHY,
    ("POST", f"{TRANSACTION}/dispute"): WHY,
    ("POST", f"{TRANSACTION}/dispute/resolution"): WHY,
    ("POST", "/api/v1/reconciliations"): PERIOD,
    ("POST", "/api/v1/compliance-audits"): PERIOD,
    ("PUT", f"{USER}/limits/{{name}}"): MONEY | WHY,
    ("DELETE", f"{USER}/limits/{{name}}"): {"currency": "USD"} | WHY,
    ("POST", f"{USER}/limit-requests"): {"name": "DAILY_LOSS_LIMIT"} | MONEY,
    ("POST", f"{USER}/limit-requests/{{name}}/confirmation"): MONEY,
    ("DELETE", f"{USER}/limit-requests/{{name}}"): None,
    ("POST", f"{USER}/fraud-block"): WHY,
    ("DELETE", f"{USER}/fraud-block"): WHY,
    ("POST", f"{FLAGS}/resolution"): {"status": "confirmed"} | NOTE,
    ("POST", f"{FLAGS}/snooze"): SLEEP,
    ("POST", f"{FLAGS}/assignment"): {"assignee": "bob"},
    ("POST", f"{FLAGS}/notes"): NOTE,
    ("POST", RULES): {"rule": {"id": "fast"}} | WHY,
    ("POST", f"{RULES}/{{version}}/activation"): None,
    ("POST", f"{RULES}/{{version}}/shadow"): None,
    ("POST", f"{RULES}/{{version}}/retirement"): None,
    ("POST", f"{USER}/fraud-snoozes"): {"rule_id": "fast"} | SLEEP,
    ("DELETE", f"{USER}/fraud-snoozes/{{snooze_id}}"): None,
    ("POST", f"{USER}/fraud-reprocessing"): None,
    ("POST", "/api/v1/fraud/reprocessing"): None,
    ("POST", "/api/v1/fraud/backtests"): {"versions": [1]} | PERIOD,
    ("POST", f"{USER}/kyc"): SHOWN,
    ("POST", f"{USER}/kyc/decision"): {"decision": "verify"} | WHY,
    ("DELETE", f"{USER}/kyc"): WHY,
    ("POST", f"{USER}/exclusions"): EXCLUSION,
    ("POST", f"{USER}/time-outs"): {"duration_hours": 24},
    ("POST", f"{USER}/suspension"): WHY,
    ("POST", f"{USER}/exclusions/{{exclusion_id}}/ending"): None,
    ("DELETE", f"{USER}/exclusions/{{exclusion_id}}/ending"): None,
    ("PUT", f"{USER}/play-limits"): {"session_minutes": 60},
    ("PUT", f"{USER}/reality-check"): {"interval_minutes": 30},
    ("POST", f"{USER}/reality-check/acknowledgement"): None,
    ("POST", f"{PAYMENT}/cancellation"): WHY,
    ("POST", f"{PAYMENT}/completion"): {"outcome": "completed", "evidence": "slip 7"} | WHY,
    ("POST", f"{PAYMENT}/review"): {"verdict": "approve"} | WHY,
    ("POST", f"{PAYMENT}/refund"): WHY,
    ("PUT", "/api/v1/payments/availability"): {"available": False} | WHY,
    ("POST", "/api/v1/settlement-batches"): {"provider": "sandbox", "currency": "USD", "day": "2026-11-23"},
    ("POST", "/api/v1/settlement-batches/{batch_id}/retry"): {},
    ("POST", "/api/v1/settlement-exceptions/{exception_id}/resolution"): WHY,
}
# What is no act of staff, and why.
OTHERS: dict[Route, str] = {
    ("POST", "/api/v1/limit-checks"): "it changes nothing",
    ("POST", "/api/v1/payments/deposits"): "a player's own act, if through the product; the payment keeps who asked",
    ("POST", "/api/v1/payments/withdrawals"): "a player's own act, if through the product; the payment keeps who asked",
    ("POST", "/api/v1/webhooks/kyc"): "the KYC provider's word, under its signature",
    ("POST", "/api/v1/webhooks/{provider}"): "a payment provider's word, under its signature",
}


@dataclass
class Services:
    """All services behind the door but the wallet: they keep what they are told to change, in order."""

    told: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=FLAG)
        self.told.append(request)
        return httpx2.Response(200, json={"entries": []})

    def have_recorded(self, who: str) -> bool:
        """Whether what they were told begins with the record, or is told to who keeps it, in somebody's name."""
        if not self.told:
            return False
        first, said = self.told[0], orjson.loads(self.told[0].content)
        if first.url.path == "/audit-entries":
            return all(entry["actor"] == who and entry["request_id"] for entry in said["entries"])
        named = said.get("actor", said.get("requested_by"))
        return first.url.host == "compliance" and named == who and bool(said["request_id"])


def door(wallet: FakeWallet, services: Services) -> FastAPI:
    everybody: dict[str, Any] = {"rate_limit_per_player_per_s": 1_000_000, "rate_limit_per_client_per_s": 1_000_000}
    return build(wallet, services, services, services, **everybody)


async def acted(app: FastAPI, route: Route, body: Any) -> httpx2.Response:
    method, path = route
    headers = bearer(Role.ADMIN, subject=WHO) | {"Idempotency-Key": str(uuid4())}
    return await client_of(app).request(method, concrete(path), json=body, headers=headers, params={"currency": "USD"})


async def is_recorded(app: FastAPI, wallet: FakeWallet, services: Services, route: Route, body: Any) -> bool:
    """Whether an act is on the audit log's way before its answer: by itself, or as a row that is for the record."""
    services.told.clear()
    before = len(wallet.asked)
    response = await acted(app, route, body)
    assert response.status_code not in {401, 403, 404, 422}, (route, response.text)
    rows = [wallet.rows[command.command_id] for command in wallet.asked[before:]]
    of_rows = list(audit.of_ledger(rows))
    by_journal = bool(rows) and [entry.actor for entry in of_rows] == [WHO] * len(rows)
    return by_journal or services.have_recorded(WHO)


async def seed(app: FastAPI, wallet: FakeWallet, route: Route) -> None:
    """The transaction that a correction is about: a deposit, or a payout that is held."""
    await acted(app, ("POST", "/api/v1/transactions"), DEPOSIT)
    row = list(wallet.rows.values())[-1].model_copy(update={"command_id": ORIGINAL})
    held = {"kind": Kind.GAME_PAYOUT, "credit": Account.RESERVED, "reference_id": "game_77"}
    wallet.rows[ORIGINAL] = row.model_copy(update=held) if route[1].endswith("/release") else row


async def test_every_act_of_staff_is_on_record(wallet: FakeWallet) -> None:
    services = Services()
    app = door(wallet, services)
    for route, body in ACTS.items():
        await seed(app, wallet, route)
        assert await is_recorded(app, wallet, services, route, body), route


def test_each_route_that_changes_something_is_an_act_of_staff_or_says_why_not(gateway: Gateway) -> None:
    changing = {route for route in described(gateway.app) if route[0] != "GET"}
    assert changing == ACTS.keys() | OTHERS.keys()
    assert not ACTS.keys() & OTHERS.keys()


async def test_an_act_that_nobody_records_is_found(wallet: FakeWallet) -> None:
    services = Services()
    app = door(wallet, services)

    @app.post("/api/v1/planted")
    async def planted() -> None:
        """It changes something, and tells nobody."""

    assert not await is_recorded(app, wallet, services, ("POST", "/api/v1/planted"), {})
