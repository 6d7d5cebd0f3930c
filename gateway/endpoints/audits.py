"""Audits: a player's balances beside the journal, and how the whole ledger stands."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.domain import integrity, views
from gateway.domain.callers import Caller, Scope
from gateway.domain.records import entry
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import UserId
from gateway.endpoints.rates import Rates
from gateway.repository import Reads
from gateway.repository.records import Records
from shared.contracts.integrity import LedgerState
from shared.service import request_id_of


def router(door: Door, rates: Rates, reads: Reads, records: Records) -> APIRouter:
    """The endpoints of audits."""
    api = APIRouter(prefix=API, tags=["integrity"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "/users/{user_id}/balance-audit",
        summary="A player's balances beside the fold of its rows, and its rows' checksums",
        responses=described.problem_answers(404),
    )
    async def get_balance_audit(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.AUDIT_BALANCES, user_id)
        await rates.player(request, user_id)
        await records.add(entry("BALANCE_AUDIT", caller, request_id_of(request), user_id=user_id))
        return Json(views.audit(await reads.balance_audit(user_id)))

    @api.get(
        "/integrity",
        summary="How the lanes stand, whether money is conserved, and what was last reconciled",
        responses={200: {"model": LedgerState}, **described.problem_answers()},
    )
    async def get_integrity(caller: caller_of_request) -> Response:
        caller.require(Scope.READ_INTEGRITY)
        return Json(integrity.ledger_state(await reads.ledger_state()))

    return api
