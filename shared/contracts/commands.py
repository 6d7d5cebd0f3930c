"""`wallet.commands.v1`: what any client may ask of the wallet.

The record's key is the decimal user id, its partitioner murmur2 (the Java client's), so that all of a player's
commands stand on one lane in the order in which they were published.
"""

import re
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from shared.contracts.exclusions import ExclusionType
from shared.contracts.fields import AmountMinor, CurrencyOrNone, Moment, Provider, Text, UserId
from shared.contracts.kinds import (
    EXCLUSION_KINDS,
    LIMIT_KINDS,
    MOVES_NOTHING,
    NEEDS_ORIGINAL,
    NEEDS_PROVIDER,
    NEEDS_REASON,
    NEEDS_REFERENCE,
    PLAYER_KINDS,
    REQUEST_KINDS,
    Kind,
)
from shared.contracts.limits import IN_SECONDS, MAX_LIMIT_SECONDS, OWN_LIMITS, LimitName
from shared.errors import FieldError, Undecodable
from shared.money import NO_CURRENCY

# A command is a few hundred bytes; what is larger is not read.
MAX_COMMAND_BYTES = 8 * 1024


_TIER = re.compile(r"[A-Z][A-Z0-9_]{0,31}")


class Command(BaseModel):
    """One command: one decision, one journal row.

    `reference_id` names what the command is about: the game transaction or the payment, `round_id` the round. A
    rollback, or the release of a held payout, names the `reference_id` and `round_id` of the bet or payout that it is
    for; a capture or release names the `reference_id` of its hold. A reversal or dispute names another transaction's
    id, and a reversal that one's `provider` too. A limit's command names the limit, and its amount is the limit's
    value: minor units, or seconds where its name ends in SECONDS.

    An exclusion names its type, a tier its name, and a block for fraud may name the flag that it comes from;
    `currency` is XXX for what is about the player as a whole.

    `provider` names the clearing account. `reason` and `actor` say why and by whom staff does something. A command
    decided after `expires_at` is refused. `until` is when what the command begins is over by itself: what is left of
    a hold is released then (without it, after the wallet's own time), an exclusion ends, where it is not permanent,
    and so does a block; without it, a block stands until it is lifted.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", title="Command")

    command_id: UUID = Field(description="Made by the client. The same id is the same command, however often it comes.")
    kind: Kind
    user_id: UserId
    amount_minor: AmountMinor
    currency: CurrencyOrNone
    reference_id: Text | None = None
    round_id: Text | None = None
    provider: Provider | None = None
    reason: Text | None = None
    actor: Text | None = None
    occurred_at: Moment
    expires_at: Moment | None = None
    until: Moment | None = None

    @field_validator("amount_minor")
    @classmethod
    def _moves_something(cls, amount_minor: int, info: ValidationInfo) -> int:
        if amount_minor == 0 and info.data.get("kind") not in MOVES_NOTHING:
            raise ValueError("must be more than zero")
        return amount_minor

    @field_validator("currency")
    @classmethod
    def _in_a_currency_or_in_none(cls, currency: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        # Another transaction may be about the player too.
        if kind is None or kind in NEEDS_ORIGINAL or (currency == NO_CURRENCY) == (kind in PLAYER_KINDS):
            return currency
        raise ValueError(f"must be {NO_CURRENCY} for what is about the player, and a currency for all else")

    @field_validator("reference_id")
    @classmethod
    def _names_what_it_is_about(cls, reference_id: str | None, info: ValidationInfo) -> str | None:
        if reference_id is not None and "kind" in info.data:
            check_reference(info.data["kind"], reference_id)
        return reference_id

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        missing = missing_fields(self.kind, self.provider, self.reference_id, self.reason, self.actor)
        if missing:
            raise ValueError(f"{missing[0]} is required for {self.kind}")
        if self.reference_id is not None:
            check_limit_value(self.kind, self.reference_id, self.amount_minor)
        if self.kind is Kind.EXCLUSION and (self.until is None) != (self.reference_id == ExclusionType.PERMANENT):
            raise ValueError("until is required for an exclusion that is not permanent, and for no other")
        return self


def check_reference(kind: Kind, reference_id: str) -> None:
    """Raises ValueError where this cannot be what a command of this kind is about."""
    if kind in LIMIT_KINDS:
        names = OWN_LIMITS if kind in REQUEST_KINDS else frozenset(LimitName)
        if reference_id not in names:
            raise ValueError(f"must be one of {', '.join(sorted(names))} for {kind}")
    elif kind in EXCLUSION_KINDS and reference_id not in frozenset(ExclusionType):
        raise ValueError(f"must be one of {', '.join(ExclusionType)} for {kind}")
    elif kind is Kind.KYC_TIER and not _TIER.fullmatch(reference_id):
        raise ValueError("must be a tier's name, such as VERIFIED")
    elif kind in NEEDS_ORIGINAL and not _is_canonical_uuid(reference_id):
        raise ValueError(f"must be a transaction's id for {kind}")


def check_limit_value(kind: Kind, reference_id: str, value: int) -> None:
    """Raises ValueError where a limit that is in seconds cannot have this value."""
    if kind in LIMIT_KINDS and reference_id in IN_SECONDS and value > MAX_LIMIT_SECONDS:
        raise ValueError(f"amount_minor must be at most {MAX_LIMIT_SECONDS} seconds for {reference_id}")


def _is_canonical_uuid(text: str) -> bool:
    # One text for one transaction: what was reversed is counted by it.
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def missing_fields(
    kind: Kind, provider: str | None, reference_id: str | None, reason: str | None, actor: str | None
) -> list[str]:
    """The names of the fields that this kind needs and that are None."""
    missing = []
    if provider is None and kind in NEEDS_PROVIDER:
        missing.append("provider")
    if reference_id is None and kind in NEEDS_REFERENCE:
        missing.append("reference_id")
    if kind in NEEDS_REASON:
        missing += [name for name, value in (("reason", reason), ("actor", actor)) if value is None]
    return missing


def decode(body: bytes) -> Command:
    """A command from a record's value. Raises Undecodable, which names each wrong field."""
    if len(body) > MAX_COMMAND_BYTES:
        raise Undecodable([FieldError("body", f"must be at most {MAX_COMMAND_BYTES} bytes")])
    try:
        return Command.model_validate_json(body)
    except ValidationError as error:
        raise Undecodable(field_errors(error)) from None


def encode(command: Command) -> bytes:
    """The record's value for a command."""
    return command.model_dump_json(exclude_none=True).encode()


def field_errors(error: ValidationError) -> list[FieldError]:
    """pydantic's findings as ours: a dotted field name and what is allowed, never the value that came."""
    return [
        FieldError(".".join(str(part) for part in finding["loc"]) or "body", _allowed(finding["msg"]))
        for finding in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _allowed(message: str) -> str:
    return message.removeprefix("Value error, ")
