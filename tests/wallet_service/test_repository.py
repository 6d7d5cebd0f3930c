"""What a batch decided is kept whole or not at all, and is read back as it was written."""

import asyncio
import random
import traceback
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.kinds import LIMIT_KINDS, NEEDS_ORIGINAL, PLAYER_KINDS, Account, Kind, Status
from shared.contracts.limits import LimitName
from shared.errors import DatabaseUnavailable
from shared.signing import GENESIS, ChainKeys
from tests.support import LANES, Database, as_administrator, eventually
from tests.wallet_service.support import CHAIN_KEYS, FAR_LIMITS, NOW, MemoryWallet, command
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.events import ReadRow
from wallet_service.domain.limits import PlayerLimit, Totals
from wallet_service.domain.needs import (
    AccountKey,
    Answer,
    Changes,
    DecisionKey,
    DisputeChange,
    HeldKey,
    HoldKey,
    HouseKey,
    LaneState,
    LimitKey,
    MovementKey,
    Opening,
    Placed,
    needs,
)
from wallet_service.domain.restrictions import Block, Restrictions
from wallet_service.domain.state import DisputeState, Hold, Movement, PlayerAccount
from wallet_service.repository import Offsets, Reads
from wallet_service.settings import LimitSettings

pytestmark = pytest.mark.integration

KEYS = ChainKeys.parse(CHAIN_KEYS)
TABLES = (
    *("transactions", "lanes", "accounts", "house_accounts", "holds", "cancellations"),
    *("account_openings", "player_limits", "held_payouts", "disputes", "player_restrictions"),
)
# Limits that the streams below reach.
RULES = LimitSettings(
    **FAR_LIMITS
    | {"daily_loss_limit": "30", "daily_deposit_limit": "200", "max_bet_amount": "8", "max_payout_amount": "6"}
).rules()


async def take(
    engine: AsyncEngine, placed: Sequence[Placed], beside: MemoryWallet | None = None, offset: int = 1
) -> list[Answer]:
    """Decide one batch as the wallet does; `beside` decides the same at the same moment."""
    async with databases.transaction(engine) as connection:
        needed = needs(placed)
        loaded = await repository.load(connection, needed, RULES.windows)
        if beside is not None:
            assert loaded == beside.load(needed, loaded.now)
        batch = Batch(loaded, KEYS, RULES)
        now = loaded.now
        answers = [batch.answer(lane, each) for lane, each in placed]
        await repository.save(connection, batch.changes, Offsets({lane: offset for lane, _ in placed}, {}), now)
    if beside is not None:
        assert beside.take_placed(placed, now) == answers
    return answers


async def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    found = {}
    for table in TABLES:
        rows = await as_administrator(database, f"SELECT t::text FROM wallet.{table} t ORDER BY 1")
        found[table] = [tuple(row) for row in rows]
    return found


def stream(seed: int, length: int) -> list[Placed]:
    """Commands of every kind and outcome on every lane, some of them twice."""
    draw = random.Random(seed)
    made: list[Placed] = []
    for _ in range(length):
        if made and draw.random() < 0.1:
            made.append(draw.choice(made))
            continue
        kind = draw.choice([*Kind, Kind.DEPOSIT, Kind.DEPOSIT, Kind.GAME_BET])
        fields: dict[str, object] = {
            "command_id": UUID(int=draw.getrandbits(128)),
            "currency": draw.choice(["USD", "USD", "EUR"]),
        }
        user_id = draw.randrange(1, 9)
        if kind in PLAYER_KINDS:
            each = command(kind, user_id=user_id, command_id=fields["command_id"])
            made.append(Placed(user_id % LANES, each))
            continue
        if kind in NEEDS_ORIGINAL:
            others = [each for _, each in made if each.user_id == user_id]
            other = draw.choice(others) if others else None
            fields["reference_id"] = str(other.command_id if other is not None else UUID(int=7))
            fields["provider"] = other.provider if other is not None and kind is Kind.REVERSAL else None
        elif kind in LIMIT_KINDS:
            fields["reference_id"] = draw.choice(["DAILY_LOSS_LIMIT", "WEEKLY_DEPOSIT_LIMIT", "MAX_BET_AMOUNT"])
        elif kind is not Kind.DEPOSIT:
            fields |= {"reference_id": draw.choice("abc"), "round_id": draw.choice([None, "r1", "r'2"])}
        each = command(kind, draw.randrange(1, 10) * 100, user_id, **fields)
        made.append(Placed(each.user_id % LANES, each))
    return made


