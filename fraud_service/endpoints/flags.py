"""Flags: the queue by score and age, and what people do with one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain.blocks import dismissed
from fraud_service.domain.flags import UNRESOLVED
from fraud_service.endpoints.scores import reason_views
from fraud_service.repository import blocks, flags
from fraud_service.repository.flags import FlagPage, Flags
from fraud_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.fields import MAX_INT64
from shared.contracts.fraud import Assignment, FlagStatus, FlagView, ListedFlag, NewNote, Resolution, Snooze
from shared.errors import FieldError, InvalidInput
from shared.service import internal_only

MAX_PAGE = 500


def router(settings: Settings, engine: AsyncEngine, clock: Clock) -> APIRouter:
    """The endpoints of flags."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])
    reads = Flags(engine)

    @endpoints.get("/fraud/flags", summary="Flags, the highest score first, then the oldest")
    async def get_flags(
        status: Annotated[list[FlagStatus] | None, Query(description="Several may be given. Else unresolved.")] = None,
        min_score: Annotated[int, Query(ge=0, le=100)] = 0,
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        after: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> Sequence[ListedFlag]:
        place = None if after is None else _place(after)
        page = FlagPage(status or sorted(UNRESOLVED), min_score, user_id, place, limit)
        return [_listed(flag) for flag in await reads.page(page)]

    @endpoints.get("/fraud/flags/{flag_id}", summary="A flag")
    async def get_flag(flag_id: UUID) -> FlagView:
        return _view(await reads.get(flag_id))

    @endpoints.post("/fraud/flags/{flag_id}/resolution", summary="Say what became of a flag")
    async def post_resolution(flag_id: UUID, asked: Resolution) -> FlagView:
        async with database.transaction(engine) as connection:
            moved = await flags.move(connection, flag_id, asked.status, asked.by, asked.note)
            if asked.status is FlagStatus.DISMISSED:
                await lift(connection, flag_id, asked)
            return _view(moved)

    @endpoints.post("/fraud/flags/{flag_id}/snooze", summary="Leave a flag alone until a moment")
    async def post_snooze(flag_id: UUID, asked: Snooze) -> FlagView:
        if asked.until <= clock():
            raise InvalidInput([FieldError("until", "must be in the future")])
        async with database.transaction(engine) as connection:
            moved = await flags.move(connection, flag_id, FlagStatus.SNOOZED, asked.by, asked.note, asked.until)
            return _view(moved)

    @endpoints.post("/fraud/flags/{flag_id}/assignment", summary="Give a flag to somebody, or to nobody")
    async def post_assignment(flag_id: UUID, asked: Assignment) -> FlagView:
        async with database.transaction(engine) as connection:
            return _view(await flags.assign(connection, flag_id, asked.assignee, asked.by))

    @endpoints.post("/fraud/flags/{flag_id}/notes", summary="Write to a flag")
    async def post_note(flag_id: UUID, asked: NewNote) -> FlagView:
        async with database.transaction(engine) as connection:
            return _view(await flags.add_note(connection, flag_id, asked.by, asked.note))

    async def lift(connection: AsyncConnection, flag_id: UUID, asked: Resolution) -> None:
        # Whatever the policy is now: it may have been another when the flag was raised.
        block = await blocks.lock(connection, flag_id)
        if block is not None:
            now = clock()
            after = dismissed(block, asked.by, asked.note, now)
            if after != block:
                await blocks.save(connection, after, now)

    return endpoints


def _view(flag: Row[Any]) -> FlagView:
    return FlagView(**{**flag._mapping, "reasons": reason_views(flag.reasons)})


def _listed(flag: Row[Any]) -> ListedFlag:
    place = f"{flag.score}|{flag.created_at.isoformat()}|{flag.id}"
    return ListedFlag(**dict(_view(flag)), cursor=urlsafe_b64encode(place.encode()).decode())


def _place(cursor: str) -> tuple[int, datetime, UUID]:
    try:
        score, created_at, flag_id = urlsafe_b64decode(cursor.encode()).decode().split("|")
        place = int(score), datetime.fromisoformat(created_at), UUID(flag_id)
    except ValueError:
        raise InvalidInput([FieldError("after", "must be the cursor of a flag")]) from None
    if place[1].tzinfo is None or not 0 <= place[0] <= 100:
        raise InvalidInput([FieldError("after", "must be the cursor of a flag")])
    return place
