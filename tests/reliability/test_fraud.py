"""The fraud service is killed anywhere and reads all topics again from their start: the same bits, no block anew."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from asyncpg import Record
from confluent_kafka.admin import AdminClient

from fraud_service.handlers import intake, ledger
from shared import clock
from shared.broker import BrokerOptions, Publisher
from shared.contracts.headers import cloud_event
from shared.contracts.kinds import Kind
from shared.contracts.rounds import GameRound
from shared.contracts.topics import GAME_ROUNDS, PAYMENTS_EVENTS
from shared.lanes import key_of
from tests.fraud_service.test_replay import EMPTY, STATE
from tests.reliability.support import PLAYERS, Books, Players, Service, forget_members
from tests.support import Database, as_administrator, eventually
from tests.wallet_service.client import Client
from tests.wallet_service.support import command

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 3
SUSPECT, STREAK = 77, 25
GROUPS = (ledger.GROUP, intake.GROUP)
UNREAD = """SELECT lane FROM wallet.lanes AS l LEFT JOIN fraud.inbox AS i USING (lane)
    WHERE l.position > coalesce(i.position, 0)"""
APPLIED = "SELECT coalesce(sum(position), 0) AS rows FROM fraud.inbox"
TAKEN = "SELECT (SELECT count(*) FROM fraud.games) AS rounds, (SELECT count(*) FROM fraud.signals) AS signals"
BLOCKS = f"""SELECT kind FROM wallet.transactions WHERE user_id = {SUSPECT} AND status = 'posted'
    AND kind IN ('FRAUD_BLOCK', 'FRAUD_UNBLOCK') ORDER BY position"""


class Games:
    """Game servers and a payments service that tell of players, without end."""

    def __init__(self, publisher: Publisher, draw: random.Random) -> None:
        self._publisher = publisher
        self._draw = draw
        self.rounds = self.signals = 0

    async def play(self, count: int) -> None:
        """So many rounds of anybody, and some signals."""
        for _ in range(count):
            await self.round(self._draw.choice(PLAYERS), self._draw.choice(["win", "win", "loss", "push"]))
            if self._draw.random() < 0.2:
                await self.signal(self._draw.choice(PLAYERS))

    async def round(self, user_id: int, outcome: str) -> None:
        """A round, told within some minutes."""
        self.rounds += 1
        played = GameRound(
            round_id=f"r-{self.rounds}",
            user_id=user_id,
            game_id="dice",
            outcome=outcome,
            currency="USD",
            win_probability_ppm=485_000,
            occurred_at=clock.utc_now() - timedelta(seconds=self._draw.randint(1, 900)),
        )
        await self._publisher.publish(
            GAME_ROUNDS, key=key_of(user_id), value=played.model_dump_json().encode(), headers=[]
        )

    async def signal(self, user_id: int) -> None:
        """A deposit that failed, on an instrument that others use too."""
        self.signals += 1
        headers = cloud_event(
            event_id=str(uuid4()),
            event_type="payments.deposit.failed.v1",
            source="payments",
            subject=str(user_id),
            time=clock.utc_now(),
        )
        body = orjson.dumps({"user_id": user_id, "instrument": f"card-{self._draw.randint(1, 9)}"})
        await self._publisher.publish(PAYMENTS_EVENTS, key=key_of(user_id), value=body, headers=headers)


class Fraud:
    """The fraud service as a process, beside what it holds."""

    def __init__(self, process: Service, database: Database, kafka: BrokerOptions) -> None:
        self.process = process
        self._database = database
        self._kafka = kafka

    async def rows(self, statement: str) -> Sequence[Record]:
        """What its tables hold."""
        return await as_administrator(self._database, statement)

    async def die(self) -> None:
        """SIGKILL; the broker knows of it at once."""
        self.process.kill()
        for group in GROUPS:
            await forget_members(self._kafka, group)

    async def forget_everything(self) -> None:
        """Of a dead one: what it had is gone, but for what people said. Its topics are read from their start."""
        await self.rows(EMPTY)
        await self.rows("TRUNCATE fraud.fraud_blocks, fraud.unblocks")
        admin = AdminClient({"bootstrap.servers": self._kafka.bootstrap_servers})
        for deleted in admin.delete_consumer_groups([self._kafka.group(group) for group in GROUPS]).values():
            deleted.result()

    async def until_applied(self, rows: int) -> None:
        """Wait until it has applied so many rows of the ledger."""

        async def applied() -> bool:
            return bool((await self.rows(APPLIED))[0]["rows"] >= rows)

        await eventually(applied, within_s=180)

    async def until_read(self, games: Games) -> None:
        """Wait until it has all of the ledger, and all that was told beside it."""

        async def read() -> bool:
            (taken,) = await self.rows(TAKEN)
            return (taken["rounds"], taken["signals"]) == (games.rounds, games.signals) and not await self.rows(UNREAD)

        await eventually(read, within_s=180)


@pytest.fixture
def fraud_of(
    service: Callable[..., Service], database: Database, kafka: BrokerOptions
) -> Callable[[Service, str], Fraud]:
    """Makes the fraud service of a wallet."""

    def make(wallet: Service, policy: str) -> Fraud:
        more = {"FRAUD_DATABASE_URL": database.dsn("fraud_service"), "WALLET_SERVICE_URL": wallet.url}
        # Many small batches have many ends to be cut at.
        process = service("fraud_service", **more, FRAUD_BLOCK_POLICY=policy, FRAUD_BATCH_RECORDS="20")
        return Fraud(process, database, kafka)

    return make


async def test_killed_anywhere_and_read_again_from_the_start_it_has_the_same_bits(
    kafka: BrokerOptions,
    publisher: Publisher,
    books: Books,
    service: Callable[..., Service],
    fraud_of: Callable[[Service, str], Fraud],
) -> None:
    wallet, draw = service(), random.Random(31)
    fraud, games, players = fraud_of(wallet, "review"), Games(publisher, draw), Players(kafka, seed=31)
    for each in (wallet, fraud.process):
        each.start()
    await wallet.until_ready()
    await fraud.process.until_ready()
    async with players.playing():
        for _ in range(KILLS):
            await games.play(80)
            await books.until_more(draw.randrange(20, 200))
            await fraud.die()
            fraud.process.start()
    await books.until_all_decided(players)
    await fraud.until_read(games)
    expected = await fraud.rows(STATE)
    assert len(expected) == len(PLAYERS)
    assert any(row["score"] > 0 for row in expected)

    await fraud.die()
    await fraud.forget_everything()
    fraud.process.start()
    for applied in sorted(draw.sample(range(await books.rows()), KILLS)):
        await fraud.until_applied(applied)
        await fraud.die()
        fraud.process.start()
    await fraud.until_read(games)
    assert await fraud.rows(STATE) == expected


async def test_read_again_under_policy_block_it_blocks_nobody_again_whom_staff_has_let_go(
    kafka: BrokerOptions,
    publisher: Publisher,
    service: Callable[..., Service],
    fraud_of: Callable[[Service, str], Fraud],
) -> None:
    wallet = service()
    fraud, games = fraud_of(wallet, "block"), Games(publisher, random.Random(7))
    for each in (wallet, fraud.process):
        each.start()
    await wallet.until_ready()
    await fraud.process.until_ready()

    async def kinds() -> list[str]:
        return [row["kind"] for row in await fraud.rows(BLOCKS)]

    async def flagged() -> bool:
        return bool(await fraud.rows(f"SELECT 1 FROM fraud.fraud_flags WHERE user_id = {SUSPECT}"))

    async def nothing_waits() -> bool:
        return not await fraud.rows("SELECT 1 FROM fraud.fraud_blocks WHERE state IN ('requested', 'lifting')")

    async def blocked() -> bool:
        return await kinds() == ["FRAUD_BLOCK"] and await nothing_waits()

    async with Client(kafka) as client:
        await client.ask(command(Kind.DEPOSIT, 10_000, SUSPECT))
        for _ in range(STREAK):
            await games.round(SUSPECT, "win")
        await eventually(blocked)
        await client.ask(command(Kind.FRAUD_UNBLOCK, user_id=SUSPECT))
        await client.ask(command(Kind.DEPOSIT, 10_000, SUSPECT))
    await fraud.until_read(games)

    await fraud.die()
    await fraud.forget_everything()
    fraud.process.start()
    await fraud.until_read(games)
    await eventually(flagged)
    await eventually(nothing_waits)
    assert await kinds() == ["FRAUD_BLOCK", "FRAUD_UNBLOCK"]
