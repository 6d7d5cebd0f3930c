"""What bets say of how long players play: sessions, limits that are reached, the breaks that they bring."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import exclusions, play
from compliance_service.domain.exclusions import Asked
from compliance_service.domain.play import Rules
from compliance_service.repository import exclusions as kept_exclusions
from compliance_service.repository import play as kept
from shared import outbox
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from shared.errors import ExclusionRefused, ServiceUnavailable
from shared.outbox import OutboxEvent


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent], rules: Rules, now: datetime) -> None:
    """Fold bets into their players' sessions, and tell of what they reach. A break is asked for as an exclusion is."""
    bets = [event for event in events if event.kind == Kind.GAME_BET and event.status is Status.POSTED]
    users = {event.user_id for event in bets}
    if not users:
        return
    sessions = await kept.sessions(connection, users, lock=True)
    settings = await kept.settings(connection, users)
    told: list[OutboxEvent] = []
    breaks: dict[int, Asked] = {}
    for bet in bets:
        user_id = bet.user_id
        session = play.played(sessions.get(user_id), user_id, bet.created_at, rules)
        sessions[user_id], found = play.reach(session, settings[user_id], rules.pack)
        told += [OutboxEvent(user_id, kind, body) for kind, body in found.events]
        wanted = play.time_out(session, settings[user_id], rules, now) if found.reached else None
        if wanted is not None:
            breaks[user_id] = wanted
    await kept.save_sessions(connection, list(sessions.values()))
    await outbox.put(connection, *told)
    await _take_breaks(connection, breaks.items(), rules, now)


async def _take_breaks(
    connection: AsyncConnection, breaks: Iterable[tuple[int, Asked]], rules: Rules, now: datetime
) -> None:
    wanted = dict(breaks)
    if not wanted:
        return
    known = await kept_exclusions.lock(connection, wanted)
    for user_id, asked in wanted.items():
        # A longer exclusion is in force, or one ends at this moment: no bet comes of either.
        with suppress(ExclusionRefused, ServiceUnavailable):
            changes = exclusions.request(user_id, asked, known[user_id], rules.pack, now)
            await kept_exclusions.save(connection, changes, asked.by, ask_after=timedelta(0))
