"""Tokens: the development key's, and how the keys of an issuer are kept."""

import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from shared import tokens
from shared.errors import ConfigurationError, ServiceUnavailable, Unauthenticated
from shared.tokens import Claims, Keys, Role, Verifier

PRIVATE, PUBLIC = tokens.generate_keys()


def verifier(keys: Keys) -> Verifier[Claims]:
    return Verifier(keys, issuer=tokens.DEFAULT_ISSUER, audience=tokens.DEFAULT_AUDIENCE, read=lambda claims: claims)


def issued(private: tokens.Jwk = PRIVATE, lifetime_s: int = 60) -> str:
    return tokens.issue(private, role=Role.PLAYER, subject="42", user_id=42, lifetime_s=lifetime_s)


def keys_of(*keys: Key) -> Keys:
    async def load() -> KeySet:
        return KeySet(list(keys))

    return Keys(load, look_every_s=60)


def replace(path: Path, public: tokens.Jwk) -> None:
    path.write_text(json.dumps(public))
    # The clock of a file system may be too coarse to tell two writes apart.
    os.utime(path, ns=(1, 1))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(PUBLIC))
    return path


def test_the_public_part_holds_nothing_private() -> None:
    assert "d" in PRIVATE
    assert "d" not in PUBLIC["keys"][0]
    assert PUBLIC["keys"][0]["kid"] == PRIVATE["kid"]
    assert json.loads(json.dumps(PRIVATE)) == PRIVATE


async def test_a_token_says_what_it_was_issued_for(jwks: Path) -> None:
    keys = Keys(tokens.keys_in_file(jwks), look_every_s=60)
    await keys.start()

    claims = await verifier(keys).verify(issued())

    assert (claims["sub"], claims["role"], claims["user_id"]) == ("42", "player", 42)


async def test_a_verified_token_is_remembered_until_it_expires(monkeypatch: pytest.MonkeyPatch, jwks: Path) -> None:
    checks = verifier(Keys(tokens.keys_in_file(jwks), look_every_s=60))
    token = issued()

    assert checks.recall(token) is None
    claims = await checks.verify(token)
    assert checks.recall(token) is claims
    monkeypatch.setattr("time.time", lambda: claims["exp"] + tokens.LEEWAY_S + 1)
    assert checks.recall(token) is None


async def test_few_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch, jwks: Path) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED_TOKENS", 1)
    checks = verifier(Keys(tokens.keys_in_file(jwks), look_every_s=60))
    first, second = issued(), issued()

    await checks.verify(first)
    await checks.verify(second)

    assert checks.recall(first) is None
    assert checks.recall(second) is not None


async def test_an_expired_token_is_refused(jwks: Path) -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier(Keys(tokens.keys_in_file(jwks), look_every_s=60)).verify(issued(lifetime_s=-60))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("RS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_the_usual_signatures_are_taken(algorithm: str, key: Key) -> None:
    key.ensure_kid()
    claims: dict[str, Any] = {"iss": "langsense", "aud": ["langsense", "other"], "sub": "a", "exp": 9_999_999_999}

    token = jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, [algorithm])

    assert (await verifier(keys_of(key)).verify(token))["sub"] == "a"


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_ed25519_is_taken_under_its_old_name_too() -> None:
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    claims: dict[str, Any] = {"iss": "langsense", "aud": "langsense", "sub": "a", "exp": 9_999_999_999}

    token = jwt.encode({"alg": "EdDSA", "kid": key.kid}, claims, key, ["EdDSA"])

    assert await verifier(keys_of(key)).verify(token)


@pytest.mark.parametrize("algorithm", ["ES384", "PS256", "RS512"])
async def test_other_signatures_are_not(algorithm: str) -> None:
    key: Key = ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2048)
    key.ensure_kid()
    claims: dict[str, Any] = {"iss": "langsense", "aud": "langsense", "sub": "a", "exp": 9_999_999_999}

    token = jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, [algorithm])

    with pytest.raises(Unauthenticated):
        await verifier(keys_of(key)).verify(token)


async def test_a_changed_file_is_read_again_and_its_old_keys_tokens_are_forgotten(jwks: Path) -> None:
    keys = Keys(tokens.keys_in_file(jwks), look_every_s=60)
    await keys.start()
    checks = verifier(keys)
    old = issued()
    await checks.verify(old)
    private, public = tokens.generate_keys()
    replace(jwks, public)

    await keys.look()

    assert checks.recall(old) is None
    with pytest.raises(Unauthenticated):
        await checks.verify(old)
    assert await checks.verify(issued(private))


async def test_an_unchanged_file_is_not_read_again(jwks: Path) -> None:
    keys = Keys(tokens.keys_in_file(jwks), look_every_s=60)
    await keys.look()
    await keys.look()

    assert keys.generation == 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "\x00"])
async def test_a_file_that_is_no_jwks_stops_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match="JWKS_FILE"):
        await Keys(tokens.keys_in_file(path), look_every_s=60).start()
    with pytest.raises(ConfigurationError, match="JWKS_FILE"):
        await Keys(tokens.keys_in_file(tmp_path / "missing.json"), look_every_s=60).start()


class TestIssuer:
    """Keys that an issuer publishes."""

    async def test_an_issuer_that_is_away_at_the_start_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = [httpx2.Response(503), httpx2.Response(200, json=PUBLIC)]
        keys, _ = self._keys(answers)
        await keys.start()
        checks = verifier(keys)

        with pytest.raises(ServiceUnavailable):
            await keys.known()
        with pytest.raises(ServiceUnavailable):
            await checks.verify(issued())
        monkeypatch.setattr(tokens, "LOOK_AT_MOST_EVERY_S", 0.0)
        assert await checks.verify(issued())
        await keys.known()

    async def test_an_unknown_key_is_looked_up_but_not_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        private, public = tokens.generate_keys()
        keys, asked = self._keys([httpx2.Response(200, json=PUBLIC), httpx2.Response(200, json=public)])
        await keys.start()
        checks = verifier(keys)

        for _ in range(3):
            with pytest.raises(Unauthenticated):
                await checks.verify(issued(private))
        assert len(asked) == 1
        monkeypatch.setattr(tokens, "LOOK_AT_MOST_EVERY_S", 0.0)
        assert await checks.verify(issued(private))
        assert len(asked) == 2

    async def test_keys_that_cannot_be_loaded_again_stay_in_force(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keys, _ = self._keys([httpx2.Response(200, json=PUBLIC), httpx2.Response(200, content=b"oops")])
        await keys.start()
        monkeypatch.setattr(tokens, "LOOK_AT_MOST_EVERY_S", 0.0)

        assert await keys.find("unknown") is None
        assert await verifier(keys).verify(issued())

    @staticmethod
    def _keys(answers: list[httpx2.Response]) -> tuple[Keys, list[httpx2.Request]]:
        asked: list[httpx2.Request] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            return answers[len(asked) - 1]

        client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        return Keys(tokens.keys_at_url(client, "https://issuer/jwks.json"), look_every_s=60), asked
