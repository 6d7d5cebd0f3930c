"""HTTP in: reads, for the platform's other services. Money is in minor units here."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import Row

from shared.contracts.commands import decode
from shared.contracts.fields import MAX_INT64, Moment
from shared.contracts.integrity import AskedPeriod, Reconciliation
from shared.contracts.kinds import LIMIT_KINDS
from shared.errors import FieldError, InvalidInput, NotFound, NotSealedYet, RateLimited
from shared.keyring import Keyring
from shared.lanes import lane_of
from shared.service import internal_only
from wallet_service.domain.auditing import Finding, findings
from wallet_service.domain.batch import Batch
from wallet_service.domain.events import ReadRow, disputed, event, reading
from wallet_service.domain.limits import Rules
from wallet_service.domain.needs import Placed, needs
from wallet_service.domain.reconciling import Cause
from wallet_service.domain.sealing import prove
from wallet_service.domain.standings import check_of, limits_of, metrics_of, needs_of, restrictions_of
from wallet_service.repository import (
    Audits,
    Integrity,
    Reads,
    Reconciliations,
    Seals,
    Standings,
    audited_balances,
    audited_rows,
)
from wallet_service.settings import Settings

UserId = Annotated[int, Path(ge=1, le=MAX_INT64)]
# A player whose rows are altered may have thousands of findings; a person reads the first of them.
MAX_FINDINGS = 100
# So many may wait for the workers. Who asks for one more comes back later.
MAX_OPEN_RECONCILIATIONS = 100
OPEN_RETRY_AFTER_S = 60
MAX_DAYS = 90
AsOf = Annotated[Moment | None, Query()]
Limit = Annotated[int, Query(ge=1, le=1000)]


def router(settings: Settings, reads: Reads) -> APIRouter:
    """What was decided, and what it comes to."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    @api.get("/users/{user_id}/wallet", summary="A player's balances, by currency; with `as_of` as they were then")
    async def wallet(user_id: UserId, as_of: AsOf = None) -> Response:
        lane = lane_of(user_id, settings.lanes)
        rows = await reads.balances(lane, user_id) if as_of is None else await past(lane, user_id, as_of)
        if not rows:
            raise NotFound(f"there is no wallet of player {user_id}; the first deposit makes it")
        balances = [{"currency": row.currency, "cash_minor": row.cash, "reserved_minor": row.reserved} for row in rows]
        body: dict[str, Any] = {"user_id": user_id, "balances": balances}
        if as_of is not None:
            body |= {"as_of": as_of, "position": max(row.position for row in rows)}
        return _json(body)

    async def past(lane: int, user_id: int, moment: datetime) -> Sequence[Row[Any]]:
        found = await reads.as_of(lane, user_id, moment)
        if moment > found.now:
            raise InvalidInput([FieldError("as_of", "must not be in the future")])
        return found.balances

    @api.get("/users/{user_id}/transactions", summary="A player's journal rows, the newest first")
    async def history(
        user_id: UserId, limit: Limit = 50, before: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None
    ) -> Response:
        lane = lane_of(user_id, settings.lanes)
        return _json([reading(row) for row in await reads.history(lane, user_id, before, limit)])

    @api.get("/transactions/{command_id}", summary="The journal row that decided a command")
    async def transaction(command_id: UUID) -> Response:
        return _json(reading(await _decided(reads, command_id)))

    @api.get("/lanes", summary="Where each lane stands")
    async def lanes() -> Response:
        return _json(
            [
                {"lane": mark.lane, "position": mark.position, "published": mark.published, "head": mark.head.hex()}
                for mark in await reads.lanes()
            ]
        )

    @api.get("/lanes/{lane}/journal", summary="A lane's journal rows above a position, in order")
    async def journal(
        lane: Annotated[int, Path(ge=0, lt=settings.lanes)],
        after: Annotated[int, Query(ge=0, le=MAX_INT64)] = 0,
        limit: Limit = 1000,
    ) -> Response:
        return _json([event(row) for row in await reads.journal(lane, after, limit)])

    return api


