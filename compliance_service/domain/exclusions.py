"""Exclusions: what may be asked for, and what the wallet's decisions make of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from compliance_service.domain.watching import moment
from shared import clock
from shared.contracts import actors
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.exclusions import ExclusionState, ExclusionType
from shared.contracts.kinds import Kind, Reason, Status
from shared.errors import (
    CommandIdReused,
    ExclusionEndsLater,
    ExclusionNotInForce,
    ExclusionNotOffered,
    ExclusionPermanent,
    ExclusionShortened,
    ExclusionTooLong,
    ExclusionTooShort,
    FieldError,
    Forbidden,
    InvalidInput,
    ServiceUnavailable,
)
from shared.jurisdictions import ExclusionRule, Pack
from shared.money import NO_CURRENCY

# It never changes: whoever takes an exclusion up after a crash sends the same command, and the first decides.
_NAMESPACE = UUID("3d0a1c58-2f6e-5c3b-9a41-7e5b0d9c4f12")
# Between instances, at most.
CLOCKS_DIFFER_BY = timedelta(seconds=5)
LEDGER_REASON = "asked of the wallet directly"


class Actor(NamedTuple):
    """Who asks, and by which request. `by_staff` is False for the player itself."""

    name: str
    by_staff: bool
    request_id: str | None = None


class Asked(NamedTuple):
    """An exclusion that is asked for, for so many hours, or for ever. The same `id` is the same exclusion."""

    id: UUID
    type: ExclusionType
    hours: int | None
    reason: str
    by: Actor
    time_out: bool = False


class Step(StrEnum):
    """What happens to an exclusion."""

    REQUEST = "request"
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"
    REPLACE = "replace"
    REQUEST_END = "request_end"
    REVOKE_END = "revoke_end"
    REFUSE_END = "refuse_end"
    END = "end"
    EXPIRE = "expire"


_S = ExclusionState
_NO_END: Mapping[str, None] = {"ends_at": None, "end_command_id": None, "end_actor": None}
# What is not here changes nothing.
MOVES: Mapping[ExclusionState, Mapping[Step, ExclusionState]] = {
    # What the ledger says first was never requested here.
    _S.NONE: {Step.REQUEST: _S.REQUESTED, Step.ACKNOWLEDGE: _S.IN_FORCE},
    _S.REQUESTED: {Step.ACKNOWLEDGE: _S.IN_FORCE, Step.REFUSE: _S.REFUSED},
    _S.IN_FORCE: {
        Step.REQUEST_END: _S.END_REQUESTED,
        Step.REPLACE: _S.ENDED,
        Step.END: _S.ENDED,
        Step.EXPIRE: _S.EXPIRED,
    },
    _S.END_REQUESTED: {
        Step.REVOKE_END: _S.IN_FORCE,
        Step.REFUSE_END: _S.IN_FORCE,
        Step.REPLACE: _S.ENDED,
        Step.END: _S.ENDED,
        Step.EXPIRE: _S.EXPIRED,
    },
}
ACTIVE = frozenset({_S.IN_FORCE, _S.END_REQUESTED})


@dataclass(frozen=True, slots=True)
class Exclusion:
    """As it is kept (`shared.contracts.exclusions.Exclusion`), with the ids of its commands."""

    id: UUID
    user_id: int
    type: ExclusionType
    time_out: bool
    state: ExclusionState
    reason: str
    actor: str
    by_staff: bool
    requested_at: datetime
    command_id: UUID
    since: datetime | None = None
    until: datetime | None = None
    lane: int | None = None
    position: int | None = None
    ends_at: datetime | None = None
    end_command_id: UUID | None = None
    end_actor: str | None = None
    ended_at: datetime | None = None
    replaced_by: UUID | None = None
    refusal: str | None = None

    @property
    def active(self) -> bool:
        """Whether it is in force, as far as was looked at it."""
        return self.state in ACTIVE

    def over(self, now: datetime) -> bool:
        """Whether its time is over, though nobody may have looked."""
        return self.until is not None and self.until <= now


class Change(NamedTuple):
    """One step of one exclusion."""

    step: Step
    before: Exclusion | None
    after: Exclusion


def step(exclusion: Exclusion, taken: Step, **fields: Any) -> Change | None:
    """An exclusion one step on, with these fields; None where the step changes nothing."""
    state = MOVES.get(exclusion.state, {}).get(taken)
    if state is None:
        return None
    before = None if exclusion.state is _S.NONE else exclusion
    return Change(taken, before, replace(exclusion, state=state, **fields))


def request(user_id: int, asked: Asked, known: Iterable[Exclusion], pack: Pack, now: datetime) -> list[Change]:
    """What asking for an exclusion changes. Raises the ExclusionRefused that says which rule it breaks."""
    until = _until(asked, pack, now)
    known = [exclusion for exclusion in known if exclusion.active]
    actives = [exclusion for exclusion in known if not exclusion.over(now)]
    for active in actives:
        _check_extends(asked, until, active)
    if any(_ends_now(exclusion, now) for exclusion in known):
        # Its command may be on its way, and would end what is asked for here as well.
        raise ServiceUnavailable("the end of the exclusion in force takes effect just now; ask again in a moment")
    new = Exclusion(
        id=asked.id,
        user_id=user_id,
        type=asked.type,
        time_out=asked.time_out,
        state=_S.NONE,
        reason=asked.reason,
        actor=asked.by.name,
        # What staff began stays with staff, however the player extends it.
        by_staff=asked.by.by_staff or any(active.by_staff for active in actives),
        requested_at=now,
        command_id=uuid5(_NAMESPACE, f"begin/{asked.id}"),
        until=until,
    )
    # Who asks for more does not want the end any more; and it must not end what comes now.
    changes = [*(step(active, Step.REVOKE_END, **_NO_END) for active in actives), step(new, Step.REQUEST)]
    return [change for change in changes if change is not None]


def _until(asked: Asked, pack: Pack, now: datetime) -> datetime | None:
    hours, rule, name = asked.hours, _rule(asked.type, asked.time_out, pack), _name(asked.type, asked.time_out)
    if rule is None:
        raise ExclusionNotOffered(f"the jurisdiction has {', '.join(pack.exclusions)}, and no {name}")
    if asked.type is ExclusionType.PERMANENT:
        if hours is not None:
            raise InvalidInput([FieldError("duration_hours", f"must not be given for {name}")])
        return None
    if hours is None:
        raise InvalidInput([FieldError("duration_hours", f"is required for {name}")])
    if rule.at_least_h is not None and hours < rule.at_least_h:
        raise ExclusionTooShort(f"{name} lasts at least {rule.at_least_h} hours")
    if rule.at_most_h is not None and hours > rule.at_most_h:
        raise ExclusionTooLong(f"{name} lasts at most {rule.at_most_h} hours")
    return now + timedelta(hours=hours)


def _rule(kind: ExclusionType, time_out: bool, pack: Pack) -> ExclusionRule | None:
    if time_out:
        return ExclusionRule(at_least_h=1, at_most_h=pack.time_out_at_most_h)
    return pack.exclusions.get(kind)


def _name(kind: ExclusionType, time_out: bool) -> str:
    return "a time-out" if time_out else kind.value


def _check_extends(asked: Asked, until: datetime | None, active: Exclusion) -> None:
    if active.until is None:
        # Staff may put its own in the place of the player's.
        if until is not None or active.by_staff or not asked.by.by_staff:
            raise ExclusionPermanent("the exclusion in force is permanent, so nothing is longer")
    elif until is not None and until < active.until:
        raise ExclusionShortened(
            f"an exclusion is never shortened; the one in force lasts until {clock.to_text(active.until)}"
        )


def for_ever(known: Iterable[Exclusion]) -> Exclusion | None:
    """The permanent exclusion by staff that is in force or asked for already, than which nothing is longer."""
    states = ACTIVE | {_S.REQUESTED}
    found = (each for each in known if each.type is ExclusionType.PERMANENT and each.by_staff and each.state in states)
    return next(found, None)


def check_same(found: Exclusion, user_id: int, asked: Asked) -> None:
    """Raises CommandIdReused where an id stands for another exclusion."""
    hours = None if found.until is None else (found.until - found.requested_at) // timedelta(hours=1)
    check_same_player(found.user_id, user_id)
    for name, then, now in (
        ("type", _name(found.type, found.time_out), _name(asked.type, asked.time_out)),
        ("duration_hours", hours, asked.hours),
    ):
        if then != now:
            raise CommandIdReused(name)


def check_same_player(found: int, user_id: int) -> None:
    """Raises CommandIdReused where an id stands for what was asked for of another player."""
    if found != user_id:
        raise CommandIdReused("user_id")


def request_end(exclusion: Exclusion, by: Actor, pack: Pack, now: datetime) -> Change | None:
    """What asking for an exclusion's end changes; None where it is requested already. Raises ExclusionRefused."""
    rule = _rule(exclusion.type, exclusion.time_out, pack)
    wait_h = None if rule is None else rule.end_after_h
    if not exclusion.active or exclusion.over(now):
        raise ExclusionNotInForce("this exclusion is not in force")
    if exclusion.by_staff and not by.by_staff:
        raise Forbidden("staff began this exclusion, and staff alone ends it")
    if wait_h is None:
        if exclusion.until is None:
            raise ExclusionPermanent("a permanent exclusion does not end")
        raise ExclusionEndsLater(f"it ends by itself at {clock.to_text(exclusion.until)}, and not before")
    ends_at = now + timedelta(hours=wait_h)
    command_id = uuid5(_NAMESPACE, f"end/{exclusion.id}/{clock.to_text(ends_at)}")
    return step(exclusion, Step.REQUEST_END, ends_at=ends_at, end_command_id=command_id, end_actor=by.name)


