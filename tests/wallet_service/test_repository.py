"""What a batch decided is kept whole or not at all, and is read back as it was written."""

import random
import traceback
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.kinds import LIMIT_KINDS, NEEDS_ORIGINAL, PLAYER_KINDS, Kind
from shared.contracts.limits import LimitName
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.batches import KEYS, RULES, TABLES, contents, take
from tests.wallet_service.support import NOW, MemoryWallet, command
from wallet_service import repository
from wallet_service.domain.events import ReadRow
from wallet_service.domain.limits import PlayerLimit, Totals
from wallet_service.domain.needs import (
    AccountKey,
    Changes,
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

pytestmark = pytest.mark.integration


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
            movement = MovementKey(0, 42, Kind.GAME_BET, "a", None)  # type: ignore[arg-type]
            return replace(good, cancellations={movement: Movement(cancelled=True)})
        case "held payouts":
            return replace(good, held_minor={HeldKey(0, 42, "USD", "a", "r"): -1})
        case "limits":
            limit = LimitKey(0, 42, LimitName.DAILY_LOSS_LIMIT, "USD")
            return replace(good, limits={limit: PlayerLimit(pending=100)})
        case "restrictions":
            return replace(good, restrictions={(0, 42): Restrictions(excluded_until=NOW)})
        case "blocks":
            spoiled = Block(NOW, None, None)  # type: ignore[arg-type]
            return replace(good, restrictions={(0, 42): Restrictions(block=spoiled)})
        case "openings":
            account = AccountKey(0, 42, "USD")
            return replace(good, openings={account: Opening(None, Totals())})  # type: ignore[arg-type]
        case "disputes":
            unsaid = [each._replace(disputed=None) for each in good.disputes]  # type: ignore[arg-type]
            return replace(good, disputes=unsaid)
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
