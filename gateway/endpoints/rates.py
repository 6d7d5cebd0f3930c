"""Rate limits: how often a client, a player and an address may come in a second, and the headers that say so.

`limits` counts, each process for itself. Its own storages in memory walk all keys at every hit, so the counters are
kept here; another of its storages, such as Redis, would make the limits global.
"""

import time
from collections import OrderedDict

from fastapi import Request
from limits import RateLimitItemPerSecond
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from gateway.settings import Settings
from shared.errors import RateLimited
from shared.service import set_header

# Windows last a second, so what is older than the newest of these is over unless this many come in a second.
MAX_COUNTERS = 100_000
RETRY_AFTER_S = 1


class BoundedMemory(Storage):
    """Counters in memory. The oldest windows are forgotten beyond a bound; that can only let more through."""

    # Not a scheme that a URL can name.
    STORAGE_SCHEME = None

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage raises: nothing of its own."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, and start a new window where the old one is over. Returns the window's count."""
        # A wall clock that is set back would keep windows open.
        now = time.monotonic()
        ends_at, counted = self._windows.get(key, (0.0, 0))
        if ends_at <= now:
            ends_at, counted = now + expiry, 0
            self._windows.pop(key, None)
        self._windows[key] = (ends_at, counted + amount)
        if len(self._windows) > MAX_COUNTERS:
            self._windows.popitem(last=False)
        return counted + amount

    async def get(self, key: str) -> int:
        """The count of the window that is open."""
        ends_at, counted = self._windows.get(key, (0.0, 0))
        return counted if ends_at > time.monotonic() else 0

    async def get_expiry(self, key: str) -> float:
        """When the window ends, as `time.time` tells it."""
        ends_at, _ = self._windows.get(key, (0.0, 0))
        return time.time() + max(ends_at - time.monotonic(), 0.0)

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        forgotten = len(self._windows)
        self._windows.clear()
        return forgotten

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        self._windows.pop(key, None)


class _PerSecond(RateLimitItemPerSecond):
    """So many a second of one kind of caller."""

    @property
    def policy(self) -> str:
        """As the header says it."""
        return f'"{self.namespace}";q={self.amount};w=1'

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        """The counter's name: much shorter to make than the library's, which every request would pay for."""
        return self.namespace + str(identifiers[0])


class Rates:
    """Counts requests. Each method raises RateLimited when it is too many."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(BoundedMemory())
        self._client = _PerSecond(settings.rate_limit_per_client_per_s, namespace="client")
        self._player = _PerSecond(settings.rate_limit_per_player_per_s, namespace="player")
        self._address = _PerSecond(settings.rate_limit_per_address_per_s, namespace="address")

    async def client(self, request: Request, client: str, cost: int = 1) -> None:
        """Count requests of a client; a batch costs as much as it has transactions."""
        await self._count_and_say(request, self._client, client, cost)

    async def player(self, request: Request, user_id: int) -> None:
        """Count a request about a player."""
        await self._count_and_say(request, self._player, str(user_id))

    async def player_in_batch(self, user_id: int) -> None:
        """Count one transaction of a batch, whose headers cannot speak of each player in it."""
        if not await self._limiter.hit(self._player, str(user_id)):
            raise RateLimited(RETRY_AFTER_S)

    async def address(self, request: Request) -> None:
        """Count a request from someone who is not known yet."""
        await self._count_and_say(request, self._address, request.client.host if request.client else "unknown")

    async def _count_and_say(self, request: Request, limit: _PerSecond, who: str, cost: int = 1) -> None:
        allowed = await self._limiter.hit(limit, who, cost=cost)
        left = (await self._limiter.get_window_stats(limit, who)).remaining
        # draft-ietf-httpapi-ratelimit-headers: quota q in a window of w seconds; r left, for t seconds at most.
        said: dict[str, tuple[str, str]] = request.scope["state"].setdefault("rates", {})
        said[limit.namespace] = (limit.policy, f'"{limit.namespace}";r={left};t={RETRY_AFTER_S}')
        policies, remainders = zip(*said.values(), strict=True)
        set_header(request, "RateLimit-Policy", ", ".join(policies))
        set_header(request, "RateLimit", ", ".join(remainders))
        if not allowed:
            raise RateLimited(RETRY_AFTER_S)
