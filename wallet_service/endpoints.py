"""HTTP in: reads, for the platform's other services. Money is in minor units here."""

import math
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response

from shared.contracts.fields import MAX_INT64
from shared.errors import NotFound, NotSealedYet
from shared.lanes import lane_of
from shared.service import internal_only
from wallet_service.domain.batch import JournalRow
from wallet_service.domain.events import event
from wallet_service.domain.sealing import prove
from wallet_service.repository import Reads, Seals
from wallet_service.settings import Settings

UserId = Annotated[int, Path(ge=1, le=MAX_INT64)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def router(settings: Settings, reads: Reads, seals: Seals) -> APIRouter:
    """The wallet's internal endpoints."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    async def decided(command_id: UUID) -> JournalRow:
        row = await reads.transaction(command_id)
        if row is None:
            raise NotFound(f"no decision on command {command_id}")
        return row

    @api.get("/users/{user_id}/wallet", summary="A player's balances, by currency")
    async def wallet(user_id: UserId) -> Response:
        rows = await reads.balances(lane_of(user_id, settings.lanes), user_id)
        if not rows:
            raise NotFound(f"there is no wallet of player {user_id}; the first deposit makes it")
        balances = [{"currency": row.currency, "cash_minor": row.cash, "reserved_minor": row.reserved} for row in rows]
        return _json({"user_id": user_id, "balances": balances})

    @api.get("/users/{user_id}/transactions", summary="A player's journal rows, the newest first")
    async def history(
        user_id: UserId, limit: Limit = 50, before: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None
    ) -> Response:
        lane = lane_of(user_id, settings.lanes)
        return _rows(await reads.history(lane, user_id, before, limit))

    @api.get("/transactions/{command_id}", summary="The journal row that decided a command")
    async def transaction(command_id: UUID) -> Response:
        return _json(event(await decided(command_id)))

    @api.get("/transactions/{command_id}/receipt", summary="The row, its checkpoint, and the proof that it is under it")
    async def receipt(command_id: UUID) -> Response:
        row = await decided(command_id)
        covering = await seals.covering(row.content.lane, row.content.position)
        if covering is None:
            raise NotSealedYet(math.ceil(settings.checkpoint_every_s))
        checkpoint, entries = covering
        proof = prove(checkpoint, entries, row.content.position)
        return _json({"row": event(row), "proof": dict(proof), "checkpoint": checkpoint.model_dump()})

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
        return _rows(await reads.journal(lane, after, limit))

    return api


def _rows(rows: Sequence[JournalRow]) -> Response:
    return _json([event(row) for row in rows])


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), media_type="application/json")