def revoke_end(exclusion: Exclusion, now: datetime) -> Change:
    """What giving up the end changes. Raises ExclusionNotInForce where none is requested, or it takes effect now."""
    revoked = None
    if not _ends_now(exclusion, now):
        revoked = step(exclusion, Step.REVOKE_END, **_NO_END)
    if revoked is None:
        raise ExclusionNotInForce("no end of this exclusion waits, so none can be revoked")
    return revoked


def _ends_now(exclusion: Exclusion, now: datetime) -> bool:
    return exclusion.ends_at is not None and exclusion.ends_at - CLOCKS_DIFFER_BY <= now


def begin_command(exclusion: Exclusion) -> Command:
    """The command that puts an exclusion in force."""
    at, until = exclusion.requested_at, exclusion.until
    return _command(exclusion, exclusion.command_id, Kind.EXCLUSION, exclusion.actor, at, until)


def end_command(exclusion: Exclusion) -> Command:
    """The command that ends an exclusion whose end was requested."""
    assert exclusion.end_command_id is not None
    assert exclusion.ends_at is not None
    actor = exclusion.end_actor or actors.COMPLIANCE
    return _command(exclusion, exclusion.end_command_id, Kind.EXCLUSION_END, actor, exclusion.ends_at, None)


def _command(
    exclusion: Exclusion, command_id: UUID, kind: Kind, actor: str, occurred_at: datetime, until: datetime | None
) -> Command:
    return Command(
        command_id=command_id,
        kind=kind,
        user_id=exclusion.user_id,
        amount_minor=0,
        currency=NO_CURRENCY,
        reference_id=exclusion.type.value,
        reason=exclusion.reason,
        actor=actor,
        occurred_at=occurred_at,
        until=until,
    )


