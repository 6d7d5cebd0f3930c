"""How long players play: sessions folded from bets, the limits that they set, reality checks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.exclusions import Actor, Asked
from shared import clock
from shared.contracts.exclusions import ExclusionType
from shared.contracts.play import DAY_MINUTES, PlaySession, PlaySetting, PlaySettingName, RealityCheck
from shared.jurisdictions import Pack

# It never changes: a session's time-out is one exclusion, whoever asks for it again.
_NAMESPACE = UUID("b1f6d0aa-5b0c-5c6e-8a86-0f1a6f0c9d35")
# A time-out that a limit brings is the player's own choice, or the jurisdiction's.
LIMITER = Actor("compliance_service", by_staff=False)
MINUTE_S = 60

LIMIT_REACHED = "compliance.play-limit.reached.v1"
CHECK_DUE = "compliance.reality-check.due.v1"

_UNSET: Mapping[PlaySettingName, int] = {
    PlaySettingName.SESSION_MINUTES: DAY_MINUTES,
    PlaySettingName.DAY_MINUTES: DAY_MINUTES,
    PlaySettingName.TIME_OUT_HOURS: 0,
}
_LIMITS = (PlaySettingName.SESSION_MINUTES, PlaySettingName.DAY_MINUTES)

Settings = Mapping[PlaySettingName, PlaySetting]


class Rules(NamedTuple):
    """What sessions are counted by: the longest gap in one, and where days begin."""

    gap: timedelta
    zone: ZoneInfo
    pack: Pack


@dataclass(frozen=True, slots=True)
class Session:
    """A player's last session, and its play of that day, in seconds. What was told of it is told once."""

    user_id: int
    started_at: datetime
    last_bet_at: datetime
    day: date
    day_s: int
    session_told: bool = False
    day_told: bool = False
    checks_told: int = 0
    checked_at: datetime | None = None

    @property
    def seconds(self) -> int:
        """How long it was played, from its first bet to its last."""
        return (self.last_bet_at - self.started_at) // timedelta(seconds=1)

    def active(self, rules: Rules, now: datetime) -> bool:
        """Whether a bet now would belong to it."""
        return now - self.last_bet_at <= rules.gap


class Told(NamedTuple):
    """What a bet brought about: events by type, and the limit that was reached."""

    events: list[tuple[str, dict[str, JsonValue]]]
    reached: bool


def played(session: Session | None, user_id: int, at: datetime, rules: Rules) -> Session:
    """The session after a bet."""
    day = at.astimezone(rules.zone).date()
    if session is None:
        return Session(user_id, at, at, day, 0)
    # Bets are in the order of decisions; a clock that was set back makes no gap.
    at = max(at, session.last_bet_at)
    same_day = day == session.day
    day_s, day_told = (session.day_s, session.day_told) if same_day else (0, False)
    if not session.active(rules, at):
        return Session(user_id, at, at, day, day_s, day_told=day_told)
    day_s += (at - session.last_bet_at) // timedelta(seconds=1)
    return replace(session, last_bet_at=at, day=day, day_s=day_s, day_told=day_told)


def reach(session: Session, settings: Settings, pack: Pack) -> tuple[Session, Told]:
    """What a session has reached that was not told yet."""
    events: list[tuple[str, dict[str, JsonValue]]] = []
    after = session
    interval = interval_of(settings, pack)
    checks = session.seconds // (interval * MINUTE_S)
    if checks > session.checks_told:
        events.append((CHECK_DUE, _body(session, {"interval_minutes": interval})))
        after = replace(after, checks_told=checks)
    reached = False
    for name, seconds, told in (
        (PlaySettingName.SESSION_MINUTES, session.seconds, session.session_told),
        (PlaySettingName.DAY_MINUTES, session.day_s, session.day_told),
    ):
        minutes = value_of(settings, name)
        if minutes >= DAY_MINUTES or told or seconds < minutes * MINUTE_S:
            continue
        reached = True
        events.append((LIMIT_REACHED, _body(session, {"limit": name.value, "minutes": minutes})))
        is_session = name is PlaySettingName.SESSION_MINUTES
        after = replace(after, session_told=True) if is_session else replace(after, day_told=True)
    return after, Told(events, reached)