async def test_batches_are_loaded_and_kept_as_the_wallet_in_memory_does(engine: AsyncEngine, reads: Reads) -> None:
    memory = MemoryWallet(KEYS, RULES)
    placed = stream(seed=1, length=600)
    draw = random.Random(2)
    while placed:
        size = draw.randrange(1, 80)
        await take(engine, placed[:size], beside=memory)
        placed = placed[size:]

    kept = [row for lane in range(LANES) for row in await reads.journal(lane, 0, 1000)]
    assert sorted(kept) == sorted(memory.rows)
    assert {row.content.kind for row in kept} == set(Kind)
    assert len({row.content.reason for row in kept}) > 8
    marks = await reads.lanes()
    assert {mark.lane: LaneState(mark.position, mark.head) for mark in marks} == memory.lanes
    async with databases.reading(engine) as connection:
        house = await connection.execute(text("SELECT lane, account, currency, balance FROM house_accounts"))
        assert {HouseKey(*row[:3]): row[3] for row in house} == memory.house


async def test_what_one_batch_left_the_next_one_finds(engine: AsyncEngine) -> None:
    memory = MemoryWallet(KEYS, RULES)
    outcomes = []
    for kind, amount, reference, round_id in (
        (Kind.DEPOSIT, 10_000, None, None),
        (Kind.WITHDRAWAL_HOLD, 1000, "p-1", None),
        (Kind.WITHDRAWAL_CAPTURE, 400, "p-1", None),
        (Kind.WITHDRAWAL_CAPTURE, 601, "p-1", None),
        (Kind.WITHDRAWAL_RELEASE, 600, "p-1", None),
        (Kind.WITHDRAWAL_RELEASE, 1, "p-1", None),
        (Kind.GAME_BET, 300, "g", "r1"),
        (Kind.GAME_BET, 200, "g", "r1"),
        (Kind.GAME_BET, 100, "g", "r2"),
        (Kind.GAME_BET, 100, "g", None),
        (Kind.GAME_PAYOUT, 50, "g", "r1"),
        (Kind.BET_ROLLBACK, 501, "g", "r1"),
        (Kind.BET_ROLLBACK, 450, "g", "r1"),
        (Kind.BET_ROLLBACK, 51, "g", "r1"),
        (Kind.BET_ROLLBACK, 50, "g", "r1"),
        (Kind.BET_ROLLBACK, 1, "g", "r1"),
        (Kind.GAME_BET, 1, "g", "r1"),
        (Kind.GAME_PAYOUT, 1, "g", "r1"),
        (Kind.GAME_PAYOUT, 1, "g", "r2"),
        (Kind.PAYOUT_ROLLBACK, 51, "g", "r1"),
        (Kind.PAYOUT_ROLLBACK, 1, "g", None),
        (Kind.GAME_PAYOUT, 1, "g", None),
    ):
        each = command(kind, amount, reference_id=reference, round_id=round_id)
        (answer,) = await take(engine, [Placed(0, each)], beside=memory)
        outcomes.append(answer.row.content.reason)
    assert outcomes == [
        *(None, None, None, "HOLD_EXCEEDED", None, "HOLD_CLOSED"),
        *(None, None, None, None, None),
        *("ROLLBACK_EXCEEDS_ORIGINAL", None, "ROLLBACK_EXCEEDS_ORIGINAL", None, "ALREADY_ROLLED_BACK"),
        *("ROUND_CANCELLED", "ROUND_CANCELLED", None),
        *("ROLLBACK_EXCEEDS_ORIGINAL", "ORIGINAL_NOT_SEEN", "ROUND_CANCELLED"),
    ]


