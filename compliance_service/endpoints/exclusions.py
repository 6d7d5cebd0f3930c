"""HTTP in: exclusions, their ends, time-outs and suspensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain import exclusions as domain
from compliance_service.domain.exclusions import Actor, Asked, Exclusion
from compliance_service.domain.ports import Enforcer
from compliance_service.repository import exclusions
from compliance_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.exclusions import Exclusion as ExclusionView
from shared.contracts.exclusions import (
    ExclusionRequest,
    ExclusionState,
    ExclusionType,
    Incident,
    NumberedExclusion,
    Suspension,
    SuspensionRequest,
    TimeOutRequest,
)
from shared.contracts.fields import Text, UserId
from shared.errors import NotFound
from shared.jurisdictions import Pack
from shared.service import internal_only

MAX_PAGE_ROWS = 1000


class AskedBy(BaseModel):
    """Who asks, as the gateway knows it."""

    model_config = ConfigDict(frozen=True)

    actor: Text
    by_staff: bool
    request_id: Text | None = None

    def by(self) -> Actor:
        """As the domain has it."""
        return Actor(self.actor, self.by_staff, self.request_id)


class AskedExclusion(AskedBy):
    """An exclusion, and who asks for it. The same `id` is the same exclusion."""

    id: UUID
    exclusion: ExclusionRequest


class AskedTimeOut(AskedBy):
    """A time-out, and who asks for it."""

    id: UUID
    time_out: TimeOutRequest


class AskedSuspension(AskedBy):
    """A suspension, and who asks for it. The same `id` is the same incident."""

    id: UUID
    suspension: SuspensionRequest


@dataclass(frozen=True, slots=True)
class ExclusionDesk:
    """What the endpoints stand on."""

    engine: AsyncEngine
    pack: Pack
    enforcer: Enforcer
    clock: Clock

    async def exclude(self, user_id: int, asked: Asked) -> Exclusion:
        """Keep what is asked for, and have the wallet put it in force. Raises ExclusionRefused, CommandIdReused."""
        async with database.transaction(self.engine) as connection:
            known = (await exclusions.lock(connection, [user_id]))[user_id]
            found = await self._request(connection, user_id, asked, known)
        return await self._enforced(found)

    async def suspend(self, user_id: int, asked: AskedSuspension) -> Suspension:
        """Exclude a player for ever, with the incident that it is for. Raises CommandIdReused."""
        reason, by = asked.suspension.reason, asked.by()
        wanted = Asked(asked.id, ExclusionType.PERMANENT, None, reason, by)
        async with database.transaction(self.engine) as connection:
            known = (await exclusions.lock(connection, [user_id]))[user_id]
            incident = await exclusions.find_incident(connection, asked.id)
            if incident is None:
                exclusion = domain.for_ever(known) or await self._request(connection, user_id, wanted, known)
                incident = Incident(
                    **{"id": asked.id, "user_id": user_id, "exclusion_id": exclusion.id, "opened_at": self.clock()},
                    **{"actor": asked.actor, "reason": reason, "details": asked.suspension.details},
                )
                await exclusions.open_incident(connection, incident, asked.request_id)
            else:
                domain.check_same_player(incident.user_id, user_id)
        exclusion = await self._enforced(await self.one(user_id, incident.exclusion_id))
        return Suspension(incident=incident, exclusion=view(exclusion))

    async def request_end(self, user_id: int, exclusion_id: UUID, by: Actor) -> Exclusion:
        """Ask for an end, which takes effect after its wait. Raises NotFound, Forbidden, ExclusionRefused."""
        async with database.transaction(self.engine) as connection:
            found = await self._locked(connection, user_id, exclusion_id)
            change = domain.request_end(found, by, self.pack, self.clock())
            if change is not None:
                await exclusions.save(connection, [change], by)
        return found if change is None else change.after

    async def revoke_end(self, user_id: int, exclusion_id: UUID, by: Actor) -> Exclusion:
        """Give up the end that waits. Raises NotFound, ExclusionNotInForce."""
        async with database.transaction(self.engine) as connection:
            change = domain.revoke_end(await self._locked(connection, user_id, exclusion_id), self.clock())
            await exclusions.save(connection, [change], by)
        return change.after

    async def one(self, user_id: int, exclusion_id: UUID) -> Exclusion:
        """One of a player's exclusions. Raises NotFound."""
        async with database.reading(self.engine) as connection:
            found = await exclusions.find(connection, exclusion_id)
        return _there(found, user_id, exclusion_id)

    async def history(self, user_id: int, before: int | None, limit: int) -> Sequence[tuple[int, Exclusion]]:
        """At most so many of a player's exclusions below a number, with their numbers, the newest first."""
        async with database.reading(self.engine) as connection:
            return await exclusions.history(connection, user_id, before=before, limit=limit)

    async def _request(
        self, connection: AsyncConnection, user_id: int, asked: Asked, known: Sequence[Exclusion]
    ) -> Exclusion:
        found = await exclusions.find(connection, asked.id)
        if found is not None:
            domain.check_same(found, user_id, asked)
            return found
        changes = domain.request(user_id, asked, known, self.pack, self.clock())
        await exclusions.save(connection, changes, asked.by)
        return changes[-1].after

    async def _enforced(self, found: Exclusion) -> Exclusion:
        if found.state is not ExclusionState.REQUESTED:
            return found
        await self.enforcer.enforce(found)
        return await self.one(found.user_id, found.id)

    async def _locked(self, connection: AsyncConnection, user_id: int, exclusion_id: UUID) -> Exclusion:
        known = await exclusions.lock(connection, [user_id], [exclusion_id])
        found = next((exclusion for exclusion in known[user_id] if exclusion.id == exclusion_id), None)
        return _there(found, user_id, exclusion_id)


