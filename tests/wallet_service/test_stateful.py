"""The real wallet on real tables, beside the independent model: random commands, repetitions, races, crashes, restarts.

A step is one command, given to both. WALLET_STEPS says how many there are at least: `make chaos` takes 50,000.
"""

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database as databases
from shared.contracts.commands import Command
from shared.errors import CommandIdReused
from shared.signing import GENESIS, ChainKeys
from tests.support import Database, outside_the_loop
from tests.wallet_service import model
from tests.wallet_service.strategies import (
    GAPS_S,
    STARTS,
    Draft,
    Regime,
    drafts,
    house,
    lists_of,
    regimes,
    rules,
    settled,
)
from tests.wallet_service.support import CHAIN_KEYS
from tests.wallet_service.test_batch import outcome
from wallet_service import repository, tables
from wallet_service.domain.batch import Batch
from wallet_service.domain.needs import Answer, JournalRow, Placed, needs
from wallet_service.repository import Offsets, Reads

STEPS = int(os.environ.get("WALLET_STEPS", "2000"))
# Until there are enough: so many runs at a time, and so many rules in each.
RUNS, RULES_PER_RUN = 6, 40

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600 + STEPS // 20)]

# A wallet has both keys; which one it takes for the newest may change when it starts again.
KEYS = (CHAIN_KEYS, ",".join(reversed(CHAIN_KEYS.split(","))))

T = TypeVar("T")
# A lane and a user id.
Player = tuple[int, int]

_BALANCES = text("SELECT lane, user_id, currency, cash, reserved FROM accounts WHERE lane = ANY(:lanes)")
_SUMS = text(
    """SELECT currency, sum(balance) FROM (
        SELECT currency, cash + reserved AS balance FROM accounts WHERE lane = ANY(:lanes)
        UNION ALL SELECT currency, balance FROM house_accounts WHERE lane = ANY(:lanes)
    ) b GROUP BY currency HAVING sum(balance) <> 0"""
)
_FOLD = text(
    """SELECT lane, user_id, currency, sum(cash), sum(reserved) FROM (
        SELECT lane, user_id, currency, (credit = 'cash')::int * amount - (debit = 'cash')::int * amount AS cash,
            (credit = 'reserved')::int * amount - (debit = 'reserved')::int * amount AS reserved
        FROM transactions WHERE lane = ANY(:lanes) AND status = 'posted'
    ) t GROUP BY lane, user_id, currency"""
)
# `now` is the later of the database's clock and the lanes' last decision: a test's clock stands in the future.
_SET_CLOCK = text(
    """INSERT INTO lanes (lane, position, head, next_offset, published, decided_at)
    SELECT lane, 0, :genesis, 0, 0, :now FROM unnest(CAST(:lanes AS smallint[])) AS lane
    ON CONFLICT (lane) DO UPDATE SET decided_at = excluded.decided_at"""
)


class Crash(Exception):
    """The wallet's process ended before it committed."""


class Instance:
    """One wallet: its connections and its keys."""

    def __init__(self, dsn: str, keys: str) -> None:
        self.engine: AsyncEngine = databases.create_engine(dsn, application="test", schema=tables.SCHEMA)
        self.keys = ChainKeys.parse(keys)

    async def take(self, placed: Sequence[Placed], regime: Regime, *, crash: bool = False) -> list[Answer]:
        """Decide one batch as the wallet does."""
        lanes = {lane for lane, _ in placed}
        async with databases.transaction(self.engine) as connection:
            loaded = await repository.load(connection, needs(placed), rules(regime).windows)
            batch = Batch(loaded, self.keys, rules(regime))
            answers = [batch.answer(lane, each) for lane, each in placed]
            await repository.save(connection, batch.changes, Offsets(dict.fromkeys(lanes, 0), {}), loaded.now)
            if crash:
                raise Crash
        return answers


