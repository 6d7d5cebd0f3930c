"""KYC at the door: a player shows who it is and sees how it stands; staff decides, reads and erases."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import JsonValue

from gateway.domain import standing
from gateway.domain.callers import Caller, Scope
from gateway.domain.requests import read_kyc, read_kyc_decision, read_kyc_erasure
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import UserId
from gateway.endpoints.rates import Rates
from gateway.repository.kyc import KycReads
from gateway.repository.passing import Passed, body_of
from shared.contracts.kyc import KycDecision, KycErasure, KycSubmission, KycView
from shared.errors import Forbidden, OversizedWebhook
from shared.service import request_id_of

MAX_WEBHOOK_BYTES = 16 * 1024
_SIGNED = ("X-KYC-Timestamp", "X-KYC-Signature", "Content-Type")
_VIEW: described.Answers = {200: {"model": KycView}}


class Asking:
    """Passes a request on in its caller's name, and answers what this caller may read."""

    def __init__(self, rates: Rates, kyc: KycReads) -> None:
        self._rates = rates
        self._kyc = kyc

    async def ask(
        self,
        request: Request,
        caller: Caller,
        user_id: int,
        what: str,
        status: HTTPStatus = HTTPStatus.OK,
        **body: JsonValue,
    ) -> Response:
        """Change or read a player's KYC: a submission where `what` is empty."""
        await self._rates.player(request, user_id)
        by: dict[str, JsonValue] = {"actor": caller.subject, "request_id": request_id_of(request)}
        found = await self._kyc.ask(user_id, what, body | by)
        if isinstance(found, Passed):
            return Response(found.body, found.status, media_type=found.media_type)
        return Json(standing.kyc(found, caller), status)

    async def state(self, request: Request, caller: Caller, user_id: int) -> Response:
        """How far a player is known."""
        await self._rates.player(request, user_id)
        return Json(standing.kyc(await self._kyc.state(user_id), caller))


def router(door: Door, asking: Asking) -> APIRouter:
    """What a player shows, and how it stands."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/kyc", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        status_code=201,
        summary="Show who a player is: verified, rejected or sent to review at once, or when the provider answers",
        responses={201: {"model": KycView}, **described.problem_answers(400, 401)},
        openapi_extra=described.body_of(KycSubmission),
    )
    async def post_kyc(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.SUBMIT_KYC, user_id)
        submission = read_kyc(await headers.json_body(request))
        if submission.provider_result is not None and Scope.DECIDE_KYC not in caller.scopes:
            raise Forbidden(f"provider_result needs a token with the scope {Scope.DECIDE_KYC}")
        return await asking.ask(request, caller, user_id, "", HTTPStatus.CREATED, submission=body_of(submission))

    @api.get(
        "",
        summary="How far a player is known; with `fields=true`, on record, what it showed in clear",
        responses={**_VIEW, **described.problem_answers()},
    )
    async def get_kyc(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        fields: Annotated[bool, Query(description="In clear; needs the scope kyc:read.")] = False,
    ) -> Response:
        caller.require_about(Scope.READ_KYC_STATE, user_id)
        if fields:
            caller.require(Scope.READ_KYC)
            return await asking.ask(request, caller, user_id, "reading")
        return await asking.state(request, caller, user_id)

    return api


def staff(door: Door, asking: Asking) -> APIRouter:
    """What staff does with it."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/kyc", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/decision",
        summary="Verify, reject or review what a player showed",
        responses={**_VIEW, **described.problem_answers(404)},
        openapi_extra=described.body_of(KycDecision),
    )
    async def post_decision(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.DECIDE_KYC)
        decision = read_kyc_decision(await headers.json_body(request))
        return await asking.ask(request, caller, user_id, "decision", decision=body_of(decision))

    @api.delete(
        "",
        summary="Destroy what a player showed; its states stay",
        responses={**_VIEW, **described.problem_answers(404)},
        openapi_extra=described.body_of(KycErasure),
    )
    async def delete_kyc(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.ERASE_KYC)
        erasure = read_kyc_erasure(await headers.json_body(request))
        return await asking.ask(request, caller, user_id, "erasure", erasure=body_of(erasure))

    return api


def webhook(rates: Rates, kyc: KycReads) -> APIRouter:
    """The endpoint of the KYC provider: it shows a signature, and no token."""
    api = APIRouter(prefix=f"{API}/webhooks", tags=["compliance"])

    @api.post(
        "/kyc",
        summary="What the KYC provider found; signed over its timestamp and body",
        responses=described.problem_answers(413),
        openapi_extra={"security": []},
    )
    async def post_webhook(request: Request) -> Response:
        await rates.address(request)
        body = await request.body()
        if len(body) > MAX_WEBHOOK_BYTES:
            raise OversizedWebhook(f"a webhook has at most {MAX_WEBHOOK_BYTES} bytes")
        signed = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        found = await kyc.webhook(body, signed)
        return Response(found.body, found.status, media_type=found.media_type)

    return api
