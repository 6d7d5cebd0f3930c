"""Blocks for fraud outside: what asks for one, and how its row reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.callers import Caller
from shared import clock
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.money import NO_CURRENCY


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BlockChange(_View):
    """One change of a player's block, as the journal has it.

    `until` is when the block ends, and `before` when the one before it would have: a moment, or "further notice" where
    it stands until it is lifted. Null where there is none.
    """

    transaction_id: UUID
    user_id: int
    type: Kind | str
    status: str = Field(description="posted or refused")
    reason: str | None
    stated_reason: str | None
    actor: str | None
    before: str | None
    until: str | None
    lane: int
    position: int
    created_at: datetime


class BlockChangeView(_View):
    """What became of a player's block."""

    block_change: BlockChange


def changed(event: LedgerEvent) -> dict[str, Any]:
    """A journal row as a BlockChangeView."""
    facts: Mapping[str, Any] = event.facts or {}
    return {
        "block_change": {
            "transaction_id": str(event.command_id),
            "user_id": event.user_id,
            "type": str(event.kind),
            "status": event.status.value,
            "reason": event.reason,
            "stated_reason": event.stated_reason,
            "actor": event.actor,
            "before": facts.get("before"),
            "until": facts.get("until"),
            "lane": event.lane,
            "position": event.position,
            "created_at": clock.to_text(event.created_at),
        }
    }


def command(
    kind: Kind,
    user_id: int,
    reason: str,
    *,
    caller: Caller,
    key: str | None,
    now: datetime,
    until: datetime | None = None,
) -> Command:
    """The command that blocks a player, or lifts its block."""
    return Command(
        command_id=caller.command_id(key),
        kind=kind,
        user_id=user_id,
        amount_minor=0,
        currency=NO_CURRENCY,
        reason=reason,
        actor=caller.subject,
        occurred_at=now,
        until=until,
    )
