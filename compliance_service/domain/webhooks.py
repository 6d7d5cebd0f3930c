"""A provider's webhook: who signed it, when, and what it says.

X-KYC-Timestamp: seconds since 1970. X-KYC-Signature: `v1=` and the hex HMAC-SHA256 over the timestamp, a full stop and
the body as it came; several with commas between, while the secret changes.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from shared.contracts.commands import field_errors
from shared.contracts.fields import Moment
from shared.contracts.kyc import KycResult
from shared.errors import OversizedWebhook, Unauthenticated, UnreadableWebhook

MAX_WEBHOOK_BYTES = 16 * 1024
WINDOW_S = 300
TIMESTAMP, SIGNATURE = "X-KYC-Timestamp", "X-KYC-Signature"
_MAX_SIGNATURES = 8


class KycWebhook(BaseModel):
    """One event of a provider: what it found of one submission, and when."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    event_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
    submission_id: UUID
    result: KycResult
    occurred_at: Moment


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature as its header has it."""
    return f"v1={hmac.digest(secret.encode(), b'%d.%b' % (timestamp, body), 'sha256').hex()}"


def read(body: bytes, timestamp: str, signature: str, secrets: Sequence[str], now: datetime) -> KycWebhook:
    """The event. Raises OversizedWebhook, Unauthenticated for a forged or stale one, UnreadableWebhook.

    None of them shows what came.
    """
    if len(body) > MAX_WEBHOOK_BYTES:
        raise OversizedWebhook(f"a webhook has at most {MAX_WEBHOOK_BYTES} bytes")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Unauthenticated(f"{TIMESTAMP} must be seconds since 1970")
    given = [part.strip().encode() for part in signature.split(",")[:_MAX_SIGNATURES]]
    expected = [sign(secret, int(timestamp), body).encode() for secret in secrets]
    # All are compared: how long it takes does not tell which one was near.
    if not sum(hmac.compare_digest(one, other) for one in given for other in expected):
        raise Unauthenticated(f"{SIGNATURE} is not ours over this body")
    if abs(now.timestamp() - int(timestamp)) > WINDOW_S:
        raise Unauthenticated(f"{TIMESTAMP} is more than {WINDOW_S} seconds away")
    try:
        return KycWebhook.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableWebhook(field_errors(error)) from None
