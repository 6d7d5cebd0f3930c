"""Blocks that flags ask for: asked of a wallet that is made up until it decides, and lifted after mistakes."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.blocks import BlockPolicy, because
from fraud_service.domain.features import Features
from fraud_service.domain.observations import milliseconds
from fraud_service.domain.rules import Severity
from fraud_service.domain.scoring import Level, Reason, Score
from fraud_service.endpoints import flags as endpoints
from fraud_service.handlers import blocking
from fraud_service.handlers.blocking import Blocking, BlockWorker
from fraud_service.repository import flags
from fraud_service.repository.players import Scored
from fraud_service.settings import Settings
from fraud_service.tables import inbox
from shared import database, problems
from shared.contracts import actors
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.fields import MAX_TEXT
from shared.contracts.kinds import Account, Kind, Status
from shared.contracts.kinds import Reason as Refusal
from shared.errors import ServiceUnavailable
from shared.money import NO_CURRENCY
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.support import LANES, TOKEN

PLAYER = 42
WHY = Reason("streak", 1, Severity.HIGH, "wins", 25, 20, 90_000, 1_790_000_000_000, "25 wins in a row", ())


class FakeWallet:
    """An asker that is a wallet of its own: one player, each command decided once, in one lane."""

    def __init__(self) -> None:
        self.rows: list[LedgerEvent] = []
        self.asked: list[Command] = []
        self.blocked = False
        self.away = False
        self.silent = False

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        if self.away:
            raise ServiceUnavailable("no wallet")
        self.asked.append(command)
        found = next((row for row in self.rows if row.command_id == command.command_id), None)
        row = found or self.decide(command.kind, command.command_id, command.actor)
        return None if self.silent else row

    def decide(self, kind: Kind, command_id: UUID, actor: str | None) -> LedgerEvent:
        reason = Refusal.NOT_BLOCKED if kind is Kind.FRAUD_UNBLOCK and not self.blocked else None
        facts = {"before": "further notice"} if self.blocked else None
        self.blocked = kind is Kind.FRAUD_BLOCK
        self.rows.append(
            LedgerEvent(
                **{"lane": 0, "position": len(self.rows) + 1, "command_id": command_id, "kind": kind, "facts": facts},
                **{"status": Status.REFUSED if reason else Status.POSTED, "reason": reason, "user_id": PLAYER},
                **{"amount_minor": 0, "currency": NO_CURRENCY, "debit": Account.NONE, "credit": Account.NONE},
                **{"cash_minor": 0, "reserved_minor": 0, "occurred_at": MOMENT, "created_at": MOMENT},
                **{"key_id": "k1", "checksum": "ab" * 32, "actor": actor},
            )
        )
        return self.rows[-1]

    def by_staff(self, kind: Kind) -> LedgerEvent:
        return self.decide(kind, uuid4(), "ann")


class Setup:
    """Flags and their blocks around a database, in this process."""

    def __init__(self, engine: AsyncEngine, settings: Settings, policy: BlockPolicy = BlockPolicy.BLOCK) -> None:
        self.engine = engine
        self.now = MOMENT
        self.wallet = FakeWallet()
        self.ledger = FakeLedger(LANES)
        self.metrics = Metrics()
        self.blocking = Blocking(policy, lambda: self.now)
        self.worker = self.another()
        app = FastAPI()
        problems.install(app)
        app.include_router(endpoints.router(settings, engine, lambda: self.now))
        self.app = httpx2.ASGITransport(app)

    def another(self) -> BlockWorker:
        """An instance's."""
        return BlockWorker(self.engine, self.wallet, self.ledger, self.lanes, self.metrics, lambda: self.now)

    async def lanes(self) -> int:
        """How many there are."""
        return self.ledger.lanes

    async def flag(self) -> UUID:
        """Raise a flag as a scorer does, for what is seen now."""
        why = WHY._replace(seen_at=milliseconds(self.now))
        scored = Scored(PLAYER, Features(), Score(90, Level.FRAUDULENT, 1, (why,)), 1)
        async with database.transaction(self.engine) as connection:
            (made,) = await flags.raise_new(connection, [scored])
            await self.blocking.raised(connection, [(made, scored)])
        return made

    async def flag_again(self) -> UUID:
        """Raise another flag, once the one before is resolved."""
        async with database.transaction(self.engine) as connection:
            await connection.execute(text("UPDATE fraud_flags SET status = 'confirmed'"))
        return await self.flag()

    async def resolve(self, flag_id: UUID, status: str = "dismissed") -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(transport=self.app, base_url="http://fraud", headers=headers) as client:
            body = {"status": status, "by": "ana", "note": "plays well"}
            response = await client.post(f"/fraud/flags/{flag_id}/resolution", json=body)
        assert response.status_code == 200, response.text

    async def hear(self, *rows: LedgerEvent) -> None:
        async with database.transaction(self.engine) as connection:
            await blocking.apply(connection, rows, lambda: self.now)

    async def column(self, statement: str) -> list[Any]:
        async with database.reading(self.engine) as connection:
            return list((await connection.execute(text(statement))).scalars())

    async def states(self) -> list[str]:
        return await self.column("SELECT state FROM fraud_blocks ORDER BY requested_at")

    async def told(self) -> list[str]:
        return await self.column("SELECT type FROM outbox ORDER BY number")

    def kinds(self) -> list[Kind]:
        return [command.kind for command in self.wallet.asked]