async def test_over_days_what_windows_have_is_kept_as_in_memory(engine: AsyncEngine, database: Database) -> None:
    memory = MemoryWallet(KEYS, RULES)
    outcomes = []
    for day, kind, amount, reference in (
        (1, Kind.DEPOSIT, 10_000, None),
        (1, Kind.GAME_BET, 800, "a"),
        (2, Kind.GAME_BET, 800, "a"),
        (2, Kind.GAME_BET, 800, "b"),
        (3, Kind.GAME_BET, 800, "c"),
        (3, Kind.BET_ROLLBACK, 1600, "a"),
        (3, Kind.BET_ROLLBACK, 300, "b"),
        *((3, Kind.GAME_BET, 800, "d"),) * 2,
        *((3, Kind.GAME_BET, amount, "d") for amount in (601, 600)),
    ):
        # The later of the clock and of the last decision is the wallet's time.
        await as_administrator(database, f"UPDATE wallet.lanes SET decided_at = '2044-03-0{day} 12:00Z'")
        each = command(kind, amount, reference_id=reference)
        (answer,) = await take(engine, [Placed(0, each)], beside=memory)
        outcomes.append(answer.row.content.reason)
    assert outcomes == [*(None,) * 9, "DAILY_LOSS_LIMIT", None]


async def test_a_row_that_is_full_comes_back_as_it_was_written(engine: AsyncEngine, reads: Reads) -> None:
    each = command(
        Kind.WITHDRAWAL,
        10**15 - 1,
        2**63 - 1,
        reference_id="Ünï/cödé 'quoted' \\ \"x\" 😀",
        round_id="r" * 128,
        reason="as; asked -- %s $1 :lane",
        actor="ann@example.com",
        currency="JPY",
    )
    (answer,) = await take(engine, [Placed(3, each)])
    assert await reads.transaction(each.command_id) == ReadRow(answer.row)
    assert await reads.history(3, 2**63 - 1, None, 10) == [ReadRow(answer.row)]
    assert answer.row.content.facts == '{"available_minor":0}'


async def test_each_row_of_one_batch_has_the_databases_time_and_no_row_is_older_than_the_one_before(
    engine: AsyncEngine, database: Database
) -> None:
    first, second = await take(engine, [Placed(0, command(Kind.DEPOSIT)) for _ in range(2)])
    assert first.row.content.created_at == second.row.content.created_at
    await as_administrator(database, "UPDATE wallet.lanes SET decided_at = now() + interval '1 hour'")
    ((ahead,),) = await as_administrator(database, "SELECT decided_at FROM wallet.lanes")
    (third,) = await take(engine, [Placed(0, command(Kind.DEPOSIT))])
    assert third.row.content.created_at == ahead


async def test_a_batch_of_repetitions_writes_nothing(engine: AsyncEngine, database: Database) -> None:
    placed = stream(seed=3, length=50)
    await take(engine, placed, offset=7)
    before = await contents(database)
    answers = await take(engine, placed, offset=99)
    assert all(answer.replayed for answer in answers)
    assert await contents(database) == before


def _a_change_of_everything() -> Changes:
    (row,) = MemoryWallet(KEYS).take([command(Kind.DEPOSIT)])
    account = AccountKey(0, 42, "USD")
    return Changes(
        rows=[row.row],
        lanes={0: LaneState(1, row.row.checksum)},
        accounts={account: PlayerAccount(1000, 0)},
        holds={HoldKey(0, 42, "p-1"): Hold("USD", 5, NOW)},
        cancellations={MovementKey(0, 42, Kind.GAME_BET, "a", "r"): Movement(cancelled=True)},
        house_minor={HouseKey(0, "clearing:stripe", "USD"): -1000},
        held_minor={HeldKey(0, 42, "USD", "a", "r"): 7},
        limits={LimitKey(0, 42, LimitName.DAILY_LOSS_LIMIT, "USD"): PlayerLimit(own=100)},
        restrictions={(0, 42): Restrictions(tier="VERIFIED", block=Block(NOW, None, "seen"))},
        openings={account: Opening(NOW, Totals())},
        disputes=[DisputeChange(row.row.content.command_id, DisputeState.OPEN, row.row)],
    )


