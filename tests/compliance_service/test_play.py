"""How long players play: sessions of bets, limits that are reached, breaks, reality checks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain import play
from compliance_service.domain.play import Rules, Session
from compliance_service.endpoints import play as endpoints
from compliance_service.endpoints.play import PlayDesk
from compliance_service.handlers import play as handlers
from compliance_service.handlers.exclusions import ExclusionWorker
from compliance_service.settings import Settings
from shared import database, problems
from shared.contracts.kinds import Kind, Reason
from shared.contracts.play import PlaySetting, PlaySettingName
from shared.service import Envelope
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.compliance_service.exclusion_support import PLAYER, Setup
from tests.compliance_service.support import as_agreed
from tests.support import TOKEN

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WAIT = 24 * HOUR
NAME = PlaySettingName.SESSION_MINUTES


@pytest.fixture
def rules(settings: Settings) -> Rules:
    return settings.play_rules()


def bets(rules: Rules, *minutes: int) -> Session:
    session = None
    for minute in minutes:
        session = play.played(session, PLAYER, MOMENT + minute * MINUTE, rules)
    assert session is not None
    return session


@pytest.mark.integration
class TestSessions:
    def test_bets_with_short_gaps_are_one_session_and_a_long_gap_begins_another(self, rules: Rules) -> None:
        session = bets(rules, 0, 15, 30)
        assert (session.started_at, session.seconds) == (MOMENT, 1800)
        after = play.played(replace(session, session_told=True, checks_told=1), PLAYER, MOMENT + 46 * MINUTE, rules)
        assert (after.started_at, after.seconds, after.session_told) == (MOMENT + 46 * MINUTE, 0, False)
        assert (after.checks_told, after.day_s) == (0, 1800)

    def test_a_day_counts_all_its_sessions_and_the_next_begins_at_nothing(self, rules: Rules) -> None:
        session = bets(rules, 0, 10, 100, 110)
        assert session.day_s == 1200
        assert bets(rules, 0, 10, 24 * 60).day_s == 0

    def test_a_clock_that_was_set_back_takes_nothing_back(self, rules: Rules) -> None:
        session = bets(rules, 0, 10, 5)
        assert (session.seconds, session.last_bet_at) == (600, MOMENT + 10 * MINUTE)

    def test_a_limit_is_reached_once_a_session_and_checks_once_an_interval(self, rules: Rules) -> None:
        settings = {NAME: PlaySetting(value=60), PlaySettingName.REALITY_CHECK_MINUTES: PlaySetting(value=30)}
        told = []
        session = None
        for minute in range(0, 71, 10):
            session = play.played(session, PLAYER, MOMENT + minute * MINUTE, rules)
            session, found = play.reach(session, settings, rules.pack)
            for kind, body in found.events:
                as_agreed(kind, body)
                told.append((minute, kind, found.reached))
        assert told == [(30, play.CHECK_DUE, False), (60, play.CHECK_DUE, True), (60, play.LIMIT_REACHED, True)]

    def test_the_break_after_it_is_the_longer_of_the_players_and_the_jurisdictions(self, rules: Rules) -> None:
        session = bets(rules, 0, 10)
        now = session.last_bet_at
        assert play.time_out(session, {}, rules, now) is None
        chosen = {PlaySettingName.TIME_OUT_HOURS: PlaySetting(value=3)}
        asked = play.time_out(session, chosen, rules, now)
        assert asked is not None
        assert (asked.hours, asked.time_out) == (3, True)
        strict = rules._replace(pack=rules.pack.model_copy(update={"play_limit_time_out_h": 5}))
        stricter = play.time_out(session, chosen, strict, now)
        assert stricter is not None
        assert stricter.hours == 5
        assert play.time_out(session, chosen, rules, now + HOUR) is None

    def test_a_check_is_due_until_it_is_acknowledged_and_after_the_next_interval_again(self, rules: Rules) -> None:
        every = {PlaySettingName.REALITY_CHECK_MINUTES: PlaySetting(value=10)}
        session = bets(rules, 0, 9, 14)
        assert not play.reality_check(session, every, rules, MOMENT + 9 * MINUTE).due
        found = play.reality_check(session, every, rules, MOMENT + 14 * MINUTE)
        assert (found.due, found.next_at, found.chosen_by) == (True, MOMENT + 20 * MINUTE, "player")
        seen = replace(session, checked_at=MOMENT + 14 * MINUTE)
        assert not play.reality_check(seen, every, rules, MOMENT + 15 * MINUTE).due
        assert play.reality_check(seen, every, rules, MOMENT + 21 * MINUTE).due
        over = play.reality_check(session, {}, rules, MOMENT + HOUR)
        assert (over.interval_minutes, over.next_at, over.chosen_by) == (60, None, "jurisdiction")


class TestChanges:
    def test_what_is_stricter_holds_at_once(self) -> None:
        assert play.changed(NAME, None, 60, WAIT, MOMENT) == PlaySetting(value=60)
        pending = PlaySetting(value=60, pending=90, pending_from=MOMENT)
        assert play.changed(NAME, pending, 30, WAIT, MOMENT) == PlaySetting(value=30)
        assert play.changed(PlaySettingName.TIME_OUT_HOURS, PlaySetting(value=2), 3, WAIT, MOMENT).value == 3

    def test_what_is_less_strict_holds_when_it_is_asked_for_again_after_the_wait(self) -> None:
        waits = play.changed(NAME, PlaySetting(value=60), 90, WAIT, MOMENT)
        assert waits == PlaySetting(value=60, pending=90, pending_from=MOMENT + WAIT)
        assert play.changed(NAME, waits, 90, WAIT, MOMENT + WAIT - MINUTE) == waits
        assert play.changed(NAME, waits, 90, WAIT, MOMENT + WAIT) == PlaySetting(value=90)
        assert play.changed(NAME, waits, 100, WAIT, MOMENT + WAIT).pending_from == MOMENT + 2 * WAIT
        less = play.changed(PlaySettingName.TIME_OUT_HOURS, PlaySetting(value=2), 0, WAIT, MOMENT)
        assert (less.value, less.pending) == (2, 0)

    def test_reality_checks_are_the_players_own_to_set(self) -> None:
        name = PlaySettingName.REALITY_CHECK_MINUTES
        assert play.changed(name, PlaySetting(value=30), 60, WAIT, MOMENT) == PlaySetting(value=60)


class Played(Setup):
    """The service's play around a database, in this process."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        super().__init__(engine, settings)
        self.rules = settings.play_rules()
        self.ledger = FakeLedger(1)
        app = FastAPI()
        problems.install(app)
        app.add_middleware(Envelope, metrics=Metrics())
        app.include_router(endpoints.router(settings, PlayDesk(engine, self.rules, lambda: self.now)))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://service", headers=headers
        )

    async def bet(self, *at: datetime, reason: Reason | None = None) -> None:
        rows = [self.ledger.add(Kind.GAME_BET, PLAYER, at=each, reason=reason) for each in at]
        self.now = at[-1]
        async with database.transaction(self.engine) as connection:
            await handlers.apply(connection, rows, self.rules, self.now)

    async def protection(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/users/{PLAYER}/protection")).json()
        return found


@pytest.fixture
async def played(engine: AsyncEngine, settings: Settings) -> AsyncIterator[Played]:
    made = Played(engine, settings)
    yield made
    await made.client.aclose()


@pytest.mark.integration
class TestAsAWhole:
    async def test_a_reached_limit_is_told_and_brings_the_break_that_the_player_chose(self, played: Played) -> None:
        limits = {"session_minutes": 20, "time_out_hours": 2}
        assert (await played.post("play-limits", {"play_limits": limits})).status_code == 200
        await played.bet(*(MOMENT + minute * MINUTE for minute in (0, 10, 20, 21)))
        assert await played.told() == [play.LIMIT_REACHED, "compliance.exclusion.requested.v1"]
        worker = ExclusionWorker(played.engine, played.wallet, lambda: played.now)
        assert await worker.asking() == 1
        found = await played.protection()
        assert (found["excluded"], found["exclusion"]["time_out"]) == (True, True)
        assert found["exclusion"]["until"] == "2026-11-24T12:21:00Z"
        assert (found["session"]["minutes"], found["session"]["remaining_minutes"]) == (21, 0)

    async def test_refused_bets_and_other_rows_are_no_play(self, played: Played) -> None:
        await played.bet(MOMENT, reason=Reason.SELF_EXCLUDED)
        found = await played.protection()
        assert (found["session"], found["excluded"], found["exclusion"]) == (None, False, None)

    async def test_what_waits_is_shown_and_recorded(self, played: Played) -> None:
        await played.post("play-limits", {"play_limits": {"day_minutes": 60}})
        again = await played.post("play-limits", {"play_limits": {"day_minutes": 90}})
        await played.post("play-limits", {"play_limits": {"day_minutes": 90}})
        waits = again.json()["settings"]["day_minutes"]
        assert (waits["value"], waits["pending"], waits["pending_from"]) == (60, 90, "2026-11-25T10:00:00Z")
        actions = await played.column("SELECT action FROM audit_log ORDER BY number")
        assert actions == ["PLAY_DAY_MINUTES", "PLAY_DAY_MINUTES"]

    async def test_a_reality_check_is_set_due_and_acknowledged(self, played: Played) -> None:
        await played.post("reality-check", {"reality_check": {"interval_minutes": 5}})
        await played.bet(MOMENT, MOMENT + 6 * MINUTE)
        assert (await played.protection())["reality_check"]["due"]
        assert not (await played.post("reality-check/acknowledgement")).json()["reality_check"]["due"]
        assert await played.told() == [play.CHECK_DUE]