@pytest.fixture
def setup(engine: AsyncEngine, settings: Settings) -> Setup:
    return Setup(engine, settings)


def test_reasons_are_one_sentence_that_fits_a_command() -> None:
    assert because(["25 wins in a row", "bets at\nnight"]) == "25 wins in a row; bets at night"
    assert len(because(["x" * 100, "y" * 100])) == MAX_TEXT
    assert because([]) != ""


@pytest.mark.integration
class TestBlocking:
    async def test_under_review_nothing_is_sent(self, engine: AsyncEngine, settings: Settings) -> None:
        assert settings.fraud_block_policy is BlockPolicy.REVIEW
        setup = Setup(engine, settings, settings.fraud_block_policy)
        await setup.resolve(await setup.flag())
        assert await setup.worker.look() == 0
        assert (setup.wallet.asked, await setup.states()) == ([], [])

    async def test_a_flag_blocks_its_player_once_and_says_why(self, setup: Setup) -> None:
        flag_id = await setup.flag()
        assert [await setup.worker.look(), await setup.worker.look()] == [1, 0]
        (command,) = setup.wallet.asked
        assert (command.kind, command.user_id, command.until) == (Kind.FRAUD_BLOCK, PLAYER, None)
        assert (command.reason, command.actor, command.reference_id) == ("25 wins in a row", actors.FRAUD, str(flag_id))
        assert (await setup.states(), await setup.told()) == (["in_force"], ["fraud.block.started.v1"])
        counted = 'langsense_fraud_blocks_total{kind="FRAUD_BLOCK",state="in_force"} 1.0'
        assert counted in setup.metrics.exposition().decode()

    @pytest.mark.parametrize("trouble", ["away", "silent"])
    async def test_it_is_asked_for_again_with_growing_pauses_until_it_is_decided(
        self, setup: Setup, trouble: str
    ) -> None:
        setattr(setup.wallet, trouble, True)
        await setup.flag()
        looks = []
        for second in range(31):
            setup.now = MOMENT + timedelta(seconds=second)
            looks += [second] * await setup.worker.look()
        assert looks == [0, 2, 6, 14, 30]
        setattr(setup.wallet, trouble, False)
        setup.now = MOMENT + timedelta(days=1)
        await setup.worker.look()
        assert await setup.states() == ["in_force"]
        assert len(setup.wallet.rows) == 1
        assert len({command.model_dump_json() for command in setup.wallet.asked}) == 1

    async def test_a_crash_between_the_decision_and_its_note_loses_nothing(
        self, setup: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def crash(*_: object) -> None:
            raise RuntimeError("killed")

        await setup.flag()
        with monkeypatch.context() as patched:
            patched.setattr(BlockWorker, "_decided", crash)
            with pytest.raises(RuntimeError):
                await setup.worker.look()
        assert await setup.states() == ["requested"]
        other = setup.another()
        assert await other.look() == 0
        setup.now += timedelta(seconds=2)
        assert await other.look() == 1
        assert (await setup.states(), len(setup.wallet.rows)) == (["in_force"], 1)

    async def test_what_one_instance_has_taken_another_leaves(self, setup: Setup) -> None:
        await setup.flag()
        async with database.transaction(setup.engine) as connection:
            await connection.execute(text("SELECT FROM fraud_blocks FOR UPDATE"))
            assert await setup.worker.look() == 0
        assert await setup.worker.look() == 1


@pytest.mark.integration
class TestReadingAgain:
    """What the ledger said long ago is read again, from its start, by a service that has nothing."""

    async def test_a_block_waits_until_the_ledger_is_read_and_an_unblock_on_the_way_answers_it(
        self, setup: Setup
    ) -> None:
        rows = [setup.ledger.add(kind, PLAYER) for kind in (Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK)]
        await setup.flag()
        assert await setup.worker.look() == 0
        await setup.hear(*rows)
        assert (await setup.worker.look(), await setup.states(), setup.wallet.asked) == (0, ["cancelled"], [])

    async def test_what_was_seen_before_an_unblock_blocks_nobody_whichever_topic_is_ahead(self, setup: Setup) -> None:
        await setup.hear(setup.ledger.add(Kind.FRAUD_UNBLOCK, PLAYER))
        await setup.flag()
        assert await setup.states() == []
        setup.now += timedelta(milliseconds=1)
        await setup.flag_again()
        assert await setup.states() == ["requested"]

    async def test_once_the_ledger_is_read_a_block_is_asked_for(self, setup: Setup) -> None:
        row = setup.ledger.add(Kind.GAME_BET, PLAYER)
        await setup.flag()
        assert await setup.worker.look() == 0
        async with database.transaction(setup.engine) as connection:
            await connection.execute(insert(inbox).values(lane=row.lane, position=row.position))
        assert (await setup.worker.look(), await setup.states()) == (1, ["in_force"])

    async def test_an_unblock_that_is_read_before_the_blocks_own_fate_lifts_it(self, setup: Setup) -> None:
        setup.wallet.silent = True
        await setup.flag()
        await setup.worker.look()
        await setup.hear(setup.wallet.by_staff(Kind.FRAUD_UNBLOCK))
        setup.wallet.silent = False
        setup.now += timedelta(minutes=1)
        await setup.worker.look()
        assert await setup.states() == ["lifted"]


@pytest.mark.integration
class TestLifting:
    async def test_a_dismissed_flag_unblocks_and_a_confirmed_one_does_not(self, setup: Setup) -> None:
        confirmed = await setup.flag()
        await setup.worker.look()
        await setup.resolve(confirmed, "confirmed")
        assert (await setup.worker.look(), await setup.states()) == (0, ["in_force"])
        await setup.hear(setup.wallet.by_staff(Kind.FRAUD_UNBLOCK))
        setup.now += timedelta(hours=1)
        flag_id = await setup.flag()
        await setup.worker.look()
        await setup.resolve(flag_id)
        await setup.worker.look()
        assert await setup.states() == ["lifted", "lifted"]
        command = setup.wallet.asked[-1]
        assert (command.kind, command.reference_id) == (Kind.FRAUD_UNBLOCK, str(flag_id))
        assert command.reason == "the flag was dismissed by ana: plays well"
        assert not setup.wallet.blocked

    async def test_one_that_was_never_asked_for_is_never_asked_for(self, setup: Setup) -> None:
        await setup.resolve(await setup.flag())
        assert (await setup.worker.look(), await setup.states()) == (0, ["cancelled"])

    async def test_the_fate_of_a_block_on_its_way_is_known_before_it_is_lifted(self, setup: Setup) -> None:
        setup.wallet.away = True
        flag_id = await setup.flag()
        await setup.worker.look()
        await setup.resolve(flag_id)
        setup.wallet.away = False
        await setup.worker.look()
        await setup.worker.look()
        assert setup.kinds() == [Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK]
        assert (await setup.states(), setup.wallet.blocked) == (["lifted"], False)
        assert await setup.told() == ["fraud.block.lifted.v1"]

    @pytest.mark.parametrize("first", ["staff", "flag"])
    async def test_a_block_of_somebody_else_stays(self, setup: Setup, first: str) -> None:
        if first == "staff":
            setup.wallet.by_staff(Kind.FRAUD_BLOCK)
        flag_id = await setup.flag()
        await setup.worker.look()
        if first == "flag":
            await setup.hear(setup.wallet.by_staff(Kind.FRAUD_BLOCK))
        assert await setup.states() == ["covered"]
        await setup.resolve(flag_id)
        assert (await setup.worker.look(), setup.wallet.blocked) == (0, True)

    async def test_rows_from_before_a_block_do_not_change_it(self, setup: Setup) -> None:
        earlier = [setup.wallet.by_staff(kind) for kind in (Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK)]
        await setup.flag()
        await setup.worker.look()
        await setup.hear(*earlier, *setup.wallet.rows)
        assert await setup.states() == ["in_force"]

    async def test_a_new_block_waits_for_the_end_of_the_one_before(self, setup: Setup) -> None:
        flag_id = await setup.flag()
        await setup.worker.look()
        await setup.resolve(flag_id)
        setup.now += timedelta(seconds=1)
        await setup.flag()
        await setup.worker.look()
        assert await setup.states() == ["lifted", "requested"]
        await setup.worker.look()
        assert (await setup.states(), setup.wallet.blocked) == (["lifted", "in_force"], True)
