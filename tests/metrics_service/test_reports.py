"""Every figure of a report equals a plain sum over the journal, and one digit that is changed is found."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metrics_service.handlers import ledger as handlers
from metrics_service.repository import days, totals
from metrics_service.repository.reports import ReportKeys, Reports
from metrics_service.tables import ALL_LANES, daily_owed, daily_totals, inbox
from ops import proof
from ops.proof.reported import reported
from shared import clock
from shared import database as databases
from shared.checkpoints import PublicKeys
from shared.contracts.events import LedgerEvent
from shared.figures.report import signed
from shared.inbox import LedgerInbox
from shared.money import to_decimal
from shared.telemetry import Metrics
from shared.testing import FakeLedger
from tests.metrics_service.conftest import REPORT_KEYS
from tests.metrics_service.conftest import UTC as ZONE
from tests.metrics_service.play import CURRENCIES, DAYS, FIRST, Play, take, write
from tests.support import LANES, Database, Recorder, as_administrator, record

pytestmark = pytest.mark.integration

FIRST_DAY, LAST_DAY = FIRST.date(), FIRST.date() + timedelta(days=DAYS - 1)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEYS = ReportKeys(REPORT_KEYS)
FOLDED = (
    *("inbox", "lane_heads", "daily_totals", "hourly_totals", "daily_owed", "daily_players", "players", "largest_wins"),
)
Report = dict[str, Any]

_BACK = "kind = 'REVERSAL' AND facts->>'reversed_kind'"
# Each figure as one sum over a currency's posted rows; the formulas that a report shows, in another hand.
SUMS = {
    "deposits": f"sum(amount) FILTER (WHERE kind = 'DEPOSIT') - sum(amount) FILTER (WHERE {_BACK} = 'DEPOSIT')",
    "withdrawals": "sum(amount) FILTER (WHERE kind IN ('WITHDRAWAL', 'WITHDRAWAL_CAPTURE'))"
    f" - sum(amount) FILTER (WHERE {_BACK} IN ('WITHDRAWAL', 'WITHDRAWAL_CAPTURE'))",
    "bets": "sum(amount) FILTER (WHERE kind = 'GAME_BET') - sum(amount) FILTER (WHERE kind = 'BET_ROLLBACK')",
    "payouts": "sum(amount) FILTER (WHERE kind = 'GAME_PAYOUT') - sum(amount) FILTER (WHERE kind = 'PAYOUT_ROLLBACK')",
    "refunds": f"sum(amount) FILTER (WHERE kind = 'REFUND') - sum(amount) FILTER (WHERE {_BACK} = 'REFUND')",
    "chargebacks": "sum(amount) FILTER (WHERE kind = 'CHARGEBACK')"
    f" - sum(amount) FILTER (WHERE {_BACK} = 'CHARGEBACK')",
    "adjustments": "sum(amount) FILTER (WHERE debit = 'adjustments')"
    " - sum(amount) FILTER (WHERE credit = 'adjustments')",
    "ggr": "sum(amount) FILTER (WHERE credit = 'revenue') - sum(amount) FILTER (WHERE debit = 'revenue')",
    "active_players": "count(DISTINCT user_id) FILTER (WHERE kind = 'GAME_BET')",
    "bet_count": "count(*) FILTER (WHERE kind = 'GAME_BET')",
    "average_stake": "round(avg(amount) FILTER (WHERE kind = 'GAME_BET'))",
}
OWED = {
    "cash_owed": "sum(amount) FILTER (WHERE credit = 'cash') - sum(amount) FILTER (WHERE debit = 'cash')",
    "reserved_owed": "sum(amount) FILTER (WHERE credit = 'reserved') - sum(amount) FILTER (WHERE debit = 'reserved')",
}


async def sums(database: Database, first: date, last: date) -> Mapping[str, Mapping[str, int]]:
    """Each figure of a period by plain SQL, in minor units, by currency."""
    posted = "FROM wallet.transactions WHERE status = 'posted' AND currency <> 'XXX' AND created_at < $1"
    columns = ", ".join(f"{_whole(sql)} AS {name}" for name, sql in SUMS.items())
    owed = ", ".join(f"{_whole(sql)} AS {name}" for name, sql in OWED.items())
    start = datetime.combine(first, datetime.min.time(), UTC)
    end = datetime.combine(last, datetime.min.time(), UTC) + timedelta(days=1)
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        moved = await connection.fetch(
            f"SELECT currency, {columns} {posted} AND created_at >= $2 GROUP BY 1", end, start
        )
        left = await connection.fetch(f"SELECT currency, {owed} {posted} GROUP BY 1", end)
        new = await connection.fetch(
            f"""SELECT currency, count(*) AS new_players FROM (
                SELECT currency, min(created_at) AS since {posted} AND amount > 0 GROUP BY currency, user_id
            ) firsts WHERE since >= $2 GROUP BY 1""",
            end,
            start,
        )
    finally:
        await connection.close()
    found: dict[str, dict[str, int]] = {currency: {} for currency in CURRENCIES}
    for row in (*moved, *left, *new):
        found[row["currency"]] |= {name: int(value) for name, value in row.items() if name != "currency"}
    return found


def _whole(sql: str) -> str:
    return " - ".join(f"coalesce({term}, 0)" for term in sql.split(" - "))


_COUNTED = frozenset({"active_players", "bet_count", "new_players"})


def check(says: Report, holds: Mapping[str, int], currency: str) -> None:
    for name, value in holds.items():
        shown = says[name]
        expected: int | str | None = value if name in _COUNTED else to_decimal(value, currency)
        if name == "average_stake" and shown is None:
            expected = None
        assert shown == expected, name


@pytest.fixture
async def month(database: Database, engine: AsyncEngine) -> list[LedgerEvent]:
    """A small month, in the journal and in the figures."""
    rows = list(Play(6000, players=300).rows())
    await write(database, rows)
    await take(engine, handlers.applying(ZONE, clock.utc_now), rows)
    return rows


async def make(engine: AsyncEngine, first: date = FIRST_DAY, last: date = LAST_DAY) -> Report:
    return await Reports(engine, ZONE, KEYS, lambda: NOW).make(first, last)


async def findings(database: Database, report: Report, public: PublicKeys | None = None) -> list[str]:
    async with proof.snapshot(database.dsn("wallet_service")) as connection:
        checks = await reported(connection, report, public or KEYS.signing.public())
    return [finding for check in checks for finding in check.findings]


async def check_everything(database: Database, engine: AsyncEngine) -> None:
    report = await make(engine)
    assert await findings(database, json.loads(json.dumps(report))) == []
    assert report["currencies"].keys() == set(CURRENCIES)
    for currency, holds in (await sums(database, FIRST_DAY, LAST_DAY)).items():
        check(report["currencies"][currency], holds, currency)
    for day in (FIRST_DAY, FIRST_DAY + timedelta(days=11), LAST_DAY):
        for currency, holds in (await sums(database, day, day)).items():
            check(report["currencies"][currency]["days"][day.isoformat()], holds, currency)


@pytest.mark.usefixtures("month")
async def test_every_figure_equals_a_plain_sum_over_the_journal(database: Database, engine: AsyncEngine) -> None:
    await check_everything(database, engine)


@pytest.mark.usefixtures("month")
async def test_figures_stay_when_days_close_and_when_late_rows_come(database: Database, engine: AsyncEngine) -> None:
    before = await make(engine)
    over = [FIRST_DAY + timedelta(days=number) for number in range(DAYS - 1)]
    for some in (over[:20], over):
        async with databases.transaction(engine) as connection:
            await days.close(connection, some, "UTC", NOW)
            await totals.merge(connection, some)
    after = await make(engine)
    assert after["currencies"] == before["currencies"]
    assert after["open_days"] == [LAST_DAY.isoformat()]
    async with databases.reading(engine) as connection:
        for table in (daily_totals, daily_owed):
            of_lanes = select(table.c.day).distinct().where(table.c.lane != ALL_LANES)
            assert set((await connection.execute(of_lanes)).scalars()) == {LAST_DAY}
    late = list(Play(7000, players=300).rows())[6000:]
    await write(database, late)
    await take(engine, handlers.applying(ZONE, clock.utc_now), late)
    assert (await make(engine))["restatements"]
    await check_everything(database, engine)
    # As an instance does that saw the same days to close, and comes second.
    async with databases.transaction(engine) as connection:
        await totals.merge(connection, over)
    await check_everything(database, engine)


@pytest.mark.slow
async def test_every_figure_of_a_busy_month_equals_a_plain_sum_over_the_journal(
    database: Database, engine: AsyncEngine
) -> None:
    rows = list(Play(100_000).rows())
    await write(database, rows)
    await take(engine, handlers.applying(ZONE, clock.utc_now), rows)
    await check_everything(database, engine)


@pytest.mark.usefixtures("month")
async def test_one_digit_that_is_changed_is_found_at_its_figure(database: Database, engine: AsyncEngine) -> None:
    report = await make(engine)
    figures = report["currencies"]["USD"]
    day = FIRST_DAY.isoformat()
    honest, honest_day = figures["net_revenue"], figures["days"][day]["deposits"]
    figures["net_revenue"] = honest[:-1] + str((int(honest[-1]) + 1) % 10)
    assert await findings(database, report) == [
        "the report has a signature that is not its key's",
        f"USD net_revenue: the report says {figures['net_revenue']}, the journal gives {honest}",
    ]
    figures["net_revenue"] = honest
    figures["days"][day]["deposits"] = "0.01"
    # Whoever holds a key can sign what is not so; the journal still says what is.
    assert await findings(database, {**report, **_signed_again(report)}) == [
        f"USD days {day} deposits: the report says 0.01, the journal gives {honest_day}"
    ]


@pytest.mark.usefixtures("month")
async def test_a_report_of_another_chain_or_key_is_found(database: Database, engine: AsyncEngine) -> None:
    report = await make(engine)
    assert await findings(database, report, PublicKeys({})) == [
        "the report is signed with key 'r1', which is not known here"
    ]
    lane, cut = next(iter(report["cut"].items()))
    cut["head"] = "0" * 64
    assert f"lane {lane}: the journal's row at position {cut['position']} is not the one named" in await findings(
        database, report
    )


async def test_a_report_is_of_exactly_the_positions_that_it_names(
    database: Database, engine: AsyncEngine, month: list[LedgerEvent]
) -> None:
    before = await make(engine)
    later = list(Play(7000, players=300).rows())[6000:]
    await write(database, later)
    assert await findings(database, before) == []
    await take(engine, handlers.applying(ZONE, clock.utc_now), later)
    after = await make(engine)
    assert after["cut"] != before["cut"]
    assert await findings(database, before) == []
    assert await findings(database, after) == []


async def test_any_cut_of_the_same_rows_into_batches_gives_the_same_report(
    database: Database, engine: AsyncEngine, month: list[LedgerEvent]
) -> None:
    before = await make(engine)
    await as_administrator(database, f"TRUNCATE {', '.join(f'metrics.{name}' for name in FOLDED)}")
    assert (await make(engine))["currencies"] == {}
    lanes = [[row for row in month if row.lane == lane] for lane in range(LANES)]
    # Lane after lane, as a catch-up from the journal brings them, and in other batches.
    for rows in reversed(lanes):
        await take(engine, handlers.applying(ZONE, clock.utc_now), rows, batch=777)
    assert await make(engine) == before


def _signed_again(report: Report) -> Report:
    return signed({name: value for name, value in report.items() if name != "signature"}, KEYS.signing)


class Killed(Exception):
    """Stands for a process that ends in the middle of a batch."""


async def test_a_service_that_is_killed_and_fed_again_at_random_points_gives_the_same_report(
    database: Database, engine: AsyncEngine
) -> None:
    draw = random.Random(3)
    rows = list(Play(4000, players=200).rows())
    await write(database, rows)
    counted = handlers.applying(ZONE, clock.utc_now)

    async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
        await counted(connection, events)
        if draw.random() < 0.4:
            raise Killed

    def started() -> LedgerInbox:
        return LedgerInbox(
            engine=engine,
            table=inbox,
            journal=FakeLedger(LANES),
            publisher=Recorder(),
            apply=apply,
            metrics=Metrics(),
        )

    at = kills = 0
    while at < len(rows):
        # After a kill, and sometimes without one, Kafka brings what it brought before.
        start = max(0, at - draw.randrange(300))
        end = min(len(rows), at + draw.randrange(1, 400))
        batch = [record(row.model_dump_json().encode(), partition=row.lane) for row in rows[start:end]]
        try:
            await started().take(batch)
        except Killed:
            kills += 1
        else:
            at = end
    assert kills > 3
    report = await make(engine)
    assert {lane: cut["position"] for lane, cut in report["cut"].items()} == {
        str(lane): max(row.position for row in rows if row.lane == lane) for lane in range(LANES)
    }
    assert await findings(database, report) == []
