"""The request headers that mean something here: Idempotency-Key, Prefer, traceparent."""

import re
from typing import NamedTuple

from fastapi import Request

from gateway.domain.requests import check_key
from gateway.settings import Settings
from shared.contracts.headers import trace_id
from shared.errors import FieldError, IdempotencyKeyMissing, InvalidInput

_JSON = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)
# A structured-field string (RFC 9651): in double quotes, with a backslash before a quote or a backslash.
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')


class Patience(NamedTuple):
    """How long a caller waits for a decision, and what of its `Prefer` header was followed."""

    wait_s: float
    applied: str | None

    def headers(self) -> dict[str, str]:
        """What the answer says of it."""
        return {} if self.applied is None else {"Preference-Applied": self.applied}


def require_json(request: Request) -> None:
    """Raises InvalidInput for a body that says it is something else."""
    if not _JSON.fullmatch(request.headers.get("content-type", "application/json")):
        raise InvalidInput([FieldError("Content-Type", "must be application/json")])


async def json_body(request: Request) -> bytes:
    """The body. Raises InvalidInput where it says that it is something other than JSON."""
    require_json(request)
    return await request.body()


def idempotency_key(request: Request) -> str:
    """The key, bare or as a quoted string. Raises IdempotencyKeyMissing, or InvalidInput for what is no key."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        raise IdempotencyKeyMissing("send an Idempotency-Key header; a retry of this request carries the same one")
    if len(given) > 1:
        raise InvalidInput([FieldError("Idempotency-Key", "must be there once")])
    quoted = _QUOTED.fullmatch(given[0])
    return check_key(_ESCAPED.sub(r"\1", quoted[1]) if quoted else given[0])


def optional_idempotency_key(request: Request) -> str | None:
    """The key, where there is one. Raises InvalidInput for what is no key."""
    return idempotency_key(request) if "idempotency-key" in request.headers else None


def patience(request: Request, settings: Settings) -> Patience:
    """From `Prefer: wait=N` and `Prefer: respond-async` (RFC 7240). A preference that is no such thing is ignored."""
    preferences = ",".join(request.headers.getlist("prefer")).lower()
    if not preferences:
        return Patience(settings.wait_default_s, None)
    applied = []
    wait_s = settings.wait_default_s
    for preference in preferences.split(","):
        name, _, value = (part.strip() for part in preference.partition(";")[0].partition("="))
        value = value.strip('"')
        if name == "respond-async" and not value and "respond-async" not in applied:
            applied.append("respond-async")
        elif name == "wait" and value.isascii() and value.isdigit() and not any("wait" in found for found in applied):
            wait_s = min(float(value[:6]), settings.wait_max_s)
            applied.append(f"wait={wait_s:g}")
    if applied == ["respond-async"]:
        wait_s = 0.0
    return Patience(wait_s, ", ".join(applied) or None)


def traceparent(request: Request) -> str | None:
    """The W3C trace context that the request belongs to, where it has the form of one."""
    given = request.headers.get("traceparent", "")
    return given if trace_id(given) is not None else None
