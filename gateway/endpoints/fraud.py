"""Fraud at the door: scores with their reasons, the queue of flags and what staff does with one, and rules."""

from http import HTTPStatus
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, JsonValue

from gateway.domain import fraud as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.fraud import (
    AssignmentRequest,
    FlagPage,
    NoteRequest,
    ResolutionRequest,
    RuleRequest,
    RuleSnoozeRequest,
    RuleSnoozes,
    ScoreHistory,
    SnoozeRequest,
)
from gateway.domain.records import entry
from gateway.domain.requests import read_body
from gateway.domain.views import position_of
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS, UserId, next_page
from gateway.endpoints.rates import Rates
from gateway.repository.fraud import Fraud, SoughtFlags
from gateway.repository.passing import Passed, body_of
from gateway.repository.records import Records
from shared.contracts.fields import MAX_INT64
from shared.contracts.fraud import FlagStatus, FlagView, RuleSnoozeView, RuleState, RulesView, RuleView, ScoreView
from shared.service import request_id_of

M = TypeVar("M", bound=BaseModel)

Version = Annotated[int, Path(ge=1, le=MAX_INT64)]
_FLAG: described.Answers = {200: {"model": FlagView}, **described.problem_answers(404, 413)}
_RULE: described.Answers = {200: {"model": RuleView}, **described.problem_answers(404)}


class Working:
    """Does what staff asks for, in its name: first on the record, then at the fraud service."""

    def __init__(self, fraud: Fraud, records: Records) -> None:
        self._fraud = fraud
        self._records = records

    async def on_flag(
        self, request: Request, caller: Caller, flag_id: UUID, what: str, action: str, model: type[M]
    ) -> Response:
        """Do something with a flag, as the request's body says. Raises NotFound."""
        caller.require(Scope.WORK_ON_FLAGS)
        asked = body_of(read_body(model, await headers.json_body(request)))
        flag = await self._fraud.flag(flag_id)
        after: dict[str, JsonValue] = {"flag_id": str(flag_id), **asked}
        await self._records.add(entry(action, caller, request_id_of(request), user_id=flag.user_id, after=after))
        found = await self._fraud.ask(FlagView, f"/fraud/flags/{flag_id}/{what}", {**asked, "by": caller.subject})
        return answer(found)

    async def snooze(self, request: Request, caller: Caller, user_id: int) -> Response:
        """Let a rule add nothing to a player's score for a while."""
        caller.require(Scope.WORK_ON_FLAGS)
        asked = body_of(read_body(RuleSnoozeRequest, await headers.json_body(request)))
        await self._records.add(
            entry("FRAUD_RULE_SNOOZE", caller, request_id_of(request), user_id=user_id, after=asked)
        )
        path = f"/users/{user_id}/fraud-snoozes"
        found = await self._fraud.ask(RuleSnoozeView, path, {**asked, "by": caller.subject})
        return answer(found, HTTPStatus.CREATED)

    async def wake(self, request: Request, caller: Caller, user_id: int, snooze_id: UUID) -> Response:
        """Wake a rule before its time."""
        caller.require(Scope.WORK_ON_FLAGS)
        after: dict[str, JsonValue] = {"snooze_id": str(snooze_id)}
        await self._records.add(entry("FRAUD_RULE_WAKE", caller, request_id_of(request), user_id=user_id, after=after))
        path = f"/users/{user_id}/fraud-snoozes/{snooze_id}/ending"
        return answer(await self._fraud.ask(RuleSnoozeView, path, {"by": caller.subject}))

    async def draft(self, request: Request, caller: Caller) -> Response:
        """Draft a rule."""
        caller.require(Scope.WRITE_FRAUD_RULES)
        asked = body_of(read_body(RuleRequest, await headers.json_body(request)))
        await self._records.add(entry("FRAUD_RULE_DRAFT", caller, request_id_of(request), after=asked))
        found = await self._fraud.ask(RuleView, "/fraud/rules", {**asked, "author": caller.subject})
        return answer(found, HTTPStatus.CREATED)

    async def move(self, request: Request, caller: Caller, version: int, what: str, action: str) -> Response:
        """Move a version of a rule to another state."""
        caller.require(Scope.WRITE_FRAUD_RULES)
        await self._records.add(entry(action, caller, request_id_of(request), after={"version": version}))
        found = await self._fraud.ask(RuleView, f"/fraud/rules/{version}/{what}", {"by": caller.subject})
        return answer(found)