class WalletBesideModel(RuleBasedStateMachine):
    """Two wallets on two lanes of one database, and the model."""

    # Each run has lanes of its own, so that it begins with empty tables.
    _lanes = itertools.count()
    steps = 0

    def __init__(self, dsn: str, runner: asyncio.Runner) -> None:
        super().__init__()
        self.dsn = dsn
        self.runner = runner
        self.lanes = [next(self._lanes), next(self._lanes)]
        self.wallets = [Instance(dsn, KEYS[0]) for _ in range(2)]
        self.made: list[Command] = []
        self.rows: dict[UUID, JournalRow] = {}
        self.players: dict[Player, model.Wallet] = defaultdict(lambda: model.Wallet(house(self.regime)))

    @initialize(regime=regimes(), start=st.sampled_from(STARTS))
    def begin(self, regime: Regime, start: datetime) -> None:
        self.regime, self.now = regime, start
        self._set_clock()

    @rule(gap_s=st.sampled_from(GAPS_S))
    def time_passes(self, gap_s: int) -> None:
        self.now += timedelta(seconds=gap_s)
        self._set_clock()

    @rule(
        batch=lists_of(drafts(), 16),
        again=st.lists(st.integers(0, 200), max_size=3),
        which=st.integers(0, 1),
    )
    def a_batch(self, batch: list[Draft], again: list[int], which: int) -> None:
        old = self._old(again)
        self._compare(self._run(self.wallets[which].take(self._new(batch) + old, self.regime)))

    @rule(
        batch=lists_of(drafts(), 16),
        again=st.lists(st.integers(0, 200), max_size=3),
        both=st.integers(0, 16),
    )
    def a_race(self, batch: list[Draft], again: list[int], both: int) -> None:
        """Two wallets decide at once; some commands come to both of them. Each lane's rows say who was first."""
        old, placed = self._old(again), self._new(batch)
        parts = [*placed[: both + 1], *old], [*old, *placed[both // 2 :]]

        async def race() -> list[Answer]:
            taken = [wallet.take(part, self.regime) for wallet, part in zip(self.wallets, parts, strict=True) if part]
            return [answer for answers in await asyncio.gather(*taken) for answer in answers]

        self._compare(self._run(race()))

    @rule(batch=lists_of(drafts(), 8), which=st.integers(0, 1), before_commit=st.booleans(), keys=st.sampled_from(KEYS))
    def a_crash(self, batch: list[Draft], which: int, before_commit: bool, keys: str) -> None:
        """A wallet ends before it commits, or before it can tell. It starts again, and the other one has the same."""
        placed = self._new(batch)
        taken = self.wallets[which].take(placed, self.regime, crash=before_commit)
        if before_commit:
            with pytest.raises(Crash):
                self._run(taken)
        else:
            self._compare(self._run(taken))
        self._run(self.wallets[which].engine.dispose())
        self.wallets[which] = Instance(self.dsn, keys)
        self._compare(self._run(self.wallets[1 - which].take(placed, self.regime)), replayed=not before_commit)

    @rule(which=st.integers(0, 200))
    def an_id_that_is_used_again(self, which: int) -> None:
        for lane, each in self._old([which]):
            other = each.model_copy(update={"amount_minor": each.amount_minor + 1})
            with pytest.raises(CommandIdReused):
                self._run(self.wallets[0].take([Placed(lane, other)], self.regime))

    @invariant()
    def balances_agree_and_money_is_conserved(self) -> None:
        self._run(self._look())

    async def _look(self) -> None:
        ours = {
            (*key, currency): (player.cash[currency], player.reserved[currency])
            for key, player in self.players.items()
            for currency in list(player.cash | player.reserved)
        }
        async with databases.transaction(self.wallets[0].engine) as connection:
            assert await self._balances(connection, _BALANCES) == {key: each for key, each in ours.items() if any(each)}
            assert not (await connection.execute(_SUMS, {"lanes": self.lanes})).all()

    async def _balances(self, connection: AsyncConnection, query: TextClause) -> dict[Any, Any]:
        rows = await connection.execute(query, {"lanes": self.lanes})
        return {tuple(row[:3]): tuple(row[3:]) for row in rows if any(row[3:])}

    def teardown(self) -> None:
        try:
            self._run(self._audit())
        finally:
            for wallet in self.wallets:
                self._run(wallet.engine.dispose())
        WalletBesideModel.steps += len(self.rows)

    async def _audit(self) -> None:
        """Every command has one row, each lane's chain is whole, and each balance is the fold of its rows."""
        reads = Reads(self.wallets[0].engine, max(self.lanes) + 1)
        decided: list[UUID] = []
        for lane in self.lanes:
            head = GENESIS
            for position, row in enumerate(await reads.journal(lane, 0, 100_000), start=1):
                assert row.content.position == position
                assert row.checksum == self.wallets[0].keys.checksum(head, row.content)
                head = row.checksum
                decided.append(row.content.command_id)
        assert sorted(decided) == sorted(each.command_id for each in self.made)
        async with databases.reading(self.wallets[0].engine) as connection:
            assert await self._balances(connection, _FOLD) == await self._balances(connection, _BALANCES)

    def _new(self, batch: Sequence[Draft]) -> list[Placed]:
        """The next commands, each on its player's lane; two players share one."""
        first = len(self.made)
        for draft in batch:
            self.made.append(settled(draft, self.made, self.now))
        return [self._placed(each) for each in self.made[first:]]

    def _old(self, picks: Sequence[int]) -> list[Placed]:
        """Commands that were decided before."""
        return [self._placed(self.made[-1 - pick % len(self.made)]) for pick in picks if self.made]

    def _placed(self, each: Command) -> Placed:
        return Placed(self.lanes[each.user_id % 2], each)

    def _compare(self, answers: Sequence[Answer], *, replayed: bool = False) -> None:
        """Give the model what is new, in the order of the rows; what is not has the row that it had."""
        for row, again in sorted(answers, key=lambda answer: (answer.replayed, answer.row)):
            it = row.content
            each = self.made[it.command_id.int - 1]
            if again or replayed:
                assert again
                assert row == self.rows[each.command_id]
                continue
            assert each.command_id not in self.rows
            self.rows[each.command_id] = row
            assert it.created_at == self.now
            expected = self.players[it.lane, it.user_id].apply(each.model_dump(), self.now)
            assert outcome(it) == expected, (row, expected)

    def _set_clock(self) -> None:
        async def set_clock() -> None:
            async with databases.transaction(self.wallets[0].engine) as connection:
                await connection.execute(_SET_CLOCK, {"lanes": self.lanes, "genesis": GENESIS, "now": self.now})

        self._run(set_clock())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def test_the_wallet_and_the_model_agree_on_every_decision_and_balance(database: Database) -> None:
    """At least STEPS of them."""

    def drive() -> None:
        with asyncio.Runner() as runner:

            class Run(WalletBesideModel):
                def __init__(self) -> None:
                    super().__init__(database.dsn("wallet_service"), runner)

            while WalletBesideModel.steps < STEPS:
                run_state_machine_as_test(
                    Run,
                    settings=settings(
                        max_examples=RUNS,
                        stateful_step_count=RULES_PER_RUN,
                        deadline=None,
                        # On real tables, looking for a shorter run that fails takes longer than reading this one.
                        phases=[Phase.generate],
                        suppress_health_check=list(HealthCheck),
                    ),
                )

    # The runner's loop is not the tests' own.
    outside_the_loop(drive)
    print(f"{WalletBesideModel.steps} steps")
