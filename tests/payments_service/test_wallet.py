"""How the fraud service is asked who is paid unseen, and the wallet who is blocked."""

from collections.abc import Callable

import httpx2
import pytest

from payments_service.handlers.wallet import FraudScores, KafkaWallet
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.errors import ServiceUnavailable

Handler = Callable[[httpx2.Request], httpx2.Response]


def scores(handler: Handler) -> FraudScores:
    return FraudScores(httpx2.AsyncClient(transport=httpx2.MockTransport(handler), base_url="http://fraud"))


@pytest.mark.parametrize(
    ("level", "risky"),
    [("SAFE", False), ("SUSPICIOUS", False), ("RISKY", True), ("FRAUDULENT", True), ("WORSE", True)],
)
async def test_who_is_risky_or_in_no_level_that_is_known_is_not_paid_unseen(level: str, risky: bool) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/users/42/fraud-score"
        return httpx2.Response(200, json={"user_id": 42, "score": 1, "level": level})

    assert await scores(answer).is_risky(42) is risky


async def test_a_player_without_a_score_is_safe() -> None:
    assert not await scores(lambda request: httpx2.Response(404)).is_risky(42)


@pytest.mark.parametrize("answer", [httpx2.Response(503), httpx2.Response(200, json={"score": 1})])
async def test_what_is_no_score_is_never_one(answer: httpx2.Response) -> None:
    with pytest.raises(ServiceUnavailable):
        await scores(lambda request: answer).is_risky(42)


async def test_no_answer_is_no_score() -> None:
    def lost(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("lost", request=request)

    with pytest.raises(ServiceUnavailable):
        await scores(lost).is_risky(42)


class NobodyAsked:
    """Decides nothing."""

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        raise AssertionError


@pytest.mark.parametrize(
    ("answer", "blocked"),
    [
        (httpx2.Response(404), False),
        *(
            (
                httpx2.Response(
                    200,
                    json={
                        **{"user_id": 42, "exclusion": None, "excluded_until": None, "tier": "VERIFIED"},
                        **{"blocked": blocked, "block": None},
                    },
                ),
                blocked,
            )
            for blocked in (True, False)
        ),
    ],
)
async def test_the_wallet_says_who_is_blocked(answer: httpx2.Response, blocked: bool) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/users/42/restrictions"
        return answer

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handler), base_url="http://wallet")
    assert await KafkaWallet(NobodyAsked(), client).is_blocked(42) is blocked
