"""Blocks that flags ask for: one a flag, asked of the wallet until it decides, and lifted where it was a mistake.

A block that was in force before the flag's own, or that somebody else asks for after it, is not the flag's: it stays
when the flag is dismissed, and whoever made it lifts it. Before a block is lifted its own fate is known, since a
command that is on its way could arrive behind what lifts it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

from fraud_service.domain.observations import milliseconds
from shared.contracts import actors
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.fields import MAX_TEXT
from shared.contracts.kinds import Kind, Reason, Status
from shared.money import NO_CURRENCY

_SEPARATORS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class BlockPolicy(StrEnum):
    """What a flag does to its player by itself: nothing before somebody has looked, or a block at once."""

    REVIEW = "review"
    BLOCK = "block"


class BlockState(StrEnum):
    """Where a flag's block stands. COVERED: the player is blocked, by more than this flag."""

    REQUESTED = "requested"
    IN_FORCE = "in_force"
    COVERED = "covered"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    LIFTING = "lifting"
    LIFTED = "lifted"


DUE = frozenset({BlockState.REQUESTED, BlockState.LIFTING})


@dataclass(frozen=True, slots=True)
class FlagBlock:
    """A flag's block. `position`: of the wallet's decision on it, in the player's lane; None before there is one.

    `seen_at`: the latest of what the flag was raised for, in milliseconds.
    `asked`: how often the wallet was asked for the step that is due.
    """

    flag_id: UUID
    user_id: int
    state: BlockState
    requested_at: datetime
    reason: str
    seen_at: int
    asked: int = 0
    position: int | None = None
    lift_requested_at: datetime | None = None
    lift_reason: str | None = None

    @property
    def block_id(self) -> UUID:
        """The id of the command that blocks."""
        return uuid5(self.flag_id, Kind.FRAUD_BLOCK.value)


def because(texts: Iterable[str]) -> str:
    """Reasons as one sentence that fits a command."""
    sentence = _SEPARATORS.sub(" ", "; ".join(texts)).strip() or "the score is too high"
    return sentence if len(sentence) <= MAX_TEXT else f"{sentence[: MAX_TEXT - 1]}…"


def due_command(block: FlagBlock) -> Command:
    """What the wallet is to be asked for a block that is due: the same command, however often it is asked."""
    kind, command_id, reason, at = Kind.FRAUD_BLOCK, block.block_id, block.reason, block.requested_at
    if block.state is BlockState.LIFTING and block.position is not None:
        assert block.lift_requested_at is not None
        assert block.lift_reason is not None
        kind, command_id = Kind.FRAUD_UNBLOCK, uuid5(block.flag_id, Kind.FRAUD_UNBLOCK.value)
        reason, at = block.lift_reason, block.lift_requested_at
    return Command(
        command_id=command_id,
        kind=kind,
        user_id=block.user_id,
        amount_minor=0,
        currency=NO_CURRENCY,
        reference_id=str(block.flag_id),
        reason=reason,
        actor=actors.FRAUD,
        occurred_at=at,
    )


class Unblock(NamedTuple):
    """A player's latest unblock: its position in the player's lane, and when somebody asked for it, in milliseconds."""

    position: int = 0
    at: int = 0


NEVER = Unblock()


def unblock(event: LedgerEvent) -> Unblock | None:
    """What a row answers, if it lifts a block: all that was seen before somebody asked for it.

    Of its own rows this service knows when that was. Anybody else's time is a claim: the wallet's is not.
    """
    if event.kind != Kind.FRAUD_UNBLOCK or event.status is Status.REFUSED:
        return None
    at = event.occurred_at if event.actor == actors.FRAUD else event.created_at
    return Unblock(event.position, milliseconds(at))


def decided(block: FlagBlock, event: LedgerEvent, latest: Unblock = NEVER) -> FlagBlock:
    """A block after the wallet's decision on its command. What was decided before changes nothing.

    `latest`: the player's latest unblock, which may have come after that decision and before it was known.
    """
    if block.state not in DUE:
        return block
    if event.kind == Kind.FRAUD_UNBLOCK:
        # Refused: it was lifted already.
        return replace(block, state=BlockState.LIFTED, asked=0)
    if block.position is not None:
        return block
    after = replace(block, position=event.position, asked=0)
    if event.position < latest.position:
        return replace(after, state=BlockState.LIFTED)
    if event.status is Status.REFUSED:
        longer = event.reason == Reason.BLOCK_SHORTENED
        return replace(after, state=BlockState.COVERED if longer else BlockState.REFUSED)
    if "before" in (event.facts or {}):
        return replace(after, state=BlockState.COVERED)
    # One that is to be lifted stays so.
    return after if block.state is BlockState.LIFTING else replace(after, state=BlockState.IN_FORCE)


def dismissed(block: FlagBlock, by: str, note: str, now: datetime) -> FlagBlock:
    """A block whose flag was a mistake."""
    if block.state is BlockState.REQUESTED and block.asked == 0:
        return replace(block, state=BlockState.CANCELLED)
    if block.state not in (BlockState.REQUESTED, BlockState.IN_FORCE):
        return block
    reason = because([f"the flag was dismissed by {by}: {note}"])
    return replace(block, state=BlockState.LIFTING, asked=0, lift_requested_at=now, lift_reason=reason)


def overtaken(block: FlagBlock, event: LedgerEvent) -> FlagBlock:
    """A block after a row about blocks of the same player: somebody else's, or what answers why it is requested."""
    answer = unblock(event)
    if block.state is BlockState.REQUESTED and block.asked == 0 and answer is not None and block.seen_at <= answer.at:
        return replace(block, state=BlockState.CANCELLED)
    if event.actor == actors.FRAUD:
        return block
    settled = block.state in (BlockState.IN_FORCE, BlockState.COVERED)
    if not settled or event.status is Status.REFUSED or event.position <= (block.position or 0):
        return block
    if event.kind == Kind.FRAUD_UNBLOCK:
        return replace(block, state=BlockState.LIFTED)
    return replace(block, state=BlockState.COVERED)
