"""What other services own, read over HTTP: the gateway has no tables. Money is in minor units in here."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx2
import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.domain.views import Balance
from shared import logs
from shared.contracts.checkpoints import Receipt
from shared.contracts.commands import Command
from shared.contracts.integrity import AskedPeriod, LedgerState, Reconciliation, ReconciliationSummary
from shared.contracts.readings import (
    Check,
    HeldPayout,
    LimitReading,
    PlayerMetrics,
    ReadTransaction,
    RestrictionsReading,
)
from shared.contracts.reports import Format
from shared.errors import NotFound, NotSealedYet, RateLimited, ServiceUnavailable
from shared.journal import TIMEOUT_S

log = logs.get(__name__)
T = TypeVar("T")

# A year of several currencies takes seconds to draw on a machine that does something else meanwhile.
REPORT_WITHIN_S = 30.0


class _Wallet(BaseModel):
    balances: list[Balance]


class PastWallet(_Wallet):
    """A player's balances at a moment, and the position of the last of its rows that counts."""

    position: int


class DailyReport(BaseModel):
    """Figures by currency, in minor units, and whatever else is said about them."""

    model_config = ConfigDict(extra="allow")

    currencies: dict[str, dict[str, Any]]


_WALLET = TypeAdapter(_Wallet)
_PAST = TypeAdapter(PastWallet)
_REPORT = TypeAdapter(DailyReport)
_OBJECT = TypeAdapter(dict[str, Any])
_ROW = TypeAdapter(ReadTransaction)
_ROWS = TypeAdapter(list[ReadTransaction])
_LIMITS = TypeAdapter(list[LimitReading])
_METRICS = TypeAdapter(PlayerMetrics)
_CHECK = TypeAdapter(Check)
_RESTRICTIONS = TypeAdapter(RestrictionsReading)
_HELD_PAYOUTS = TypeAdapter(list[HeldPayout])
_RECEIPT = TypeAdapter(Receipt)
_RECONCILIATION = TypeAdapter(Reconciliation)
_RECONCILIATIONS = TypeAdapter(list[ReconciliationSummary])
_LEDGER_STATE = TypeAdapter(LedgerState)