def _spoiled(part: str) -> Changes:
    good = _a_change_of_everything()
    match part:
        case "rows":
            return replace(
                good, rows=[row._replace(content=row.content._replace(amount_minor=-1)) for row in good.rows]
            )
        case "accounts":
            return replace(good, accounts={AccountKey(0, 42, "USD"): PlayerAccount(0, -1)})
        case "house accounts":
            return replace(good, house_minor={HouseKey(0, "revenue", None): 1})  # type: ignore[arg-type]
        case "holds":
            return replace(good, holds={HoldKey(0, 42, "p-1"): Hold("USD", -1, NOW)})
        case "cancellations":
            key = MovementKey(0, 42, Kind.GAME_BET, "a", None)  # type: ignore[arg-type]
            return replace(good, cancellations={key: Movement(cancelled=True)})
        case "held payouts":
            return replace(good, held_minor={HeldKey(0, 42, "USD", "a", "r"): -1})
        case "limits":
            key = LimitKey(0, 42, LimitName.DAILY_LOSS_LIMIT, "USD")
            return replace(good, limits={key: PlayerLimit(pending=100)})
        case "restrictions":
            return replace(good, restrictions={(0, 42): Restrictions(excluded_until=NOW)})
        case "blocks":
            spoiled = Block(NOW, None, None)  # type: ignore[arg-type]
            return replace(good, restrictions={(0, 42): Restrictions(block=spoiled)})
        case "openings":
            key = AccountKey(0, 42, "USD")
            return replace(good, openings={key: Opening(None, Totals())})  # type: ignore[arg-type]
        case "disputes":
            return replace(good, disputes=[each._replace(disputed=None) for each in good.disputes])
        case _:
            return replace(good, lanes={0: LaneState(1, None)})  # type: ignore[arg-type]


async def _save(engine: AsyncEngine, changes: Changes) -> None:
    async with databases.transaction(engine) as connection:
        loaded = await repository.load(connection, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)
        await repository.save(connection, changes, Offsets({0: 1}, {}), loaded.now)


async def test_a_save_of_everything_is_kept(engine: AsyncEngine, database: Database) -> None:
    await _save(engine, _a_change_of_everything())
    assert {table: len(rows) for table, rows in (await contents(database)).items()} == dict.fromkeys(TABLES, 1)


async def test_a_save_that_fails_anywhere_leaves_nothing_behind(engine: AsyncEngine, database: Database) -> None:
    for part in (
        *("rows", "accounts", "house accounts", "holds", "cancellations", "lanes"),
        *("held payouts", "limits", "restrictions", "blocks", "openings", "disputes"),
    ):
        with pytest.raises(IntegrityError) as caught:
            await _save(engine, _spoiled(part))
        # Errors go to the log; what players wrote does not.
        assert "stripe" not in "".join(traceback.format_exception(caught.value))
        assert await contents(database) == {table: [] for table in TABLES}, part


async def test_the_database_itself_refuses_a_position_or_an_id_that_it_has(
    engine: AsyncEngine, database: Database
) -> None:
    good = _a_change_of_everything()
    (row,) = good.rows
    await _save(engine, good)
    before = await contents(database)
    for change in ({"command_id": UUID(int=1)}, {"position": 2}):
        second = row._replace(content=row.content._replace(**change))
        with pytest.raises(IntegrityError):
            await _save(engine, Changes(rows=[second], lanes=good.lanes))
        assert await contents(database) == before


