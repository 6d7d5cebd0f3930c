"""A player's limits outside: money as decimal strings, seconds as numbers; what asks for a change, and how it reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.callers import Caller
from gateway.domain.requests import OverrideRequest, OwnLimitRequest, RaiseConfirmation
from shared import clock, money
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from shared.contracts.limits import IN_SECONDS, LimitName
from shared.contracts.readings import LimitReading
from shared.errors import FieldError, InvalidInput
from shared.money import to_decimal

# A decimal string; seconds of a cooldown; null where nothing is set.
Value = str | int | None


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PendingRaiseView(_View):
    """A raise of a player's own limit that waits until it can be confirmed."""

    amount: Value
    confirmable_from: datetime


class WindowView(_View):
    """How a limit's window begins (`calendar` or `rolling`), and when this one did."""

    mode: str
    starts_at: datetime


class LimitView(_View):
    """One limit of a player. `effective` holds: the strictest of the operator's, or the `override` in its place, the
    jurisdiction's and the player's own. Values are decimal strings, or seconds where the name says so.

    `used` and `remaining` are the window's. `withdrawals_from` is when a cooldown ends; null while they are open.
    """

    name: LimitName
    currency: str
    effective: Value
    operator: Value
    override: Value
    jurisdiction: Value
    own: Value
    pending: PendingRaiseView | None
    window: WindowView | None = None
    used: str | None = None
    remaining: str | None = None
    withdrawals_from: datetime | None = None


class LimitsView(_View):
    """A player's limits, in every currency that there are any in."""

    user_id: int
    limits: list[LimitView]


class LimitRequestsView(_View):
    """The raises of a player's own limits that wait."""

    user_id: int
    limit_requests: list[LimitView]


class LimitValues(_View):
    """What held: all in all, by staff, and by the player."""

    effective: Value
    override: Value
    own: Value


class LimitChange(_View):
    """One change of a player's limit, as the journal has it. A refused one has a `reason` and no `before` or `after`.

    `pending` is there where a raise waits: it holds after its confirmation, from `confirmable_from` on.
    """

    transaction_id: UUID
    type: Kind | str
    name: str
    currency: str
    status: str = Field(description="posted or refused")
    reason: str | None
    stated_reason: str | None
    actor: str | None
    asked: Value
    before: LimitValues | None
    after: LimitValues | None
    pending: PendingRaiseView | None
    lane: int
    position: int
    created_at: datetime


class LimitChangeView(_View):
    """What became of a limit."""

    limit_change: LimitChange


class LimitChangePage(_View):
    """Changes of a player's limits, newest first. `next_cursor` is null on the last page."""

    limit_changes: list[LimitChange]
    next_cursor: str | None


def limit(found: LimitReading) -> dict[str, Any]:
    """A limit as a LimitView."""

    def value(number: int | None) -> Value:
        return _value(number, found.name, found.currency)

    body: dict[str, Any] = {
        "name": found.name.value,
        "currency": found.currency,
        "effective": value(found.effective),
        "operator": value(found.operator),
        "override": value(found.override),
        "jurisdiction": value(found.jurisdiction),
        "own": value(found.own),
        "pending": None,
    }
    if found.pending is not None:
        confirmable_from = clock.to_text(found.pending.confirmable_from)
        body["pending"] = {"amount": value(found.pending.value), "confirmable_from": confirmable_from}
    if found.window is not None:
        body["window"] = {"mode": found.window.mode, "starts_at": clock.to_text(found.window.starts_at)}
        body |= {"used": value(found.window.used), "remaining": value(found.window.remaining)}
    if found.name in IN_SECONDS:
        until = found.withdrawals_from
        body["withdrawals_from"] = None if until is None else clock.to_text(until)
    return body


def change(event: LedgerEvent) -> dict[str, Any]:
    """A journal row as a LimitChange."""
    facts: Mapping[str, Any] = event.facts or {}
    name = str(event.reference_id)

    def value(fact: str) -> Value:
        return _value(facts.get(fact), name, event.currency)

    def values(when: str) -> dict[str, Value] | None:
        if event.status is not Status.POSTED:
            return None
        return {"effective": value(when), "override": value(f"{when}_override"), "own": value(f"{when}_own")}

    pending = {"amount": value("pending"), "confirmable_from": facts["pending_from"]} if "pending" in facts else None
    return {
        "transaction_id": str(event.command_id),
        "type": str(event.kind),
        "name": name,
        "currency": event.currency,
        "status": event.status.value,
        "reason": event.reason,
        "stated_reason": event.stated_reason,
        "actor": event.actor,
        "asked": value("asked_minor"),
        "before": values("before"),
        "after": values("after"),
        "pending": pending,
        "lane": event.lane,
        "position": event.position,
        "created_at": clock.to_text(event.created_at),
    }


def changed(event: LedgerEvent) -> dict[str, Any]:
    """A journal row as a LimitChangeView."""
    return {"limit_change": change(event)}


def _value(number: int | None, name: str, currency: str) -> Value:
    return number if number is None or name in IN_SECONDS else to_decimal(number, currency)


def override_value(name: LimitName, request: OverrideRequest) -> int:
    """An override's value, in minor units or seconds. Raises InvalidInput where it is given in the other's field."""
    given, other = ("seconds", "amount") if name in IN_SECONDS else ("amount", "seconds")
    if getattr(request, given) is None:
        raise InvalidInput([FieldError(given, f"is required for {name}")])
    if getattr(request, other) is not None:
        raise InvalidInput([FieldError(other, f"must not be given for {name}, which is in {given}")])
    if request.amount is not None:
        return money.to_minor(request.amount, request.currency, zero=True)
    assert request.seconds is not None
    return request.seconds


def minor(asked: OwnLimitRequest | RaiseConfirmation) -> int:
    """The value of a player's own limit, in minor units."""
    return money.to_minor(asked.amount, asked.currency, zero=True)


def command(
    kind: Kind,
    name: LimitName,
    user_id: int,
    value: int,
    currency: str,
    *,
    caller: Caller,
    key: str | None,
    now: datetime,
    reason: str | None = None,
) -> Command:
    """The command that changes a player's limit. `value` is in minor units or seconds."""
    return Command(
        command_id=caller.command_id(key),
        kind=kind,
        user_id=user_id,
        amount_minor=value,
        currency=currency,
        reference_id=name.value,
        reason=reason,
        actor=caller.subject,
        occurred_at=now,
    )
