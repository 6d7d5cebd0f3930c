"""Bearer tokens: JWT (RFC 7519), checked as RFC 8725 asks; and the key that a development platform signs its own with.

A token says who asks (`sub`, and `client_id` where the client is not the subject), as what (`role`, `scope`), and,
for a player, which one (`user_id`). Only asymmetric signatures are taken.
"""

import asyncio
import time
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from uuid import uuid4

import httpx2
import orjson
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, KeySet

from shared import logs
from shared.errors import ConfigurationError, ServiceUnavailable, TransientError, Unauthenticated

log = logs.get(__name__)
T = TypeVar("T")
Jwk = dict[str, Any]
Claims = Mapping[str, Any]

DEFAULT_ISSUER = "langsense"
DEFAULT_AUDIENCE = "langsense"

# EdDSA is what most issuers still call Ed25519 (RFC 9864).
ALGORITHMS: Final = ("ES256", "RS256", "Ed25519", "EdDSA")
MAX_TOKEN_CHARS = 8 * 1024
# How far the clocks of an issuer and of this machine may differ.
LEEWAY_S = 30
REMEMBERED_TOKENS = 10_000
# An unknown key id may mean that the issuer has a new key. Anyone can send one, so it is looked up this often at most.
LOOK_AT_MOST_EVERY_S = 10.0


class Role(StrEnum):
    """Who a token is for."""

    PLAYER = "player"
    GAME_SERVER = "game_server"
    SUPPORT = "support"
    RISK = "risk"
    COMPLIANCE = "compliance"
    FINANCE = "finance"
    ADMIN = "admin"


def generate_keys() -> tuple[Jwk, Jwk]:
    """A new ES256 key: the private key as a JWK, and the public one as a JWKS, as JWKS_FILE has it."""
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    return dict(key.as_dict(private=True)), {"keys": [dict(key.as_dict(private=False))]}


def issue(
    private_jwk: Jwk,
    *,
    role: Role | str,
    subject: str,
    user_id: int | None = None,
    lifetime_s: int,
    issuer: str = DEFAULT_ISSUER,
    audience: str = DEFAULT_AUDIENCE,
) -> str:
    """A signed token. A player's carries `user_id`, and its subject is `str(user_id)`."""
    key = ECKey.import_key(private_jwk)
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "role": str(role),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_s,
        "jti": uuid4().hex,
    }
    if user_id is not None:
        claims["user_id"] = user_id
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])


# Where keys come from: the keys, or None where nothing changed since the last look.
LoadKeys = Callable[[], Awaitable[KeySet | None]]


def keys_in_file(path: Path) -> LoadKeys:
    """The JWKS in a file; read again when its time of change is another. Raises ConfigurationError."""
    seen_ns = 0

    def read() -> KeySet | None:
        nonlocal seen_ns
        try:
            changed_ns = path.stat().st_mtime_ns
            if changed_ns == seen_ns:
                return None
            keys = _key_set(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"JWKS_FILE: {path} cannot be read as a JWKS: {error}") from error
        seen_ns = changed_ns
        return keys

    async def load() -> KeySet | None:
        return read()

    return load


def keys_at_url(client: httpx2.AsyncClient, url: str) -> LoadKeys:
    """The JWKS that an issuer publishes. Raises ServiceUnavailable."""

    async def load() -> KeySet | None:
        try:
            response = await client.get(url)
            response.raise_for_status()
            return _key_set(response.content)
        except (httpx2.HTTPError, ValueError) as error:
            raise ServiceUnavailable(f"JWKS_URL does not give keys: {error!r}") from error

    return load


def _key_set(body: bytes) -> KeySet:
    try:
        return KeySet.import_key_set(orjson.loads(body))
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError(f"no usable key in it: {error!r}") from error


