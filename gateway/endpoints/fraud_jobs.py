"""Fraud detection at work: players scored again, rules tried on a period, and how well it does."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import JsonValue

from gateway.domain import fraud as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.fraud import BacktestRequest, BacktestView
from gateway.domain.records import entry
from gateway.domain.requests import read_body
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.fraud import answer
from gateway.endpoints.players import UserId
from gateway.endpoints.rates import Rates
from gateway.endpoints.streams import MEDIA_TYPE, Streams
from gateway.repository.fraud import Fraud
from gateway.repository.passing import Passed
from gateway.repository.records import Records
from shared.contracts.fraud import JobView, MonitoringView
from shared.service import request_id_of

LONGEST_DAYS = 90
_STREAM: described.Answers = {
    200: {"description": "`progress` events, then `finished`", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    **described.problem_answers(404),
}
_MADE: described.Answers = {202: {"model": JobView}, **described.problem_answers(404)}


class Starting:
    """Starts jobs in staff's name: first on the record, then at the fraud service."""

    def __init__(self, fraud: Fraud, records: Records) -> None:
        self._fraud = fraud
        self._records = records

    async def reprocess(self, request: Request, caller: Caller, user_id: int | None) -> Response:
        """Have one player, or all, scored again under the rules in force."""
        caller.require(Scope.WRITE_FRAUD_RULES)
        await self._records.add(entry("FRAUD_REPROCESS", caller, request_id_of(request), user_id=user_id))
        path = "/fraud/reprocessing" if user_id is None else f"/users/{user_id}/fraud-reprocessing"
        return _made(await self._fraud.ask(JobView, path, {"by": caller.subject}), "reprocessing")

    async def backtest(self, request: Request, caller: Caller) -> Response:
        """Have rules tried on a period."""
        caller.require(Scope.WRITE_FRAUD_RULES)
        body = read_body(BacktestRequest, await headers.json_body(request))
        asked: dict[str, JsonValue] = body.model_dump(mode="json", by_alias=True)
        told: dict[str, JsonValue] = {**asked, "rules": [rule.get("id") for rule in body.rules]}
        await self._records.add(entry("FRAUD_BACKTEST", caller, request_id_of(request), after=told))
        return _made(await self._fraud.ask(JobView, "/fraud/backtests", {**asked, "by": caller.subject}), "backtests")


def _made(found: JobView | Passed, kind: str) -> Response:
    response = answer(found, HTTPStatus.ACCEPTED)
    if isinstance(found, JobView):
        response.headers["Location"] = f"{API}/fraud/{kind}/{found.id}"
    return response


def routers(door: Door, rates: Rates, fraud: Fraud, records: Records) -> tuple[APIRouter, ...]:
    """All endpoints of this module."""
    starting, streams = Starting(fraud, records), Streams()
    return (
        reprocessing(door, rates, fraud, starting, streams),
        backtests(door, fraud, starting, streams),
        monitoring(door, fraud),
    )


def reprocessing(door: Door, rates: Rates, fraud: Fraud, starting: Starting, streams: Streams) -> APIRouter:
    """Players scored again under the rules in force."""
    api = APIRouter(prefix=API, tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/users/{user_id}/fraud-reprocessing",
        status_code=HTTPStatus.ACCEPTED,
        summary="Score a player again under the rules in force",
        responses=_MADE,
    )
    async def post_player(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        await rates.player(request, user_id)
        return await starting.reprocess(request, caller, user_id)

    @api.post(
        "/fraud/reprocessing",
        status_code=HTTPStatus.ACCEPTED,
        summary="Score every player again, throttled",
        responses=_MADE,
    )
    async def post_all(request: Request, caller: caller_of_request) -> Response:
        return await starting.reprocess(request, caller, None)

    @api.get(
        "/fraud/reprocessing/{job_id}",
        summary="How far scoring again has come",
        responses={200: {"model": JobView}, **described.problem_answers(404)},
    )
    async def get_job(job_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        return answer(await fraud.job("reprocessing", job_id))

    @api.get("/fraud/reprocessing/{job_id}/progress", summary="The same, as a stream", responses=_STREAM)
    async def get_progress(job_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        return await streams.follow(lambda: fraud.job("reprocessing", job_id))

    return api


def backtests(door: Door, fraud: Fraud, starting: Starting, streams: Streams) -> APIRouter:
    """Rules tried on a period of the ledger, beside those in force. They act on nobody."""
    api = APIRouter(prefix=f"{API}/fraud/backtests", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        status_code=HTTPStatus.ACCEPTED,
        summary="Try rules on a period: who would be flagged, newly and no longer, beside the active ones",
        responses={202: {"model": JobView}, **described.problem_answers(404, 413)},
        openapi_extra=described.body_of(BacktestRequest),
    )
    async def post_backtest(request: Request, caller: caller_of_request) -> Response:
        return await starting.backtest(request, caller)

    @api.get(
        "/{job_id}",
        summary="A backtest: how far it has come, and in the end its result",
        responses={200: {"model": BacktestView}, **described.problem_answers(404)},
    )
    async def get_backtest(job_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        return answer(views.backtest(await fraud.job("backtests", job_id)))

    @api.get("/{job_id}/progress", summary="How far a backtest has come, as a stream", responses=_STREAM)
    async def get_progress(job_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        return await streams.follow(lambda: fraud.job("backtests", job_id))

    return api


def monitoring(door: Door, fraud: Fraud) -> APIRouter:
    """How well fraud detection does."""
    api = APIRouter(prefix=f"{API}/fraud/monitoring", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="Flags whose player still plays, rules that never hold or hold too often, lag, precision per rule",
        responses={200: {"model": MonitoringView}, **described.problem_answers()},
    )
    async def get_monitoring(
        caller: caller_of_request,
        days: Annotated[int, Query(ge=1, le=LONGEST_DAYS)] = 7,
        noisy_above_permille: Annotated[int, Query(ge=0, le=999)] = 200,
    ) -> Response:
        caller.require(Scope.READ_FRAUD)
        return Json((await fraud.monitoring(days, noisy_above_permille)).model_dump(mode="json"))

    return api