def time_out(session: Session, settings: Settings, rules: Rules, now: datetime) -> Asked | None:
    """The break that a reached limit brings: as long as the player or the jurisdiction says, the longer of both.

    None where neither does, or where the session was over before it was counted.
    """
    hours = max(value_of(settings, PlaySettingName.TIME_OUT_HOURS), rules.pack.play_limit_time_out_h)
    if hours == 0 or not session.active(rules, now):
        return None
    number = uuid5(_NAMESPACE, f"{session.user_id}/{clock.to_text(session.last_bet_at)}")
    hours = min(hours, rules.pack.time_out_at_most_h)
    return Asked(number, ExclusionType.TEMPORARY, hours, "a limit of play was reached", LIMITER, time_out=True)


def changed(
    name: PlaySettingName, before: PlaySetting | None, value: int, wait: timedelta, now: datetime
) -> PlaySetting:
    """A setting after a player asked for a value: what is stricter holds at once, what is less strict after a wait.

    It holds when it is asked for again after the wait; asked for earlier, it goes on waiting.
    """
    held = value_of({} if before is None else {name: before}, name)
    stricter = value >= held if name is PlaySettingName.TIME_OUT_HOURS else value <= held
    if name is PlaySettingName.REALITY_CHECK_MINUTES or stricter:
        return PlaySetting(value=value)
    if before is not None and before.pending == value and before.pending_from is not None:
        return PlaySetting(value=value) if before.pending_from <= now else before
    return PlaySetting(value=held, pending=value, pending_from=now + wait)


def audited(
    user_id: int, name: PlaySettingName, before: PlaySetting | None, after: PlaySetting, by: Actor
) -> AuditEntry:
    """The entry of the audit log for a changed setting."""
    return AuditEntry(
        action=f"PLAY_{name.name}",
        user_id=user_id,
        actor=by.name,
        reason=None,
        before=None if before is None else before.model_dump(mode="json"),
        after=after.model_dump(mode="json"),
        request_id=by.request_id,
    )


def value_of(settings: Settings, name: PlaySettingName) -> int:
    """What holds of a limit, or the break after it."""
    found = settings.get(name)
    return _UNSET.get(name, 0) if found is None else found.value


def interval_of(settings: Settings, pack: Pack) -> int:
    """Minutes between reality checks: the player's own, or the jurisdiction's."""
    return value_of(settings, PlaySettingName.REALITY_CHECK_MINUTES) or pack.reality_check_minutes


def session_view(session: Session, settings: Settings, rules: Rules, now: datetime) -> PlaySession:
    """How a player's last session stands."""
    active = session.active(rules, now)
    today = session.day == now.astimezone(rules.zone).date()
    played_s = {
        PlaySettingName.SESSION_MINUTES: session.seconds if active else 0,
        PlaySettingName.DAY_MINUTES: session.day_s if today else 0,
    }
    left = [
        max(limit - played_s[name] // MINUTE_S, 0)
        for name in _LIMITS
        if (limit := value_of(settings, name)) < DAY_MINUTES
    ]
    return PlaySession(
        started_at=session.started_at,
        last_bet_at=session.last_bet_at,
        active=active,
        minutes=session.seconds // MINUTE_S,
        day_minutes=played_s[PlaySettingName.DAY_MINUTES] // MINUTE_S,
        remaining_minutes=min(left, default=None),
    )


def reality_check(session: Session | None, settings: Settings, rules: Rules, now: datetime) -> RealityCheck:
    """When a player is to be told how long it has played."""
    minutes = interval_of(settings, rules.pack)
    own = value_of(settings, PlaySettingName.REALITY_CHECK_MINUTES) > 0
    next_at, due = None, False
    if session is not None and session.active(rules, now):
        interval = timedelta(minutes=minutes)
        passed = (now - session.started_at) // interval
        last = session.started_at + passed * interval
        next_at = last + interval
        due = passed > 0 and (session.checked_at is None or session.checked_at < last)
    chosen_by = "player" if own else "jurisdiction"
    return RealityCheck(interval_minutes=minutes, chosen_by=chosen_by, next_at=next_at, due=due)


def _body(session: Session, more: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "user_id": session.user_id,
        "started_at": clock.to_text(session.started_at),
        "at": clock.to_text(session.last_bet_at),
        "played_s": session.seconds,
        "day_played_s": session.day_s,
        **more,
    }
