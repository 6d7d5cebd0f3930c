"""HTTP in: how a player is protected beside its limits of money; what it sets of its play."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain import play as domain
from compliance_service.domain.exclusions import Actor, Exclusion
from compliance_service.domain.play import Rules
from compliance_service.endpoints.exclusions import AskedBy, view
from compliance_service.repository import exclusions, play
from compliance_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.exclusions import ExclusionState
from shared.contracts.fields import UserId
from shared.contracts.play import (
    PlayLimitsRequest,
    PlaySetting,
    PlaySettingName,
    Protection,
    RealityCheckRequest,
)
from shared.service import internal_only


class AskedPlayLimits(AskedBy):
    """Limits of play, and who asks for them."""

    play_limits: PlayLimitsRequest


class AskedRealityCheck(AskedBy):
    """An interval between reality checks, and who asks for it."""

    reality_check: RealityCheckRequest


@dataclass(frozen=True, slots=True)
class PlayDesk:
    """What the endpoints stand on."""

    engine: AsyncEngine
    rules: Rules
    clock: Clock

    async def view(self, user_id: int) -> Protection:
        """How a player is protected, in one snapshot."""
        async with database.reading(self.engine) as connection:
            opened = await exclusions.opened(connection, user_id)
            session = (await play.sessions(connection, [user_id])).get(user_id)
            settings = (await play.settings(connection, [user_id]))[user_id]
        now = self.clock()
        in_force = _longest([each for each in opened if each.active and not each.over(now)])
        requested = [each for each in opened if each.state is ExclusionState.REQUESTED]
        return Protection(
            user_id=user_id,
            jurisdiction=self.rules.pack.name,
            excluded=in_force is not None,
            exclusion=None if in_force is None else view(in_force),
            requested=[view(each) for each in requested],
            settings=settings,
            session=None if session is None else domain.session_view(session, settings, self.rules, now),
            reality_check=domain.reality_check(session, settings, self.rules, now),
        )

    async def change(self, user_id: int, wanted: Mapping[PlaySettingName, int], by: Actor) -> None:
        """Set what a player wants: what is stricter holds at once, what is less strict after a wait."""
        now, wait = self.clock(), self.rules.pack.raise_wait
        async with database.transaction(self.engine) as connection:
            held = await play.lock_settings(connection, user_id)
            made: dict[PlaySettingName, PlaySetting] = {}
            for name, value in wanted.items():
                after = domain.changed(name, held.get(name), value, wait, now)
                if after != held.get(name):
                    made[name] = after
            entries = [domain.audited(user_id, name, held.get(name), after, by) for name, after in made.items()]
            await play.save_settings(connection, user_id, made, entries)

    async def acknowledge(self, user_id: int) -> None:
        """The player has seen how long it has played."""
        async with database.transaction(self.engine) as connection:
            await play.acknowledge(connection, user_id, self.clock())


def _longest(found: list[Exclusion]) -> Exclusion | None:
    """The one that lasts longest; there is more than one only while the ledger's rows are on their way."""
    for_ever = next((each for each in found if each.until is None), None)
    return for_ever or max(found, key=lambda each: each.until or each.requested_at, default=None)


def router(settings: Settings, desk: PlayDesk) -> APIRouter:
    """The endpoints of a player's protection."""
    api = APIRouter(prefix="/users/{user_id}", dependencies=[Depends(internal_only(settings))])

    @api.get("/protection", summary="How a player is protected beside its limits of money")
    async def get_protection(user_id: UserId) -> Protection:
        return await desk.view(user_id)

    @api.post("/play-limits", summary="How long a player wants to play at most")
    async def post_play_limits(user_id: UserId, asked: AskedPlayLimits) -> Protection:
        wanted = asked.play_limits.model_dump(exclude_none=True)
        await desk.change(user_id, {PlaySettingName(name): value for name, value in wanted.items()}, asked.by())
        return await desk.view(user_id)

    @api.post("/reality-check", summary="How often a player wants to be told how long it has played")
    async def post_reality_check(user_id: UserId, asked: AskedRealityCheck) -> Protection:
        wanted = {PlaySettingName.REALITY_CHECK_MINUTES: asked.reality_check.interval_minutes}
        await desk.change(user_id, wanted, asked.by())
        return await desk.view(user_id)

    @api.post("/reality-check/acknowledgement", summary="The player has seen how long it has played")
    async def post_acknowledgement(user_id: UserId) -> Protection:
        await desk.acknowledge(user_id)
        return await desk.view(user_id)

    return api