class Keys:
    """An issuer's public keys: looked at every so often, and when a token names one that is not known."""

    def __init__(self, load: LoadKeys, *, look_every_s: float) -> None:
        self._load = load
        self._look_every_s = look_every_s
        self._keys: KeySet | None = None
        self._looked_at = -LOOK_AT_MOST_EVERY_S
        self._looking = asyncio.Lock()
        # Counts the key sets: whoever remembers what a key has signed forgets it when this moves.
        self.generation = 0

    async def look(self) -> None:
        """Load the keys, where they changed. Raises what the source raises."""
        self._looked_at = time.monotonic()
        loaded = await self._load()
        if loaded is not None:
            self._keys = loaded
            self.generation += 1
            log.info("token_keys_loaded", kids=[key.kid for key in loaded])

    async def start(self) -> None:
        """The first look. A file has to be right; an issuer that does not answer yet may answer later.

        Raises ConfigurationError.
        """
        try:
            await self.look()
        except TransientError as error:
            log.warning("token_keys_not_loaded", error=str(error))

    async def watch(self) -> None:
        """Until cancelled: look every so often. What cannot be loaded leaves the known keys in force."""
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                await self.look()
            except (ConfigurationError, TransientError) as error:
                log.warning("token_keys_not_loaded", error=str(error))

    async def known(self) -> None:
        """For `Health.ready_when`. Raises ServiceUnavailable while there are no keys."""
        if self._keys is None:
            raise ServiceUnavailable("the keys that tokens are checked with could not be loaded yet")

    async def find(self, kid: str) -> Key | None:
        """A key by its id. Raises ServiceUnavailable while there are none."""
        found = self._known_key(kid)
        if found is None and time.monotonic() - self._looked_at >= LOOK_AT_MOST_EVERY_S:
            async with self._looking:
                found = self._known_key(kid)
                if found is None and time.monotonic() - self._looked_at >= LOOK_AT_MOST_EVERY_S:
                    try:
                        await self.look()
                    except (ConfigurationError, TransientError) as error:
                        log.warning("token_keys_not_loaded", error=str(error))
                    found = self._known_key(kid)
        if found is None:
            await self.known()
        return found

    def _known_key(self, kid: str) -> Key | None:
        if self._keys is None:
            return None
        try:
            return self._keys.get_by_kid(kid)
        except InvalidKeyIdError:
            return None


class Verifier(Generic[T]):
    """Checks tokens, and remembers what `read` made of each until it expires."""

    def __init__(self, keys: Keys, *, issuer: str, audience: str, read: Callable[[Claims], T]) -> None:
        self._keys = keys
        self._read = read
        self._registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._remembered: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._generation = keys.generation

    def recall(self, token: str) -> T | None:
        """What a token was found to say before, or None where it has to be verified."""
        self._forget_if_keys_changed()
        found = self._remembered.get(token)
        if found is None:
            return None
        expires_at, said = found
        if expires_at <= time.time():
            del self._remembered[token]
            return None
        self._remembered.move_to_end(token)
        return said

    async def verify(self, token: str) -> T:
        """What a token says. Raises Unauthenticated, or ServiceUnavailable while the issuer's keys are not known."""
        claims = await self._checked(token)
        said = self._read(claims)
        self._forget_if_keys_changed()
        self._remembered[token] = (claims["exp"] + LEEWAY_S, said)
        if len(self._remembered) > REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)
        return said

    def _forget_if_keys_changed(self) -> None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._remembered.clear()

    async def _checked(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_CHARS:
            raise Unauthenticated(f"the token is longer than {MAX_TOKEN_CHARS} characters")
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            if not isinstance(kid, str):
                raise Unauthenticated("the token does not name its key (kid)")
            key = await self._keys.find(kid)
            if key is None:
                raise Unauthenticated("the token is signed with a key that is not the issuer's")
            with warnings.catch_warnings():
                # EdDSA as a name is deprecated, not weak.
                warnings.simplefilter("ignore", SecurityWarning)
                claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
            self._registry.validate(claims)
        except ExpiredTokenError as error:
            raise Unauthenticated("the token has expired") from error
        except ClaimError as error:
            raise Unauthenticated(f"the token's claim {error.claim} is missing or wrong") from error
        except (JoseError, ValueError) as error:
            raise Unauthenticated("the token is not one that this platform takes") from error
        return claims
