"""What every endpoint goes through: who asks, and how often."""

from fastapi import Request

from gateway.domain.callers import Caller
from gateway.endpoints.rates import Rates
from shared.errors import Unauthenticated
from shared.tokens import Verifier


class Door:
    """Lets callers in."""

    def __init__(self, verifier: Verifier[Caller], rates: Rates) -> None:
        self._verifier = verifier
        self._rates = rates

    async def caller(self, request: Request) -> Caller:
        """A dependency: who asks. Raises Unauthenticated, RateLimited, or ServiceUnavailable without the keys."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = ""
        caller = self._verifier.recall(token)
        if caller is None:
            # A signature costs more to check than to make up, so those are counted before.
            await self._rates.address(request)
            if not token:
                raise Unauthenticated("this needs a token: Authorization: Bearer …")
            caller = await self._verifier.verify(token)
        await self._rates.client(request, caller.client)
        return caller