def decided(known: Sequence[Exclusion], event: LedgerEvent) -> list[Change]:
    """What a row of the ledger changes among a player's exclusions, whichever of its rows were seen before.

    A row that was applied changes nothing.
    """
    if event.kind == Kind.EXCLUSION:
        return _begun(known, event)
    if event.kind == Kind.EXCLUSION_END:
        return _ended(known, event)
    return []


def _begun(known: Sequence[Exclusion], event: LedgerEvent) -> list[Change]:
    own = next((exclusion for exclusion in known if exclusion.command_id == event.command_id), None)
    if event.status is Status.REFUSED:
        refused = own and step(own, Step.REFUSE, refusal=str(event.reason))
        return [refused] if refused else []
    place = {"since": event.created_at, "lane": event.lane, "position": event.position}
    begun = step(own or _seen(event), Step.ACKNOWLEDGE, **place)
    if begun is None:
        return []
    before = [other for other in known if other.active and _place(other) < event.position]
    changes = [begun, *(_replaced(other, begun.after, event.created_at) for other in before)]
    later = max((other for other in known if _place(other) > event.position), key=_place, default=None)
    if later is not None:
        assert later.since is not None
        changes.append(_replaced(begun.after, later, later.since))
    return changes


def _place(exclusion: Exclusion) -> int:
    return exclusion.position or 0


def _replaced(exclusion: Exclusion, by: Exclusion, at: datetime) -> Change:
    if exclusion.over(at):
        expired = expire(exclusion)
        assert expired is not None
        return expired
    replaced = step(exclusion, Step.REPLACE, replaced_by=by.id, ended_at=at, **_NO_END)
    assert replaced is not None
    return replaced


def _seen(event: LedgerEvent) -> Exclusion:
    until = moment(event, "until")
    named = event.reference_id if event.reference_id in frozenset(ExclusionType) else None
    # A type that is not known yet is kept as what it comes to.
    kind = ExclusionType(named or (ExclusionType.PERMANENT if until is None else ExclusionType.TEMPORARY))
    return Exclusion(
        id=event.command_id,
        user_id=event.user_id,
        type=kind,
        time_out=False,
        state=_S.NONE,
        reason=event.stated_reason or LEDGER_REASON,
        actor=event.actor or actors.LEDGER,
        # Who asked is not known, so it is not the player's to end.
        by_staff=True,
        requested_at=event.occurred_at,
        command_id=event.command_id,
        until=until,
    )


def _ended(known: Sequence[Exclusion], event: LedgerEvent) -> list[Change]:
    if event.status is Status.POSTED:
        ending = [other for other in known if _place(other) < event.position]
        taken = Step.END
    else:
        ending = [other for other in known if other.end_command_id == event.command_id]
        taken = Step.END if event.reason == Reason.NOT_EXCLUDED else Step.REFUSE_END
    fields: dict[str, Any] = {"ended_at": event.created_at}
    if taken is Step.REFUSE_END:
        fields = dict(_NO_END)
    return [change for other in ending if (change := step(other, taken, **fields)) is not None]


def expire(exclusion: Exclusion) -> Change | None:
    """What the end of an exclusion's time changes."""
    return step(exclusion, Step.EXPIRE, ended_at=exclusion.until)
