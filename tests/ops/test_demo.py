"""The demo asks for what it says, notices what goes wrong, and is the same for the same seed."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from ops.demo.cashier import Cashier
from ops.demo.casino import Result, percentile, play
from ops.demo.players import Asked, Player, Request
from ops.demo.report import as_json
from ops.places import Places
from ops.proof import Check
from shared.contracts.kinds import NEEDS_PROVIDER, NEEDS_REFERENCE, Kind
from shared.contracts.limits import LimitName


class Answering:
    """A channel that answers at once: each request once, unless it is told to contradict itself or to be silent."""

    name = "REST"

    def __init__(self, *, contradicts: bool = False, silent: bool = False) -> None:
        self._contradicts = contradicts
        self._silent = silent
        self._positions: dict[str, int] = {}
        self._next = itertools.count(1)
        self.asked: list[Request] = []

    async def ask(self, request: Request) -> Asked:
        self.asked.append(request)
        if self._silent:
            return Asked("no answer: timed out", str(request.key), None, 0.001)
        position = self._positions.setdefault(str(request.key), next(self._next))
        if self._contradicts:
            position = next(self._next)
        return Asked("posted", str(request.key), f"0/{position}", 0.001)


async def run(channel: Answering) -> Result:
    async def watch(result: Result) -> None:
        await asyncio.Event().wait()

    return await play([channel], staff=channel, players=4, rate=2000, duration_s=1.5, first_user=1, seed=7, watch=watch)


def first(count: int, seed: int) -> list[Request]:
    return list(itertools.islice(Player(42, seed).requests(), count))


def test_the_same_seed_asks_for_the_same() -> None:
    assert first(200, 1) == first(200, 1)
    assert first(200, 1) != first(200, 2)


def test_a_player_does_everything_that_the_demo_promises() -> None:
    requests = first(2000, 1)
    assert {request.kind for request in requests} >= {
        Kind.DEPOSIT,
        Kind.GAME_BET,
        Kind.GAME_PAYOUT,
        Kind.BET_ROLLBACK,
        Kind.WITHDRAWAL,
        Kind.WITHDRAWAL_HOLD,
        Kind.WITHDRAWAL_CAPTURE,
        Kind.WITHDRAWAL_RELEASE,
    }
    assert any(request.times > 1 for request in requests)
    references = [request.reference_id for request in requests if request.kind is Kind.GAME_BET]
    cancelled_first = [
        later
        for earlier, later in itertools.pairwise(requests)
        if earlier.kind is Kind.BET_ROLLBACK and later.reference_id == earlier.reference_id
    ]
    assert len(set(references)) == len(references)
    assert cancelled_first


def test_every_request_has_what_its_kind_needs() -> None:
    for request in first(2000, 3):
        assert (request.provider is not None) or request.kind not in NEEDS_PROVIDER
        assert (request.reference_id is not None) or request.kind not in NEEDS_REFERENCE


def test_staff_verifies_every_player_and_lets_every_other_withdraw_at_once() -> None:
    asked = [list(Player(user_id, 1).prepared()) for user_id in range(100)]
    assert {tuple(request.kind for request in of_player)[:1] for of_player in asked} == {(Kind.KYC_TIER,)}
    found = [request for of_player in asked for request in of_player[1:]]
    assert 30 < len(found) < 70
    for request in found:
        assert (request.kind, request.amount_minor) == (Kind.LIMIT_OVERRIDE, 0)
        assert request.reference_id == LimitName.WITHDRAWAL_COOLDOWN_SECONDS


async def test_a_retried_request_that_is_answered_twice_is_noticed() -> None:
    honest = await run(Answering())
    assert honest.retried > 0
    assert honest.disagreements == []
    assert (await run(Answering(contradicts=True))).disagreements != []


async def test_a_request_without_an_answer_is_noticed() -> None:
    result = await run(Answering(silent=True))
    assert len(result.unanswered) == result.sent > 0


def test_a_percentile_is_the_value_below_which_that_share_lies() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (51.0, 100.0)
    assert percentile([], 0.5) == 0.0


def test_a_check_with_a_finding_makes_the_whole_not_hold() -> None:
    checks = [Check("one", "", []), Check("two", "", ["wrong"])]
    assert as_json(Result(), checks)["holds"] is False
    assert as_json(Result(), checks[:1])["holds"] is True


@pytest.mark.parametrize(
    ("status", "waits_for", "left"),
    [("processing", None, False), ("created", "queue", False), ("created", "review", True), ("completed", None, True)],
)
async def test_a_payment_is_waited_for_until_it_has_ended_or_is_peoples_to_end(
    status: str, waits_for: str | None, left: bool
) -> None:
    part = {"id": "p1", "status": status, "waits_for": waits_for}

    def door(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(202, json={**part, "parts": [part]})

    def sandbox(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404)

    places = Places("http://door", "127.0.0.1:1", Path(), {}, {})
    cashier = Cashier(client(door), client(sandbox), places)
    paid = await cashier.serve([Player(42, 1)], rate=1000, duration_s=0.15, seed=7)
    assert paid.outcomes.total() == 1
    assert paid.open == (set() if left else {"p1"})


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url="http://there", transport=httpx2.MockTransport(answer))
