"""A limit that is changed holds for the very next command, whichever wallet decides it: none remembers the old one."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from shared.broker import BrokerOptions
from shared.contracts.commands import Command, encode
from shared.contracts.kinds import Kind
from shared.contracts.readings import Check
from shared.contracts.replies import Reply
from shared.lanes import lane_of
from tests.reliability.support import Service
from tests.support import LANES, TOKEN, eventually
from tests.wallet_service.client import Client
from tests.wallet_service.support import command

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

# On every lane, so that each of the wallets decides for some of them.
PLAYERS = range(1, 25)


@pytest.fixture
async def client(kafka: BrokerOptions) -> AsyncIterator[Client]:
    """A caller of the wallets."""
    async with Client(kafka) as client:
        yield client


def bet(user_id: int) -> Command:
    """A bet within the operator's limit, and above the one that players get here."""
    return command(Kind.GAME_BET, 2000, user_id, reference_id="game", round_id="r")


def outcomes(replies: list[Reply]) -> set[tuple[str, str | None]]:
    """How the commands of these replies were decided."""
    found = [reply.transaction for reply in replies]
    return {(event.status.value, event.reason) for event in found if event is not None}


async def checked(wallet: Service) -> set[str | None]:
    """Why this wallet would refuse the players' bets now, each by itself."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        responses = [await http.post(f"{wallet.url}/limit-checks", content=encode(bet(each))) for each in PLAYERS]
    return {Check.model_validate_json(response.content).reason for response in responses}


async def decisions(wallet: Service, kind: Kind) -> int:
    """How many commands of a kind this wallet has decided."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        lines = (await http.get(f"{wallet.url}/metrics")).text.splitlines()
    counted = [line for line in lines if line.startswith("langsense_wallet_decisions_total") and f'"{kind}"' in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in counted)


async def test_an_override_is_in_force_for_the_next_command_on_every_wallet(
    client: Client, service: Callable[..., Service]
) -> None:
    assert {lane_of(each, LANES) for each in PLAYERS} == set(range(LANES))
    one, other = service(), service()
    for wallet in (one, other):
        wallet.start()
    for wallet in (one, other):
        await wallet.until_ready()

    async def both_decide() -> bool:
        await client.ask(*(command(Kind.DEPOSIT, 10_000, each) for each in PLAYERS))
        return min([await decisions(wallet, Kind.DEPOSIT) for wallet in (one, other)]) > 0

    await eventually(both_decide, within_s=180)
    assert outcomes(await client.ask(*(bet(each) for each in PLAYERS))) == {("posted", None)}
    # Both know every player now, with the limit that is about to change.
    assert await checked(one) == await checked(other) == {None}

    overrides = [command(Kind.LIMIT_OVERRIDE, 1000, each, reference_id="MAX_BET_AMOUNT") for each in PLAYERS]
    assert outcomes(await client.ask(*overrides)) == {("posted", None)}

    assert await checked(one) == await checked(other) == {"MAX_BET_EXCEEDED"}
    made = [await decisions(wallet, Kind.LIMIT_OVERRIDE) for wallet in (one, other)]
    assert min(made) > 0
    assert sum(made) == len(PLAYERS)
    # What the other wallet overrode, this one decides on next.
    await other.stop()
    assert outcomes(await client.ask(*(bet(each) for each in PLAYERS))) == {("refused", "MAX_BET_EXCEEDED")}
    await one.stop()
