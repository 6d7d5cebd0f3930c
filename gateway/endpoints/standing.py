"""How a player stands, in one call: each part is asked of its owner at the same time, within a bound of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from gateway.domain import standing
from gateway.domain.callers import Caller, Scope
from gateway.domain.standing import Joined, LastKnown, ResponsibleGamingView, StatusView
from gateway.domain.views import Balance
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import UserId
from gateway.endpoints.rates import Rates
from gateway.repository import Reads
from gateway.repository.exclusions import Exclusions
from gateway.repository.fraud import Fraud
from gateway.repository.kyc import KycReads
from shared.clock import Clock
from shared.errors import NotFound, ServiceUnavailable, TransientError

PART_WITHIN_S = 1.0
METRICS_DAYS = 7
MAX_KEPT = 10_000
MAX_AGE = timedelta(minutes=5)

Load = Callable[[int], Awaitable[Any]]


class Standing:
    """Asks the owners of a player's parts, and remembers for a while what they said."""

    def __init__(self, reads: Reads, known: KycReads, exclusions: Exclusions, fraud: Fraud, clock: Clock) -> None:
        self._clock = clock
        self._last = LastKnown(MAX_KEPT, MAX_AGE)
        self._loads: Mapping[str, Load] = {
            "wallet": partial(_balances, reads),
            "limits": reads.limits,
            "restrictions": reads.restrictions,
            "kyc": known.state,
            "protection": exclusions.protection,
            "metrics": partial(reads.player_metrics, days=METRICS_DAYS),
            "fraud": fraud.score,
        }

    async def joined(self, user_id: int, parts: Sequence[str]) -> Joined:
        """These parts of how a player stands. Nobody's silence keeps the others from being answered."""
        answers = dict(zip(parts, await asyncio.gather(*(self._ask(part, user_id) for part in parts)), strict=True))
        now = self._clock()
        found: dict[str, Any] = {}
        stale, missing = {}, {}
        for part, answer in answers.items():
            if not isinstance(answer, NotFound | TransientError):
                found[part] = answer
                self._last.keep(user_id, part, answer, now)
            elif isinstance(answer, TransientError) and (last := self._last.recall(user_id, part, now)) is not None:
                stale[part], found[part] = last
            else:
                found[part] = None
                missing[part] = answer.code
        return Joined(found, stale, missing)

    async def _ask(self, part: str, user_id: int) -> Any:
        try:
            async with asyncio.timeout(PART_WITHIN_S):
                return await self._loads[part](user_id)
        except TimeoutError:
            return ServiceUnavailable("no answer within the bound")
        except (NotFound, TransientError) as error:
            return error


async def _balances(reads: Reads, user_id: int) -> Sequence[Balance]:
    try:
        return await reads.balances(user_id)
    except NotFound:
        # Who has no account has no money; that is known.
        return []


def router(door: Door, rates: Rates, standing_of: Standing) -> APIRouter:
    """The endpoints that join what is known of a player."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    async def answer(request: Request, caller: Caller, user_id: int, parts: Sequence[str]) -> Response:
        await rates.player(request, user_id)
        joined = await standing_of.joined(user_id, parts)
        shown = {part: standing.shown(part, found, caller, user_id) for part, found in joined.parts.items()}
        return Json(joined.view(user_id, shown))

    @api.get(
        "/status",
        summary="How a player stands: money, limits, restrictions, KYC, fraud, its last days; what is stale or missing",
        responses={200: {"model": StatusView}, **described.problem_answers()},
    )
    async def get_status(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.READ_STATUS, user_id)
        parts = ["wallet", "limits", "restrictions", "kyc", "protection", "metrics"]
        if Scope.READ_FRAUD in caller.scopes:
            parts.append("fraud")
        return await answer(request, caller, user_id, parts)

    @api.get(
        "/responsible-gaming",
        summary="A player's limits and what is left of them, exclusions, session, and when a reality check is due",
        responses={200: {"model": ResponsibleGamingView}, **described.problem_answers()},
    )
    async def get_responsible_gaming(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.READ_EXCLUSIONS, user_id)
        return await answer(request, caller, user_id, ["limits", "protection"])

    return api