def answer(found: BaseModel | Passed, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """What the fraud service has said, its refusals as they are."""
    if isinstance(found, Passed):
        return Response(found.body, found.status, media_type=found.media_type)
    return Json(found.model_dump(mode="json"), status)


def routers(door: Door, rates: Rates, fraud: Fraud, records: Records) -> tuple[APIRouter, ...]:
    """All endpoints of this module."""
    working = Working(fraud, records)
    return (
        scores(door, rates, fraud),
        flags(door, fraud),
        cases(door, working),
        rules(door, fraud, working),
        snoozes(door, rates, fraud, working),
    )


def scores(door: Door, rates: Rates, fraud: Fraud) -> APIRouter:
    """How suspicious a player is, and why."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/fraud-score", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="A player's score, 0 to 100, its level, and each reason: what was seen, against what, what it added",
        responses={200: {"model": ScoreView}, **described.problem_answers(404)},
    )
    async def get_score(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        await rates.player(request, user_id)
        return answer(await fraud.score(user_id))

    @api.get(
        "/history",
        summary="How a player's score changed, the newest first",
        responses={200: {"model": ScoreHistory}, **described.problem_answers()},
    )
    async def get_history(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require(Scope.READ_FRAUD)
        await rates.player(request, user_id)
        before = None if cursor is None else position_of(cursor)
        # One more than the page holds tells whether there is a next one.
        body = views.history(await fraud.history(user_id, limit=limit + 1, before=before), limit)
        return Json(body, headers=next_page(request, limit, body["next_cursor"]))

    return api


def flags(door: Door, fraud: Fraud) -> APIRouter:
    """The queue of flags."""
    api = APIRouter(prefix=f"{API}/fraud/flags", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="Flags, the highest score first, then the oldest",
        responses={200: {"model": FlagPage}, **described.problem_answers()},
    )
    async def get_flags(
        request: Request,
        caller: caller_of_request,
        status: Annotated[
            list[FlagStatus] | None, Query(description="Several may be given; without one, all that are not resolved.")
        ] = None,
        min_score: Annotated[int, Query(ge=0, le=100)] = 0,
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require(Scope.READ_FRAUD)
        sought = SoughtFlags(status, min_score, user_id)
        body = views.flags(await fraud.flags(sought, limit=limit + 1, after=cursor), limit)
        return Json(body, headers=next_page(request, limit, body["next_cursor"]))

    @api.get(
        "/{flag_id}",
        summary="A flag with its reasons, and what was written to it",
        responses={200: {"model": FlagView}, **described.problem_answers(404)},
    )
    async def get_flag(flag_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        return answer(await fraud.flag(flag_id))

    return api


def cases(door: Door, working: Working) -> APIRouter:
    """What staff does with a flag. Each is on record."""
    api = APIRouter(prefix=f"{API}/fraud/flags/{{flag_id}}", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/resolution",
        summary="Confirm or dismiss a flag, which is final; or put it back",
        responses=_FLAG,
        openapi_extra=described.body_of(ResolutionRequest),
    )
    async def post_resolution(request: Request, flag_id: UUID, caller: caller_of_request) -> Response:
        return await working.on_flag(request, caller, flag_id, "resolution", "FRAUD_FLAG_RESOLVE", ResolutionRequest)

    @api.post(
        "/snooze",
        summary="Leave a flag alone until a moment; it wakes by itself",
        responses=_FLAG,
        openapi_extra=described.body_of(SnoozeRequest),
    )
    async def post_snooze(request: Request, flag_id: UUID, caller: caller_of_request) -> Response:
        return await working.on_flag(request, caller, flag_id, "snooze", "FRAUD_FLAG_SNOOZE", SnoozeRequest)

    @api.post(
        "/assignment",
        summary="Give a flag to somebody, who then reviews it, or to nobody",
        responses=_FLAG,
        openapi_extra=described.body_of(AssignmentRequest),
    )
    async def post_assignment(request: Request, flag_id: UUID, caller: caller_of_request) -> Response:
        return await working.on_flag(request, caller, flag_id, "assignment", "FRAUD_FLAG_ASSIGN", AssignmentRequest)

    @api.post(
        "/notes",
        summary="Write to a flag",
        responses=_FLAG,
        openapi_extra=described.body_of(NoteRequest),
    )
    async def post_note(request: Request, flag_id: UUID, caller: caller_of_request) -> Response:
        return await working.on_flag(request, caller, flag_id, "notes", "FRAUD_FLAG_NOTE", NoteRequest)

    return api


def rules(door: Door, fraud: Fraud, working: Working) -> APIRouter:
    """The rules, and their changes. Each change is on record, and acts without a restart."""
    api = APIRouter(prefix=f"{API}/fraud/rules", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="Versions of rules by rule, the newest first, how often each fired, and what conditions can name",
        responses={200: {"model": RulesView}, **described.problem_answers()},
    )
    async def get_rules(
        caller: caller_of_request,
        state: Annotated[list[RuleState] | None, Query(description="Several may be given; without one, all.")] = None,
        rule_id: Annotated[str | None, Query(max_length=63)] = None,
    ) -> Response:
        caller.require(Scope.READ_FRAUD)
        return answer(await fraud.rules(state, rule_id))

    @api.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Draft a rule: parsed, checked for names and types, and not in force",
        responses={201: {"model": RuleView}, **described.problem_answers(413)},
        openapi_extra=described.body_of(RuleRequest),
    )
    async def post_rule(request: Request, caller: caller_of_request) -> Response:
        return await working.draft(request, caller)

    @api.post("/{version}/activation", summary="Let a version act; the one that did retires", responses=_RULE)
    async def post_activation(request: Request, version: Version, caller: caller_of_request) -> Response:
        return await working.move(request, caller, version, "activation", "FRAUD_RULE_ACTIVATE")

    @api.post("/{version}/shadow", summary="Let a version run live, and never act", responses=_RULE)
    async def post_shadow(request: Request, version: Version, caller: caller_of_request) -> Response:
        return await working.move(request, caller, version, "shadow", "FRAUD_RULE_SHADOW")

    @api.post("/{version}/retirement", summary="Take a version out of force for good", responses=_RULE)
    async def post_retirement(request: Request, version: Version, caller: caller_of_request) -> Response:
        return await working.move(request, caller, version, "retirement", "FRAUD_RULE_RETIRE")

    return api


def snoozes(door: Door, rates: Rates, fraud: Fraud, working: Working) -> APIRouter:
    """Rules that add nothing to one player's score for a while. Each change is on record."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/fraud-snoozes", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="A player's snoozed rules, the newest first: who, why, until when",
        responses={200: {"model": RuleSnoozes}, **described.problem_answers()},
    )
    async def get_snoozes(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_FRAUD)
        await rates.player(request, user_id)
        return answer(RuleSnoozes(snoozes=list(await fraud.snoozes(user_id))))

    @api.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Snooze a rule for a player: it is observed, and adds nothing until it wakes by itself",
        responses={201: {"model": RuleSnoozeView}, **described.problem_answers(413)},
        openapi_extra=described.body_of(RuleSnoozeRequest),
    )
    async def post_snooze(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        return await working.snooze(request, caller, user_id)

    @api.delete(
        "/{snooze_id}",
        summary="Wake a rule before its time",
        responses={200: {"model": RuleSnoozeView}, **described.problem_answers(404)},
    )
    async def delete_snooze(request: Request, user_id: UserId, snooze_id: UUID, caller: caller_of_request) -> Response:
        return await working.wake(request, caller, user_id, snooze_id)

    return api
