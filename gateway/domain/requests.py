"""What a client may ask for, as it stands in a request's body, and the command that it becomes."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from gateway.domain.callers import Caller
from shared import money
from shared.contracts.commands import Command, field_errors
from shared.contracts.fields import Currency, Moment, Provider, Text, UserId
from shared.contracts.integrity import Period
from shared.contracts.kinds import GAME_KINDS, MOVES_NOTHING, NEEDS_PROVIDER, NEEDS_REASON, NEEDS_REFERENCE, Kind
from shared.contracts.kyc import KycDecision, KycErasure, KycSubmission
from shared.contracts.limits import MAX_LIMIT_SECONDS, OWN_LIMITS, LimitName
from shared.errors import FieldError, InvalidInput, TooLarge

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=Period)

# A transaction is a few hundred bytes; what is larger is not read.
MAX_TRANSACTION_BYTES = 8 * 1024
MAX_BATCH = 1_000
# A wrong body may be wrong in thousands of ways; the first ones are enough to mend it.
MAX_FINDINGS = 20
_MAX_FIELD_NAME = 100

# Without space at its ends: a header's value loses it, and a key has to be the same in a header and in a batch.
_KEY = r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"
_KEY_FORM = re.compile(_KEY)

IdempotencyKey = Annotated[
    str,
    StringConstraints(pattern=_KEY),
    Field(description="Chosen by the client, one for each transaction; a retry carries the same one."),
]

# What each kind needs beside the fields that all have.
_NEEDED_BY = {"provider": NEEDS_PROVIDER, "reference_id": NEEDS_REFERENCE, "reason": NEEDS_REASON}


# What is posted as it stands. What changes limits, and what corrects, is asked for in words of its own.
POSTED_HERE = tuple(kind for kind in Kind if kind not in MOVES_NOTHING | {Kind.REVERSAL, Kind.PAYOUT_RELEASE})


def _posted_here(kind: Kind) -> Kind:
    if kind not in POSTED_HERE:
        raise ValueError(f"must be one of {', '.join(POSTED_HERE)}; {kind} has an endpoint of its own")
    return kind


class TransactionRequest(BaseModel):
    """One transaction to be posted.

    A rollback names the `reference_id` and `round_id` of what it takes back; a capture or release the `reference_id`
    of its hold. `provider` names the clearing account. An adjustment needs a `reason`. A transaction that is not
    decided by `expires_at` is refused; a bet expires soon after its caller stops waiting, where it does not say.
    """

    # `type` stands first: what other fields need depends on it. The amount's decimals depend on the currency.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    type: Annotated[Kind, AfterValidator(_posted_here), WithJsonSchema({"type": "string", "enum": list(POSTED_HERE)})]
    user_id: UserId
    currency: Currency
    amount: str = Field(description="A decimal string with at most the currency's decimals.", examples=["10.00"])
    reference_id: Text | None = Field(default=None, validate_default=True)
    round_id: Text | None = None
    provider: Provider | None = Field(default=None, validate_default=True)
    reason: Text | None = Field(default=None, validate_default=True)
    expires_at: Moment | None = None

    @field_validator("amount")
    @classmethod
    def _is_an_amount(cls, amount: str, info: ValidationInfo) -> str:
        # With a wrong currency there is no number of decimals to hold the amount to.
        if "currency" in info.data:
            money.to_minor(amount, info.data["currency"])
        return amount

    @field_validator("reference_id", "provider", "reason")
    @classmethod
    def _is_there_where_needed(cls, value: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("type")
        if value is None and info.field_name is not None and kind in _NEEDED_BY[info.field_name]:
            raise ValueError(f"is required for {kind}")
        return value


class BatchElement(TransactionRequest):
    """One transaction of a batch, with its own idempotency key."""

    idempotency_key: IdempotencyKey


class ReconciliationRequest(Period):
    """A period to be reconciled."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=False)


class ComplianceAuditRequest(ReconciliationRequest):
    """A period to be audited: how players were protected in it."""


class BatchRequest(BaseModel):
    """Several transactions. Each is decided by itself, a player's in the order in which they stand here."""

    transactions: list[BatchElement] = Field(min_length=1, max_length=MAX_BATCH)


def _is_a_limit(amount: str, info: ValidationInfo) -> str:
    if "currency" in info.data:
        money.to_minor(amount, info.data["currency"], zero=True)
    return amount


def _own(name: LimitName) -> LimitName:
    if name not in OWN_LIMITS:
        raise ValueError(f"must be one of {', '.join(sorted(OWN_LIMITS))}")
    return name


LimitAmount = Annotated[
    str,
    AfterValidator(_is_a_limit),
    Field(
        description="A decimal string with at most the currency's decimals; zero allows nothing.", examples=["800.00"]
    ),
]
OwnLimit = Annotated[LimitName, AfterValidator(_own), WithJsonSchema({"type": "string", "enum": sorted(OWN_LIMITS)})]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class OverrideRequest(_Body):
    """A limit of one player's own in the place of the operator's: an `amount`, or `seconds` for a cooldown.

    Zero allows nothing; of a cooldown, it lets withdrawals through at once.
    """

    currency: Currency
    amount: LimitAmount | None = None
    seconds: int | None = Field(default=None, ge=0, le=MAX_LIMIT_SECONDS)
    reason: Text


class OverrideRemoval(_Body):
    """Why the operator's limit holds again."""

    currency: Currency
    reason: Text


class OwnLimitRequest(_Body):
    """A limit that a player sets itself. The first, or a lower one, holds at once; a raise waits to be confirmed."""

    name: OwnLimit
    currency: Currency
    amount: LimitAmount


