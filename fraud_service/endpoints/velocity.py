"""How fast a player bets."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from fraud_service.domain import velocity as pace
from fraud_service.repository.velocity import Reads
from fraud_service.settings import Settings
from shared.clock import Clock
from shared.contracts.fields import Moment, UserId
from shared.errors import NotFound
from shared.service import internal_only

LONGEST_WINDOW_MINUTES = 24 * 60


class MinuteBets(BaseModel):
    """The bets of one calendar minute, named by its first moment."""

    minute: Moment
    bets: int


class Applied(BaseModel):
    """The ledger position that the figures are true for."""

    lane: int
    position: int


class BetVelocity(BaseModel):
    """`bets_last_minute` is of the current calendar minute; a minute without a bet has no bucket."""

    user_id: int
    bets_last_minute: int
    peak_per_minute: int
    above_threshold: bool
    buckets: list[MinuteBets]
    applied: Applied


def router(settings: Settings, reads: Reads, clock: Clock) -> APIRouter:
    """The endpoints of this service."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.get("/users/{user_id}/bet-velocity", summary="Bets per minute over the last minutes")
    async def bet_velocity(
        user_id: UserId, minutes: Annotated[int, Query(ge=1, le=LONGEST_WINDOW_MINUTES)] = 60
    ) -> BetVelocity:
        now = clock()
        known = await reads.player(user_id, pace.window_start(now, minutes))
        if known is None:
            raise NotFound(f"no ledger row names player {user_id}")
        velocity = pace.velocity(known.buckets, now, settings.velocity_threshold)
        return BetVelocity(
            user_id=user_id,
            bets_last_minute=velocity.bets_last_minute,
            peak_per_minute=velocity.peak_per_minute,
            above_threshold=velocity.above_threshold,
            buckets=[MinuteBets(minute=bucket.minute, bets=bucket.bets) for bucket in known.buckets],
            applied=Applied(lane=known.applied.lane, position=known.applied.position),
        )

    return endpoints
