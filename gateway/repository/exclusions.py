"""Exclusions, which the compliance service owns: its answers pass as they are, refusals included."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import httpx2
from pydantic import BaseModel, JsonValue, TypeAdapter

from gateway.repository import decoded, get
from gateway.repository.passing import Passed, passed, read
from shared.contracts.exclusions import Exclusion, NumberedExclusion
from shared.contracts.play import Protection

M = TypeVar("M", bound=BaseModel)

_HISTORY = TypeAdapter(list[NumberedExclusion])
_ONE = TypeAdapter(Exclusion)
_PROTECTION = TypeAdapter(Protection)


class Exclusions:
    """Players' exclusions. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, compliance: httpx2.AsyncClient) -> None:
        self._compliance = compliance

    async def ask(self, model: type[M], user_id: int, what: str, body: Mapping[str, JsonValue]) -> M | Passed:
        """Change something of a player in somebody's name; the problem document where it is refused."""
        request = self._compliance.build_request("POST", f"/users/{user_id}/{what}", json=dict(body))
        answer = await passed(self._compliance, request)
        return read(model, answer) if answer.status == httpx2.codes.OK else answer

    async def history(self, user_id: int, *, limit: int, before: int | None) -> Sequence[NumberedExclusion]:
        """At most `limit` of a player's exclusions below a number, the newest first."""
        query = {"limit": limit} if before is None else {"limit": limit, "before": before}
        return decoded(_HISTORY, await get(self._compliance, f"/users/{user_id}/exclusions", query))

    async def protection(self, user_id: int) -> Protection:
        """How a player is protected beside its limits of money."""
        return decoded(_PROTECTION, await get(self._compliance, f"/users/{user_id}/protection"))

    async def one(self, user_id: int, exclusion_id: UUID) -> Exclusion:
        """One of a player's exclusions. Raises NotFound."""
        return decoded(_ONE, await get(self._compliance, f"/users/{user_id}/exclusions/{exclusion_id}"))
