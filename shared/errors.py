"""The one tree of errors.

    LangSenseError
    ├── PermanentError            the same call fails again; the caller or an operator has to change something
    │   ├── ConfigurationError      a setting is missing or out of range
    │   ├── InvalidInput            a request or message is wrong; names each field
    │   │   ├── Undecodable           a message whose bytes are not what its contract says
    │   │   └── UnreadableWebhook     a webhook whose signature holds, and that is no event
    │   ├── IdempotencyKeyMissing   a request that moves money came without its key
    │   ├── WrongLane               a command on a partition that is not its player's
    │   ├── CommandIdReused         a command id that was decided with other content
    │   ├── ExclusionRefused        an exclusion, or its end, that the rules do not allow; one error a rule
    │   │   ├── ExclusionNotOffered     the jurisdiction has no such type
    │   │   ├── ExclusionTooShort       shorter than its type may be
    │   │   ├── ExclusionTooLong        longer than its type may be
    │   │   ├── ExclusionShortened      it would end before the one in force
    │   │   ├── ExclusionPermanent      the one in force is permanent
    │   │   ├── ExclusionEndsLater      the jurisdiction lets it end by its time alone
    │   │   └── ExclusionNotInForce     there is nothing to end, or no end to revoke
    │   ├── NotFound                there is no such thing
    │   ├── Unauthenticated         no valid token
    │   ├── Forbidden               a valid token that may not do this
    │   ├── TooLarge                more than the stated bound
    │   │   └── OversizedWebhook        of a webhook
    │   └── IntegrityViolation      the ledger does not match its own chain
    └── TransientError            the same call may succeed later; retry with backoff
        ├── BrokerUnavailable       Kafka does not answer within the bound
        ├── DatabaseUnavailable     PostgreSQL does not answer within the bound
        ├── ServiceUnavailable      another service does not answer within the bound
        ├── SinkUnavailable         the place for checkpoints outside the database cannot be read or written
        ├── DeliveryFailed          a report could not be sent
        ├── KeysUnavailable         the place that the keys come from does not answer, or has none
        ├── NotSealedYet            a decision's checkpoint has not been made yet
        └── RateLimited             too many requests; says when to come back

A business refusal (no funds, a limit reached) is a decision, not an error.
HTTP codes are given at the edge alone, in `shared.problems`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class LangSenseError(Exception):
    """Root of the tree. `code` is stable and machine-readable; the message says what to do."""

    code = "INTERNAL_ERROR"


class PermanentError(LangSenseError):
    """Fails again until somebody changes something."""

    code = "PERMANENT_ERROR"


class ConfigurationError(PermanentError):
    """A setting is missing or out of range; the message names it."""

    code = "CONFIGURATION_INVALID"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field of a request or message: its dotted name and what is allowed."""

    field: str
    message: str


class InvalidInput(PermanentError):
    """A request or message is wrong. `errors` names each field and says what is allowed."""

    code = "VALIDATION_FAILED"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))


class UnreadableWebhook(InvalidInput):
    """A webhook whose signature holds, and that is no event."""

    code = "WEBHOOK_UNREADABLE"


class Undecodable(InvalidInput):
    """A message whose bytes are not what its contract says."""

    code = "UNDECODABLE"


class IdempotencyKeyMissing(PermanentError):
    """A request that moves money came without the key that makes its repetition harmless."""

    code = "IDEMPOTENCY_KEY_MISSING"


class WrongLane(PermanentError):
    """A command on a partition that is not its player's. Publish with key = decimal user id, partitioner murmur2."""

    code = "WRONG_LANE"

    def __init__(self, *, lane: int, expected: int) -> None:
        super().__init__(
            f"this command belongs on lane {expected} and came on lane {lane}; "
            "publish with the decimal user id as key and the murmur2 partitioner"
        )


class CommandIdReused(PermanentError):
    """A command id that was decided with other content. Use a new id for a new command."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"this command id was used before with another {field}; use a new one for a new command")


class ExclusionRefused(PermanentError):
    """An exclusion, or its end, that the rules do not allow. `errors` names the field that decides it."""

    code = "EXCLUSION_REFUSED"
    field = "type"

    def __init__(self, message: str) -> None:
        self.errors = (FieldError(self.field, message),)
        super().__init__(message)


class ExclusionNotOffered(ExclusionRefused):
    """The jurisdiction has no exclusion of this type."""

    code = "EXCLUSION_NOT_OFFERED"


class ExclusionTooShort(ExclusionRefused):
    """Shorter than its type may be."""

    code = "EXCLUSION_TOO_SHORT"
    field = "duration_hours"


class ExclusionTooLong(ExclusionRefused):
    """Longer than its type may be."""

    code = "EXCLUSION_TOO_LONG"
    field = "duration_hours"


class ExclusionShortened(ExclusionRefused):
    """It would end before the one in force."""

    code = "EXCLUSION_SHORTENED"
    field = "duration_hours"


class ExclusionPermanent(ExclusionRefused):
    """The one in force is permanent: it is neither replaced nor, where the jurisdiction says so, ever ended."""

    code = "EXCLUSION_PERMANENT"


class ExclusionEndsLater(ExclusionRefused):
    """The jurisdiction lets it end by its time alone."""

    code = "EXCLUSION_ENDS_LATER"
    field = "exclusion_id"


class ExclusionNotInForce(ExclusionRefused):
    """There is nothing to end, or no end that could be revoked."""

    code = "EXCLUSION_NOT_IN_FORCE"
    field = "exclusion_id"


class NotFound(PermanentError):
    """There is no such thing."""

    code = "NOT_FOUND"


class Unauthenticated(PermanentError):
    """No valid token came with the request."""

    code = "UNAUTHENTICATED"


class Forbidden(PermanentError):
    """The token is valid and does not allow this."""

    code = "FORBIDDEN"


class TooLarge(PermanentError):
    """More than the stated bound."""

    code = "TOO_LARGE"


class OversizedWebhook(TooLarge):
    """A webhook that is longer than any that its provider sends."""

    code = "WEBHOOK_TOO_LARGE"


class IntegrityViolation(PermanentError):
    """The ledger does not match its own chain."""

    code = "INTEGRITY_VIOLATION"


class TransientError(LangSenseError):
    """May succeed later: retry with backoff, after `retry_after_s` seconds at the earliest."""

    code = "UNAVAILABLE"
    retry_after_s = 1


class BrokerUnavailable(TransientError):
    """Kafka does not answer within the bound."""

    code = "BROKER_UNAVAILABLE"


class DatabaseUnavailable(TransientError):
    """PostgreSQL does not answer within the bound."""

    code = "DATABASE_UNAVAILABLE"


class ServiceUnavailable(TransientError):
    """Another service does not answer within the bound."""

    code = "SERVICE_UNAVAILABLE"


class DeliveryFailed(TransientError):
    """A report could not be sent."""

    code = "DELIVERY_FAILED"


class SinkUnavailable(TransientError):
    """The place for checkpoints outside the database cannot be read or written."""

    code = "SINK_UNAVAILABLE"


class KeysUnavailable(TransientError):
    """The place that the keys come from does not answer, or has none."""

    code = "KEYS_UNAVAILABLE"


class NotSealedYet(TransientError):
    """The decision is there, and its checkpoint has not been made yet."""

    code = "NOT_SEALED_YET"

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"this transaction is not under a checkpoint yet; try again in {retry_after_s} s")


class RateLimited(TransientError):
    """Too many requests."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many requests; try again in {retry_after_s} s")