def _there(found: Exclusion | None, user_id: int, exclusion_id: UUID) -> Exclusion:
    if found is None or found.user_id != user_id:
        raise NotFound(f"player {user_id} has no exclusion {exclusion_id}")
    return found


def view(exclusion: Exclusion) -> ExclusionView:
    """An exclusion as it is answered."""
    return ExclusionView.model_validate(exclusion, from_attributes=True)


def router(settings: Settings, desk: ExclusionDesk) -> APIRouter:
    """The endpoints that begin exclusions, and read them."""
    api = APIRouter(prefix="/users/{user_id}", dependencies=[Depends(internal_only(settings))])

    @api.post("/exclusions", summary="Exclude a player")
    async def post_exclusion(user_id: UserId, asked: AskedExclusion) -> ExclusionView:
        wanted = asked.exclusion
        found = Asked(asked.id, wanted.type, wanted.duration_hours, wanted.reason, asked.by())
        return view(await desk.exclude(user_id, found))

    @api.post("/time-outs", summary="A break")
    async def post_time_out(user_id: UserId, asked: AskedTimeOut) -> ExclusionView:
        hours, reason = asked.time_out.duration_hours, asked.time_out.reason
        found = Asked(asked.id, ExclusionType.TEMPORARY, hours, reason, asked.by(), time_out=True)
        return view(await desk.exclude(user_id, found))

    @api.post("/suspension", summary="A permanent exclusion, and the incident that it is for")
    async def post_suspension(user_id: UserId, asked: AskedSuspension) -> Suspension:
        return await desk.suspend(user_id, asked)

    @api.get("/exclusions", summary="A player's exclusions, the newest first")
    async def get_exclusions(
        user_id: UserId,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 50,
    ) -> Sequence[NumberedExclusion]:
        found = await desk.history(user_id, before, limit)
        return [NumberedExclusion(number=number, exclusion=view(exclusion)) for number, exclusion in found]

    @api.get("/exclusions/{exclusion_id}", summary="One exclusion")
    async def get_exclusion(user_id: UserId, exclusion_id: UUID) -> ExclusionView:
        return view(await desk.one(user_id, exclusion_id))

    return api


def ends(settings: Settings, desk: ExclusionDesk) -> APIRouter:
    """The endpoints that end exclusions early."""
    prefix = "/users/{user_id}/exclusions/{exclusion_id}/ending"
    api = APIRouter(prefix=prefix, dependencies=[Depends(internal_only(settings))])

    @api.post("", summary="Ask for an exclusion's end, which takes effect after its wait")
    async def post_ending(user_id: UserId, exclusion_id: UUID, asked: AskedBy) -> ExclusionView:
        return view(await desk.request_end(user_id, exclusion_id, asked.by()))

    @api.post("/withdrawal", summary="Give up the end that waits")
    async def post_withdrawal(user_id: UserId, exclusion_id: UUID, asked: AskedBy) -> ExclusionView:
        return view(await desk.revoke_end(user_id, exclusion_id, asked.by()))

    return api
