"""Asking the wallet: the decision comes back, or the bound does; nothing hangs, and nothing is made up."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from shared.asking import WalletAsker
from shared.contracts.commands import Command, decode
from shared.contracts.exclusions import ExclusionType
from shared.contracts.headers import COMMAND_TYPE
from shared.contracts.kinds import Kind
from shared.contracts.topics import WALLET_COMMANDS
from shared.errors import BrokerUnavailable, ServiceUnavailable
from shared.money import NO_CURRENCY
from shared.testing import MOMENT, FakeLedger
from tests.support import Recorder

Answer = Callable[[httpx2.Request], httpx2.Response]
COMMAND = Command(
    command_id=UUID(int=7),
    kind=Kind.EXCLUSION,
    user_id=42,
    amount_minor=0,
    currency=NO_CURRENCY,
    reference_id=ExclusionType.TEMPORARY,
    reason="a break",
    actor="42",
    occurred_at=MOMENT,
    until=MOMENT + timedelta(days=1),
)


def asker(answer: Answer, recorder: Recorder) -> WalletAsker:
    wallet = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://wallet")
    return WalletAsker(recorder, wallet, source="/langsense/compliance")


async def test_a_command_goes_out_and_its_decision_comes_back(ledger: FakeLedger) -> None:
    recorder, looks = Recorder(), []
    row = ledger.add(Kind.EXCLUSION, 42, 0, currency=NO_CURRENCY)

    def answer(request: httpx2.Request) -> httpx2.Response:
        looks.append(request.url.path)
        return httpx2.Response(200, content=row.model_dump_json()) if len(looks) == 3 else httpx2.Response(404)

    assert await asker(answer, recorder).ask(COMMAND, 5) == row
    assert looks == [f"/transactions/{UUID(int=7)}"] * 3
    ((topic, key, value, headers, partition),) = recorder.sent
    assert (topic, key, decode(value), partition) == (WALLET_COMMANDS, b"42", COMMAND, None)
    assert headers["ce_type"] == COMMAND_TYPE.encode()


async def test_what_is_not_decided_in_time_is_none() -> None:
    recorder = Recorder()

    async with asyncio.timeout(2):
        assert await asker(lambda _: httpx2.Response(404), recorder).ask(COMMAND, 0.05) is None
    assert len(recorder.sent) == 1


async def test_looks_become_rarer_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    looks = iter(range(100))

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404 if next(looks) < 6 else 500)

    with pytest.raises(ServiceUnavailable):
        await asker(answer, Recorder()).ask(COMMAND, 60)
    assert pauses == [0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25]


async def test_without_kafka_nothing_is_waited_for() -> None:
    recorder = Recorder()
    recorder.away = True

    with pytest.raises(BrokerUnavailable):
        await asker(lambda _: httpx2.Response(404), recorder).ask(COMMAND, 60)


def refuse(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "answer", [refuse, lambda _: httpx2.Response(503), lambda _: httpx2.Response(200, content=b"{}")]
)
async def test_a_wallet_that_does_not_answer_well_is_unavailable(answer: Answer) -> None:
    with pytest.raises(ServiceUnavailable):
        await asker(answer, Recorder()).ask(COMMAND, 60)