class Reads:
    """Reads from the services that own the answers. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, wallet: httpx2.AsyncClient, fraud: httpx2.AsyncClient, metrics: httpx2.AsyncClient) -> None:
        self._wallet = wallet
        self._fraud = fraud
        self._metrics = metrics

    async def wallet_is_ready(self) -> None:
        """Ask the wallet service whether it is ready. Raises ServiceUnavailable."""
        await get(self._wallet, "/health/ready")

    async def balances(self, user_id: int) -> Sequence[Balance]:
        """A player's balances, by currency. Raises NotFound."""
        return decoded(_WALLET, await get(self._wallet, f"/users/{user_id}/wallet")).balances

    async def past(self, user_id: int, moment: datetime) -> PastWallet:
        """A player's balances as they were at a moment, by currency. Raises NotFound."""
        query = {"as_of": moment.isoformat()}
        return decoded(_PAST, await get(self._wallet, f"/users/{user_id}/wallet", query))

    async def balance_audit(self, user_id: int) -> dict[str, Any]:
        """A player's balances beside its rows, in minor units. Raises NotFound."""
        return decoded(_OBJECT, await get(self._wallet, f"/users/{user_id}/balance-audit"))

    async def history(self, user_id: int, *, limit: int, before: int | None) -> Sequence[ReadTransaction]:
        """At most `limit` of a player's rows below a position, the newest first."""
        return decoded(_ROWS, await get(self._wallet, f"/users/{user_id}/transactions", _page(limit, before)))

    async def limits(self, user_id: int) -> Sequence[LimitReading]:
        """A player's limits, by currency."""
        return decoded(_LIMITS, await get(self._wallet, f"/users/{user_id}/limits"))

    async def limit_changes(self, user_id: int, *, limit: int, before: int | None) -> Sequence[ReadTransaction]:
        """At most `limit` of the rows below a position that changed a player's limits, the newest first."""
        return decoded(_ROWS, await get(self._wallet, f"/users/{user_id}/limit-changes", _page(limit, before)))

    async def player_metrics(self, user_id: int, days: int) -> PlayerMetrics:
        """What a player did in its last days."""
        return decoded(_METRICS, await get(self._wallet, f"/users/{user_id}/metrics", {"days": days}))

    async def check(self, command: Command) -> Check:
        """What the decision on a command would be now. Nothing comes of it."""
        return decoded(_CHECK, await post(self._wallet, "/limit-checks", command))

    async def restrictions(self, user_id: int) -> RestrictionsReading:
        """What a player may not do now."""
        return decoded(_RESTRICTIONS, await get(self._wallet, f"/users/{user_id}/restrictions"))

    async def held_payouts(self, limit: int) -> Sequence[HeldPayout]:
        """At most so many payouts that wait for their release, the oldest first."""
        return decoded(_HELD_PAYOUTS, await get(self._wallet, "/held-payouts", {"limit": limit}))

    async def transaction(self, command_id: UUID) -> ReadTransaction | None:
        """The row that decided a command, or None where there is none."""
        try:
            body = await get(self._wallet, f"/transactions/{command_id}")
        except NotFound:
            return None
        return decoded(_ROW, body)

    async def receipt(self, command_id: UUID) -> Receipt:
        """A decision's receipt. Raises NotFound, NotSealedYet."""
        return decoded(_RECEIPT, await get(self._wallet, f"/transactions/{command_id}/receipt"))

    async def request_reconciliation(self, asked: AskedPeriod) -> Reconciliation:
        """Ask for a period's reconciliation; returns its record. Raises RateLimited where too many wait."""
        return decoded(_RECONCILIATION, await post(self._wallet, "/reconciliations", asked))

    async def reconciliation(self, record_id: UUID) -> Reconciliation:
        """A reconciliation. Raises NotFound."""
        return decoded(_RECONCILIATION, await get(self._wallet, f"/reconciliations/{record_id}"))

    async def reconciliations(self, *, limit: int, before: int | None) -> Sequence[ReconciliationSummary]:
        """At most `limit` reconciliations below a number, the newest first."""
        query = {"limit": limit} if before is None else {"limit": limit, "before": before}
        return decoded(_RECONCILIATIONS, await get(self._wallet, "/reconciliations", query))

    async def ledger_state(self) -> LedgerState:
        """How the ledger stands."""
        return decoded(_LEDGER_STATE, await get(self._wallet, "/integrity"))

    async def bet_velocity(self, user_id: int) -> dict[str, Any]:
        """How fast a player bets, as the fraud service says it. Raises NotFound."""
        return decoded(_OBJECT, await get(self._fraud, f"/users/{user_id}/bet-velocity"))

    async def daily_report(self, day: date) -> DailyReport:
        """The figures of one UTC day, as the metrics service says them."""
        return decoded(_REPORT, await get(self._metrics, f"/reports/daily/{day.isoformat()}"))

    async def report(self, first: date, last: date, form: Format) -> bytes:
        """The signed report of a period, in a form."""
        query = {"from": first.isoformat(), "to": last.isoformat(), "format": form.value}
        return await get(self._metrics, "/reports/export", query, within_s=REPORT_WITHIN_S)


def _page(limit: int, before: int | None) -> dict[str, int]:
    return {"limit": limit} if before is None else {"limit": limit, "before": before}


async def get(
    client: httpx2.AsyncClient,
    path: str,
    query: Mapping[str, int | str | Sequence[str]] | None = None,
    *,
    within_s: float = TIMEOUT_S,
) -> bytes:
    """What an inner service answers. Raises NotFound, NotSealedYet, RateLimited, ServiceUnavailable."""
    return await _answer(client, client.build_request("GET", path, params=query, timeout=within_s))


async def post(client: httpx2.AsyncClient, path: str, body: BaseModel) -> bytes:
    """As `get`, of what is sent."""
    return await _answer(client, client.build_request("POST", path, json=body.model_dump(mode="json")))


async def _answer(client: httpx2.AsyncClient, request: httpx2.Request) -> bytes:
    # What is said of a failure is read outside: it names no host.
    try:
        response = await client.send(request)
    except httpx2.RequestError as error:
        log.warning("inner_service_silent", url=str(request.url), error=type(error).__name__)
        raise ServiceUnavailable("the service that knows this does not answer") from error
    if response.status_code == httpx2.codes.NOT_FOUND:
        raise NotFound(_detail(response.content))
    if response.status_code == httpx2.codes.CONFLICT:
        raise NotSealedYet(int(response.headers["Retry-After"]))
    if response.status_code == httpx2.codes.TOO_MANY_REQUESTS:
        raise RateLimited(int(response.headers["Retry-After"]))
    if response.status_code != httpx2.codes.OK:
        log.warning("inner_service_fails", url=str(response.url), status=response.status_code)
        raise ServiceUnavailable("the service that knows this is not ready to answer")
    return response.content


def decoded(adapter: TypeAdapter[T], body: bytes) -> T:
    """An answer in the contract's form. Raises ServiceUnavailable where it is not."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise ServiceUnavailable("the service that knows this answers in a form that is not the contract's") from error


def _detail(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "there is no such thing"