class RaiseConfirmation(_Body):
    """The raise that has waited, by its value."""

    currency: Currency
    amount: LimitAmount


class CorrectionRequest(_Body):
    """What is corrected of a transaction, and why. Without an `amount`: all of it."""

    amount: str | None = Field(default=None, description="A decimal string, in the transaction's currency.")
    reason: Text


class DisputeRequest(_Body):
    """Why a transaction is disputed, or its dispute resolved."""

    reason: Text


class BlockRequest(_Body):
    """Why a player is blocked for fraud. Without `until`, until the block is lifted."""

    reason: Text
    until: Moment | None = None


class BlockRemoval(_Body):
    """Why a block is lifted."""

    reason: Text


def read_transaction(body: bytes) -> TransactionRequest:
    """A transaction from a request's body. Raises InvalidInput, which names each wrong field, and TooLarge."""
    return read_body(TransactionRequest, body)


def read_batch(body: bytes) -> Sequence[Any]:
    """A batch's elements, not looked at yet: each is read by itself. Raises InvalidInput."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput([FieldError("body", f"is not JSON: {error}")]) from None
    if not isinstance(read, dict) or read.keys() != {"transactions"}:
        raise InvalidInput([FieldError("body", 'must be an object with the one field "transactions"')])
    elements = read["transactions"]
    if not isinstance(elements, list) or not 1 <= len(elements) <= MAX_BATCH:
        raise InvalidInput([FieldError("transactions", f"must be a list of 1 to {MAX_BATCH} transactions")])
    return elements


def read_element(element: Any) -> BatchElement:
    """One element of a batch. Raises InvalidInput, which names each wrong field, and TooLarge."""
    return read_body(BatchElement, orjson.dumps(element))


def read_reconciliation(body: bytes, now: datetime) -> ReconciliationRequest:
    """A period from a request's body, which has to be over. Raises InvalidInput, which names each wrong field."""
    return _over(read_body(ReconciliationRequest, body), now)


def read_compliance_audit(body: bytes, now: datetime) -> ComplianceAuditRequest:
    """As `read_reconciliation`."""
    return _over(read_body(ComplianceAuditRequest, body), now)


def read_override(body: bytes) -> OverrideRequest:
    """An override from a request's body. Raises InvalidInput, which names each wrong field, and TooLarge."""
    return read_body(OverrideRequest, body)


def read_override_removal(body: bytes) -> OverrideRemoval:
    """An override's end. Raises as `read_override`."""
    return read_body(OverrideRemoval, body)


def read_own_limit(body: bytes) -> OwnLimitRequest:
    """A player's own limit. Raises as `read_override`."""
    return read_body(OwnLimitRequest, body)


def read_confirmation(body: bytes) -> RaiseConfirmation:
    """A raise's confirmation. Raises as `read_override`."""
    return read_body(RaiseConfirmation, body)


def read_correction(body: bytes) -> CorrectionRequest:
    """A reversal or release. Raises as `read_override`."""
    return read_body(CorrectionRequest, body)


def read_dispute(body: bytes) -> DisputeRequest:
    """A dispute, or its end. Raises as `read_override`."""
    return read_body(DisputeRequest, body)


def read_block(body: bytes) -> BlockRequest:
    """A block for fraud. Raises as `read_override`."""
    return read_body(BlockRequest, body)


def read_block_removal(body: bytes) -> BlockRemoval:
    """A block's end. Raises as `read_override`."""
    return read_body(BlockRemoval, body)


def read_kyc(body: bytes) -> KycSubmission:
    """What a player shows. Raises TooLarge, InvalidInput, which repeats no value."""
    return read_body(KycSubmission, body)


def read_kyc_decision(body: bytes) -> KycDecision:
    """Staff's decision on it. Raises TooLarge, InvalidInput."""
    return read_body(KycDecision, body)


def read_kyc_erasure(body: bytes) -> KycErasure:
    """Why it is destroyed. Raises TooLarge, InvalidInput."""
    return read_body(KycErasure, body)


def read_body(model: type[M], body: bytes, *, at_most: int = MAX_TRANSACTION_BYTES) -> M:
    """What is asked for, from a request's body. Raises InvalidInput, which names each wrong field, and TooLarge."""
    if len(body) > at_most:
        raise TooLarge(f"what is asked for must be at most {at_most} bytes")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        findings = field_errors(error)[:MAX_FINDINGS]
        raise InvalidInput([FieldError(found.field[:_MAX_FIELD_NAME], found.message) for found in findings]) from None


def _over(period: P, now: datetime) -> P:
    if period.end > now:
        raise InvalidInput([FieldError("to", "must not be in the future")])
    return period


def check_key(key: str) -> str:
    """An idempotency key, if it may be one. Raises InvalidInput."""
    if not _KEY_FORM.fullmatch(key):
        raise InvalidInput(
            [FieldError("Idempotency-Key", "must be 1 to 255 printable ASCII characters, no space first or last")]
        )
    return key


def command_of(
    request: TransactionRequest, caller: Caller, key: str | None, *, now: datetime, bets_expire_at: datetime | None
) -> Command:
    """The command that a request becomes. A game's commands carry no actor: their client is a machine."""
    expires_at = request.expires_at
    if expires_at is None and request.type is Kind.GAME_BET:
        expires_at = bets_expire_at
    return Command(
        command_id=caller.command_id(key),
        kind=request.type,
        user_id=request.user_id,
        amount_minor=money.to_minor(request.amount, request.currency),
        currency=request.currency,
        reference_id=request.reference_id,
        round_id=request.round_id,
        provider=request.provider,
        reason=request.reason,
        actor=None if request.type in GAME_KINDS else caller.subject,
        occurred_at=now,
        expires_at=expires_at,
    )