class TestTheLaneIsLocked:
    """Whoever decides on a lane does so alone, and sees what the one before decided."""

    async def test_two_owners_take_turns(self, engine: AsyncEngine, database: Database) -> None:
        deposit, placed = command(Kind.DEPOSIT), [Placed(0, command(Kind.GAME_BET, 700)) for _ in range(2)]
        await take(engine, [Placed(0, deposit)])
        async with databases.transaction(engine) as first:
            loaded = await repository.load(first, needs(placed[:1]), RULES.windows)
            second = asyncio.create_task(take(engine, [*placed[:1], *placed[1:]]))
            await eventually(lambda: _somebody_waits(database))
            batch = Batch(loaded, KEYS, RULES)
            batch.answer(*placed[0])
            await repository.save(first, batch.changes, Offsets({0: 1}, {}), loaded.now)
            assert not second.done()
        theirs, own = await second
        # Its own look at the money came after the first owner's bet.
        assert theirs.replayed
        assert (own.row.content.status, own.row.content.reason) == (Status.REFUSED, "INSUFFICIENT_FUNDS")
        assert own.row.content.position == 3

    async def test_owners_of_other_lanes_do_not_wait(self, engine: AsyncEngine) -> None:
        async with databases.transaction(engine) as first:
            await repository.load(first, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)
            async with asyncio.timeout(5):
                await take(engine, [Placed(1, command(Kind.DEPOSIT))])

    async def test_a_new_lane_is_made_once(self, engine: AsyncEngine, reads: Reads) -> None:
        await asyncio.gather(*(take(engine, [Placed(2, command(Kind.DEPOSIT))]) for _ in range(4)))
        (mark,) = await reads.lanes()
        assert (mark.lane, mark.position) == (2, 4)

    async def test_noting_what_was_published_never_waits_for_a_batch(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(lane, command(Kind.DEPOSIT)) for lane in (0, 1)])
        async with databases.transaction(engine) as batch:
            await repository.load(batch, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)
            async with asyncio.timeout(5):
                await reads.mark_published({0: 1, 1: 1})
        assert {mark.lane: mark.published for mark in await reads.lanes()} == {0: 0, 1: 1}

    async def test_the_mark_of_what_was_published_never_goes_back(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT)) for _ in range(3)])
        await reads.mark_published({0: 3})
        await reads.mark_published({0: 2})
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        assert [mark.published for mark in await reads.lanes()] == [3]

    async def test_an_owner_that_stands_still_gives_its_lanes_back(self, engine: AsyncEngine) -> None:
        async with databases.reading(engine) as connection:
            timeout = await connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
        assert timeout == f"{databases.IDLE_IN_TRANSACTION_TIMEOUT_S}s"

    async def test_an_owner_that_stood_still_for_too_long_is_to_try_again(
        self, engine: AsyncEngine, database: Database
    ) -> None:
        async def let_go() -> bool:
            owners = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test'"
            return not await as_administrator(database, owners)

        async def stand_still() -> None:
            async with databases.transaction(engine) as connection:
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
                await eventually(let_go)
                await repository.load(connection, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)

        with pytest.raises(DatabaseUnavailable):
            await stand_still()


async def _somebody_waits(database: Database) -> bool:
    rows = await as_administrator(
        database, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)