def proofs(settings: Settings, reads: Reads, seals: Seals, audits: Audits, keyring: Keyring) -> APIRouter:
    """What shows that it is so: receipts, audits, and how the lanes stand."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    @api.get("/transactions/{command_id}/receipt", summary="The row, its checkpoint, and the proof that it is under it")
    async def receipt(command_id: UUID) -> Response:
        found = await _decided(reads, command_id)
        row = found.row
        covering = await seals.covering(row.content.lane, row.content.position)
        if covering is None:
            raise NotSealedYet(math.ceil(settings.checkpoint_every_s))
        checkpoint, entries = covering
        proof = prove(checkpoint, entries, row.content.position)
        proved = {"row": event(row), "proof": dict(proof), "checkpoint": checkpoint.model_dump()}
        return _json(proved | {"dispute": disputed(found)})

    @api.get("/users/{user_id}/balance-audit", summary="A player's balances beside its rows, and its rows' checksums")
    async def balance_audit(user_id: UserId) -> Response:
        return _json(await audit(audits, keyring, lane_of(user_id, settings.lanes), user_id))

    return api


def reconciliations(settings: Settings, records: Reconciliations, integrity: Integrity) -> APIRouter:
    """The ledger beside itself: reconciliations of a period, and how all of it stands."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    @api.post("/reconciliations", summary="Ask for a period's reconciliation; a worker carries it out")
    async def request(asked: AskedPeriod) -> Response:
        standing = await records.standing()
        if asked.end > standing.now:
            raise InvalidInput([FieldError("to", "must not be in the future")])
        if standing.open >= MAX_OPEN_RECONCILIATIONS:
            raise RateLimited(OPEN_RETRY_AFTER_S)
        made = await records.request(asked, Cause.ON_DEMAND, asked.requested_by)
        assert made is not None
        return _model(await _record(made))

    @api.get("/reconciliations/{record_id}", summary="A reconciliation, with its discrepancies once it is finished")
    async def record(record_id: UUID) -> Response:
        return _model(await _record(record_id))

    @api.get("/reconciliations", summary="Reconciliations without their discrepancies, the newest first")
    async def newest(limit: Limit = 50, before: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None) -> Response:
        return _json([found.model_dump(mode="json") for found in await records.newest(before, limit)])

    @api.get("/integrity", summary="How the lanes stand, whether money is conserved, and what was last reconciled")
    async def state() -> Response:
        return _model(await integrity.state())

    async def _record(record_id: UUID) -> Reconciliation:
        found = await records.get(record_id)
        if found is None:
            raise NotFound(f"there is no reconciliation {record_id}")
        return found

    return api


def limits(settings: Settings, rules: Rules, reads: Reads, standings: Standings, keyring: Keyring) -> APIRouter:
    """How players stand with their limits, what a decision would be, and which payouts wait for finance."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    @api.get("/users/{user_id}/limits", summary="Every limit of a player, and what is used of it")
    async def limits_of_player(user_id: UserId) -> Response:
        lane = lane_of(user_id, settings.lanes)
        loaded = await standings.look(needs_of(lane, user_id, rules))
        return _json([limit.model_dump(mode="json") for limit in limits_of(lane, user_id, loaded, rules)])

    @api.get("/users/{user_id}/limit-changes", summary="The journal rows that changed a player's limits, newest first")
    async def limit_changes(
        user_id: UserId, limit: Limit = 50, before: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None
    ) -> Response:
        lane = lane_of(user_id, settings.lanes)
        return _json([reading(row) for row in await reads.history(lane, user_id, before, limit, LIMIT_KINDS)])

    @api.get("/users/{user_id}/restrictions", summary="Whether a player is excluded or blocked now, and its tier")
    async def restrictions(user_id: UserId) -> Response:
        lane = lane_of(user_id, settings.lanes)
        loaded = await standings.look(needs_of(lane, user_id, rules))
        return _model(restrictions_of(lane, user_id, loaded, rules))

    @api.get("/users/{user_id}/metrics", summary="What a player did in its last days")
    async def metrics(user_id: UserId, days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = 7) -> Response:
        lane = lane_of(user_id, settings.lanes)
        loaded, played = await standings.played(needs_of(lane, user_id, rules), lane, user_id, days)
        return _model(metrics_of(user_id, days, loaded, played, limits_of(lane, user_id, loaded, rules)))

    @api.post("/limit-checks", summary="What the decision on a command would be now; nothing comes of it")
    async def check(request: Request) -> Response:
        command = decode(await request.body())
        placed = Placed(lane_of(command.user_id, settings.lanes), command)
        batch = Batch(await standings.look(needs([placed])), keyring.chain, rules)
        return _model(check_of(batch.consider(*placed), command.currency))

    @api.get("/held-payouts", summary="Payouts that wait in reserved for their release, the oldest first")
    async def held_payouts(limit: Limit = 50) -> Response:
        found = await reads.held_payouts(limit)
        return _json([{"held_minor": held, "transaction": reading(row)} for held, row in found])

    return api


async def _decided(reads: Reads, command_id: UUID) -> ReadRow:
    row = await reads.transaction(command_id)
    if row is None:
        raise NotFound(f"no decision on command {command_id}")
    return row


async def audit(audits: Audits, keyring: Keyring, lane: int, user_id: int) -> dict[str, Any]:
    """A player's audit. Raises NotFound for a player without balances and without rows."""
    found: list[Finding] = []
    async with audits.snapshot() as connection:
        async for page in audited_rows(connection, lane, user_id):
            found += findings(page, keyring.chain)
        balances = await audited_balances(connection, lane, user_id)
    if not balances:
        raise NotFound(f"there is no wallet of player {user_id}; the first deposit makes it")
    return {
        "user_id": user_id,
        "lane": lane,
        "rows": sum(row.rows for row in balances),
        "accounts": [
            {
                "currency": row.currency,
                "cash_minor": row.cash,
                "reserved_minor": row.reserved,
                "folded_cash_minor": row.folded_cash,
                "folded_reserved_minor": row.folded_reserved,
            }
            for row in balances
        ],
        "finding_count": len(found),
        "findings": [finding._asdict() for finding in found[:MAX_FINDINGS]],
        "consistent": not found
        and all((row.cash, row.reserved) == (row.folded_cash, row.folded_reserved) for row in balances),
    }


def _model(content: BaseModel) -> Response:
    return Response(content.model_dump_json(), media_type="application/json")


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), media_type="application/json")