class TestTheJournalIsAppendOnly:
    """Neither the service nor the tables' owner rewrites it."""

    REWRITES = (
        "UPDATE wallet.transactions SET amount = 1",
        "DELETE FROM wallet.transactions",
        "TRUNCATE wallet.transactions",
        "INSERT INTO wallet.transactions SELECT * FROM wallet.transactions "
        "ON CONFLICT (lane, position) DO UPDATE SET amount = 1",
    )

    AROUND_IT = (
        "ALTER TABLE wallet.transactions DISABLE TRIGGER transactions_append_only",
        "DROP TRIGGER transactions_append_only ON wallet.transactions",
        "DROP TABLE wallet.transactions",
        "CREATE TABLE wallet.another (a int)",
        "DELETE FROM wallet.accounts",
        "DELETE FROM wallet.lanes",
        "TRUNCATE wallet.accounts",
        "UPDATE wallet.alembic_version SET version_num = '9'",
        "SET ROLE langsense_owner",
        "SET session_replication_role = replica",
    )

    async def test_to_the_services_role(self, engine: AsyncEngine, database: Database) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        before = await contents(database)
        for statement in (*self.REWRITES, *self.AROUND_IT):
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
                async with databases.transaction(engine) as connection:
                    await connection.execute(text(statement))
        assert await contents(database) == before

    @pytest.mark.parametrize("role", ["langsense_owner", "postgres"])
    async def test_to_the_owner_and_to_an_administrator(
        self, engine: AsyncEngine, database: Database, role: str
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        before = await contents(database)
        connection = await asyncpg.connect(database.admin_dsn)
        try:
            await connection.execute(f"SET ROLE {role}")
            for statement in self.REWRITES:
                with pytest.raises(asyncpg.RaiseError, match="the journal is append-only"):
                    await connection.execute(statement)
        finally:
            await connection.close()
        assert await contents(database) == before


async def test_the_databases_own_lists_are_those_of_the_contract(database: Database) -> None:
    for name, members in (("transaction_kind", Kind), ("transaction_status", Status), ("account_class", Account)):
        rows = await as_administrator(database, f"SELECT unnest(enum_range(NULL::wallet.{name}))::text")
        assert [row[0] for row in rows] == [member.value for member in members]


async def test_the_primary_key_of_what_is_on_a_lane_begins_with_it(database: Database) -> None:
    rows = await as_administrator(
        database,
        """SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indisprimary AND c.relnamespace = 'wallet'::regnamespace
            AND c.relname NOT IN ('alembic_version', 'reconciliations')""",
    )
    assert {row["relname"]: row["attname"] for row in rows} == dict.fromkeys((*TABLES, "checkpoints", "seals"), "lane")


class TestReads:
    """What the endpoints and the relay ask."""

    async def test_a_players_history_is_its_own_newest_first_and_in_pages(
        self, engine: AsyncEngine, reads: Reads
    ) -> None:
        mine = [command(Kind.DEPOSIT, amount) for amount in range(1, 6)]
        others = [command(Kind.DEPOSIT, user_id=43) for _ in mine]
        await take(engine, [Placed(0, each) for pair in zip(mine, others, strict=True) for each in pair])
        page = await reads.history(0, 42, None, 2)
        assert [each.row.content.amount_minor for each in page] == [5, 4]
        rest = await reads.history(0, 42, page[-1].row.content.position, 10)
        assert [each.row.content.amount_minor for each in rest] == [3, 2, 1]
        assert await reads.history(0, 42, rest[-1].row.content.position, 10) == []

    async def test_a_lanes_journal_is_in_order_and_in_pages(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(lane, command(Kind.DEPOSIT)) for lane in (0, 1) for _ in range(5)])
        assert [row.content.position for row in await reads.journal(1, 2, 2)] == [3, 4]
        assert await reads.journal(1, 5, 10) == []
        assert await reads.journal(3, 0, 10) == []

    async def test_a_command_is_found_on_whichever_lane_it_is(self, engine: AsyncEngine, reads: Reads) -> None:
        each = command(Kind.DEPOSIT)
        await take(engine, [Placed(3, each)])
        found = await reads.transaction(each.command_id)
        assert found is not None
        assert (found.row.content.lane, found.row.content.command_id) == (3, each.command_id)
        assert await reads.transaction(UUID(int=0)) is None

    async def test_the_marks_say_how_long_a_lane_has_been_idle(
        self, engine: AsyncEngine, reads: Reads, database: Database
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))], offset=12)
        await as_administrator(database, "UPDATE wallet.lanes SET decided_at = decided_at - interval '1 minute'")
        (mark,) = await reads.lanes()
        assert (mark.lane, mark.position, mark.published) == (0, 1, 0)
        assert 60 <= mark.idle_s < 120
        assert mark.head != GENESIS

    async def test_the_lane_keeps_the_offset_after_its_last_record(
        self, engine: AsyncEngine, database: Database
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))], offset=12)
        ((offset,),) = await as_administrator(database, "SELECT next_offset FROM wallet.lanes")
        assert offset == 12


async def test_a_decision_is_found_by_lane_and_id(engine: AsyncEngine) -> None:
    each = command(Kind.DEPOSIT)
    await take(engine, [Placed(1, each)])
    async with databases.transaction(engine) as connection:
        loaded = await repository.load(connection, needs([Placed(0, each), Placed(1, each)]), RULES.windows)
    assert list(loaded.decisions) == [DecisionKey(1, each.command_id)]
