"""Reconciliations as they are asked for, and as workers carry them out: each once, whoever dies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared import database as databases
from shared.contracts.integrity import LedgerState, Reconciliation
from shared.contracts.kinds import Kind
from shared.errors import DatabaseUnavailable
from shared.lanes import lane_of
from shared.signing import ChainKeys
from shared.telemetry import Metrics
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, command, decide
from tests.wallet_service.test_endpoints import problem, serving
from wallet_service import endpoints
from wallet_service.domain.reconciling import Cause, Outcome, last_month
from wallet_service.handlers import reconciler as reconcilers
from wallet_service.handlers.reconciler import Reconciler
from wallet_service.repository import Reconciliations, lock_taken, reconciliations

pytestmark = pytest.mark.integration

CHAIN = ChainKeys.parse(CHAIN_KEYS)
USER = 42
LANE = lane_of(USER, LANES)
UTC_ZONE = ZoneInfo("UTC")
OCTOBER = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}
ASKED = {**OCTOBER, "requested_by": "ann"}

SEALED = f"INSERT INTO wallet.checkpoints VALUES (1, 1, 2, now(), {LANE}, '', '', '', '', 's1')"

Make = Callable[[], Reconciler]


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(database.dsn("wallet_service")) as client:
        yield client


@pytest.fixture
def records(engine: AsyncEngine) -> Reconciliations:
    return Reconciliations(engine)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def make(engine: AsyncEngine, metrics: Metrics) -> Make:
    """A worker, of which there may be more."""
    return lambda: Reconciler(engine, zone=UTC_ZONE, metrics=metrics)


@pytest.fixture
async def worker(make: Make) -> Reconciler:
    """A worker that has made the last month's record already."""
    worker = make()
    await worker.look()
    return worker


async def asked(http: httpx2.AsyncClient) -> Reconciliation:
    response = await http.post("/reconciliations", json=ASKED)
    assert response.status_code == 200, response.text
    return Reconciliation.model_validate_json(response.content)


async def again(http: httpx2.AsyncClient, record_id: UUID) -> Reconciliation:
    return Reconciliation.model_validate_json((await http.get(f"/reconciliations/{record_id}")).content)


async def state(http: httpx2.AsyncClient) -> LedgerState:
    return LedgerState.model_validate_json((await http.get("/integrity")).content)


class TestARecord:
    """From the request to its end."""

    async def test_it_says_who_asked_for_what_and_then_what_was_found(
        self, http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine, database: Database
    ) -> None:
        await decide(engine, [command(Kind.DEPOSIT, 1000), command(Kind.DEPOSIT, 500)], LANES, CHAIN)
        await as_administrator(database, "UPDATE wallet.accounts SET cash = 1501")
        until = (await decide(engine, [command(Kind.DEPOSIT, 1, 43)], LANES, CHAIN))[0].content.created_at
        body = {"from": "2026-01-01T02:00:00+02:00", "to": clock.to_text(until), "requested_by": "ann"}

        first = Reconciliation.model_validate_json((await http.post("/reconciliations", json=body)).content)
        assert (first.start, first.end) == (datetime(2026, 1, 1, tzinfo=UTC), until)
        assert (first.cause, first.requested_by, first.status) == ("on_demand", "ann", "requested")
        assert (first.rows, first.discrepancy_count, first.discrepancies, first.has_ended) == (None, None, [], False)

        await worker.look()
        found = await again(http, first.id)
        assert (found.status, found.rows, found.discrepancy_count, found.truncated) == ("finished", 2, 2, False)
        assert [(each.kind, each.expected, each.found) for each in found.discrepancies] == [
            ("conservation", "0", "1"),
            ("stored_balance", "1500", "1501"),
        ]
        assert found.finished_at
        assert found.started_at
        assert found.requested_at <= found.started_at <= found.finished_at

    async def test_what_was_found_stays_and_can_be_asked_for_again(
        self, http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine, database: Database
    ) -> None:
        first = await asked(http)
        await worker.look()
        before = await again(http, first.id)
        await decide(engine, [command(Kind.DEPOSIT)], LANES, CHAIN)
        await as_administrator(database, "UPDATE wallet.accounts SET cash = 1")
        second = await asked(http)
        await worker.look()
        assert await again(http, first.id) == before
        assert (await again(http, second.id)).discrepancy_count == 1

    async def test_more_than_are_kept_are_counted(
        self, http: httpx2.AsyncClient, worker: Reconciler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def many(*_: object) -> Outcome:
            return Outcome(5, 4000, [])

        monkeypatch.setattr(reconcilers, "reconcile", many)
        made = await asked(http)
        await worker.look()
        found = await again(http, made.id)
        assert (found.discrepancy_count, found.discrepancies, found.truncated) == (4000, [], True)

    async def test_the_newest_are_listed_first_and_go_on_below_a_number(
        self, http: httpx2.AsyncClient, records: Reconciliations
    ) -> None:
        made = [await asked(http) for _ in range(3)]
        page = (await http.get("/reconciliations?limit=2")).json()
        assert [each["id"] for each in page] == [str(made[2].id), str(made[1].id)]
        assert "discrepancies" not in page[0]
        rest = (await http.get(f"/reconciliations?before={page[-1]['number']}")).json()
        assert [each["id"] for each in rest] == [str(made[0].id)]

    async def test_one_that_is_not_there(self, http: httpx2.AsyncClient) -> None:
        problem(await http.get(f"/reconciliations/{UUID(int=7)}"), 404, "NOT_FOUND")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"to": OCTOBER["from"]}, "to"),
            ({"to": "2199-01-01T00:00:00Z"}, "to"),
            ({"to": "2026-11-01"}, "to"),
            ({"from": "2026-10-01T00:00:00"}, "from"),
            ({"from": None}, "from"),
            ({"requested_by": ""}, "requested_by"),
        ],
    )
    async def test_what_is_wrong_is_named(self, http: httpx2.AsyncClient, changes: dict[str, Any], field: str) -> None:
        body = problem(await http.post("/reconciliations", json={**ASKED, **changes}), 422, "VALIDATION_FAILED")
        assert [error["field"] for error in body["errors"]] == [field]

    async def test_only_so_many_wait(self, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endpoints, "MAX_OPEN_RECONCILIATIONS", 2)
        await asked(http)
        await asked(http)
        response = await http.post("/reconciliations", json=ASKED)
        problem(response, 429, "RATE_LIMITED")
        assert response.headers["retry-after"] == "60"

    async def test_what_was_asked_is_not_the_services_to_change(self, engine: AsyncEngine) -> None:
        for statement in (
            "UPDATE reconciliations SET requested_by = 'nobody'",
            "UPDATE reconciliations SET period_to = period_to - interval '1 day'",
            "DELETE FROM reconciliations",
        ):
            with pytest.raises(Exception, match="permission denied"):
                async with databases.transaction(engine) as connection:
                    await connection.exec_driver_sql(statement)


class TestWorkers:
    """Any of them may do it, and one does."""

    async def test_many_records_are_each_carried_out_once(
        self, http: httpx2.AsyncClient, make: Make, worker: Reconciler, metrics: Metrics
    ) -> None:
        made = [await asked(http) for _ in range(12)]
        await asyncio.gather(*(make().look() for _ in range(5)))
        assert {(await again(http, each.id)).status for each in made} == {"finished"}
        assert 'langsense_reconciliations_finished_total{cause="on_demand"} 12.0' in metrics.exposition().decode()

    async def test_one_that_is_under_way_is_left_to_who_does_it(
        self,
        http: httpx2.AsyncClient,
        make: Make,
        worker: Reconciler,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reconciliations, "TAKEN_FOR", timedelta(0))
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(*_: object) -> Outcome:
            begun.set()
            await go_on.wait()
            return Outcome(1, 0, [])

        made = await asked(http)
        with monkeypatch.context() as patched:
            patched.setattr(reconcilers, "reconcile", slow)
            working = asyncio.create_task(worker.look())
            await begun.wait()
            assert (await again(http, made.id)).status == "running"
        await make().look()
        assert (await again(http, made.id)).status == "running"
        go_on.set()
        await working
        assert (await again(http, made.id)).rows == 1

    async def test_who_comes_second_to_lock_one_leaves_it(
        self, http: httpx2.AsyncClient, records: Reconciliations, engine: AsyncEngine
    ) -> None:
        made = await asked(http)
        await records.take()
        async with databases.transaction(engine) as first, databases.transaction(engine) as second:
            assert await lock_taken(first, made.id) is not None
            async with asyncio.timeout(5):
                assert await lock_taken(second, made.id) is None

    async def test_one_whose_worker_died_is_taken_up_again(
        self,
        http: httpx2.AsyncClient,
        make: Make,
        worker: Reconciler,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        begun = asyncio.Event()

        async def endless(*_: object) -> Outcome:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError("it died before")

        made = await asked(http)
        with monkeypatch.context() as patched:
            patched.setattr(reconcilers, "reconcile", endless)
            working = asyncio.create_task(worker.look())
            await begun.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        await make().look()
        # It may only just have been taken: whoever has it is given time to lock it.
        assert (await again(http, made.id)).status == "running"
        monkeypatch.setattr(reconciliations, "TAKEN_FOR", timedelta(0))
        await make().look()
        assert (await again(http, made.id)).status == "finished"

    async def test_one_that_fails_again_and_again_is_given_up(
        self,
        http: httpx2.AsyncClient,
        worker: Reconciler,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reconciliations, "TAKEN_FOR", timedelta(0))

        async def fails(*_: object) -> Outcome:
            raise DatabaseUnavailable("too slow")

        monkeypatch.setattr(reconcilers, "reconcile", fails)
        made = await asked(http)
        for _ in range(reconciliations.MAX_ATTEMPTS):
            with pytest.raises(DatabaseUnavailable):
                await worker.look()
        await worker.look()
        found = await again(http, made.id)
        assert (found.status, found.rows, found.has_ended) == ("failed", None, True)
        await worker.look()
        assert await again(http, made.id) == found

    async def test_a_batch_that_is_under_way_is_waited_for(
        self, http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine
    ) -> None:
        """Its rows may be dated inside a period that is over."""
        await decide(engine, [command(Kind.DEPOSIT)], LANES, CHAIN)
        made = await asked(http)
        async with databases.transaction(engine) as connection:
            await connection.exec_driver_sql(f"SELECT * FROM lanes WHERE lane = {LANE} FOR UPDATE")
            working = asyncio.create_task(worker.look())
            finished, _ = await asyncio.wait([working], timeout=0.3)
            assert not finished
        await working
        assert (await again(http, made.id)).status == "finished"


class TestMonths:
    """Each month that is over is reconciled by itself, once."""

    async def test_many_instances_request_it_once(self, make: Make, records: Reconciliations, metrics: Metrics) -> None:
        await asyncio.gather(*(make().look() for _ in range(3)))
        await make().look()
        (found,) = await records.newest(None, 10)
        month = last_month(clock.utc_now(), UTC_ZONE)
        assert (found.start, found.end) == (month.start, month.end)
        assert (found.cause, found.requested_by, found.status) == ("monthly", None, "finished")
        assert 'langsense_reconciliations_finished_total{cause="monthly"} 1.0' in metrics.exposition().decode()

    async def test_a_month_begins_where_the_platform_is(
        self, engine: AsyncEngine, metrics: Metrics, records: Reconciliations
    ) -> None:
        await Reconciler(engine, zone=ZoneInfo("Pacific/Kiritimati"), metrics=metrics).look()
        (found,) = await records.newest(None, 10)
        # Fourteen hours ahead of UTC, all year.
        assert ((found.start + timedelta(hours=14)).day, found.start.hour) == (1, 10)

    async def test_the_same_month_may_be_asked_for_beside_it(self, make: Make, records: Reconciliations) -> None:
        await make().look()
        month = last_month(clock.utc_now(), UTC_ZONE)
        assert await records.request(month, Cause.MONTHLY, None) is None
        assert await records.request(month, Cause.ON_DEMAND, "ann") is not None
        await make().look()
        assert [each.cause for each in await records.newest(None, 10)] == ["on_demand", "monthly"]


async def test_every_instance_shows_what_the_last_one_found(
    http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine, database: Database
) -> None:
    await decide(engine, [command(Kind.DEPOSIT)], LANES, CHAIN)
    await as_administrator(database, "UPDATE wallet.accounts SET cash = 1")
    await asked(http)
    await worker.look()
    elsewhere = Metrics()
    await Reconciler(engine, zone=UTC_ZONE, metrics=elsewhere).look()
    assert "langsense_reconciliation_discrepancies 1.0" in elsewhere.exposition().decode()


class TestIntegrity:
    """The whole ledger at a glance."""

    async def test_a_ledger_that_holds(
        self, http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine, database: Database
    ) -> None:
        rows = await decide(engine, [command(Kind.DEPOSIT) for _ in range(3)], LANES, CHAIN)
        await as_administrator(database, SEALED)
        made = await asked(http)
        await worker.look()
        found = await state(http)
        (lane,) = found.lanes
        assert (lane.lane, lane.position, lane.head) == (LANE, 3, rows[-1].checksum.hex())
        assert (lane.checkpoint_number, lane.checkpoint_position, lane.unsealed_rows) == (1, 2, 1)
        assert lane.oldest_unsealed_s is not None
        assert 0 < lane.oldest_unsealed_s < 60
        assert [(each.currency, each.sum) for each in found.conservation] == [("USD", "0")]
        assert found.last_reconciliation
        assert (found.last_reconciliation.id, found.last_reconciliation.discrepancy_count) == (made.id, 0)
        assert found.consistent is True

    async def test_one_that_is_empty_holds(self, http: httpx2.AsyncClient) -> None:
        found = await state(http)
        assert (found.lanes, found.conservation, found.last_reconciliation) == ([], [], None)
        assert found.consistent is True

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE wallet.accounts SET cash = cash + 1",
            "UPDATE wallet.lanes SET position = 1",
            f"UPDATE wallet.house_accounts SET balance = balance + 1 WHERE lane = {LANE}",
        ],
    )
    async def test_one_that_does_not(
        self, http: httpx2.AsyncClient, engine: AsyncEngine, database: Database, statement: str
    ) -> None:
        await decide(engine, [command(Kind.DEPOSIT) for _ in range(3)], LANES, CHAIN)
        await as_administrator(database, SEALED)
        assert (await state(http)).consistent is True
        await as_administrator(database, statement)
        assert (await state(http)).consistent is False

    async def test_what_the_last_reconciliation_found_is_not_forgotten(
        self, http: httpx2.AsyncClient, worker: Reconciler, engine: AsyncEngine, database: Database
    ) -> None:
        await decide(engine, [command(Kind.DEPOSIT)], LANES, CHAIN)
        await as_administrator(database, "UPDATE wallet.accounts SET cash = 999, reserved = 1")
        assert (await state(http)).consistent is True
        until = clock.to_text(
            (await decide(engine, [command(Kind.DEPOSIT, 1, 43)], LANES, CHAIN))[0].content.created_at
        )
        await http.post("/reconciliations", json={**ASKED, "to": until})
        await worker.look()
        found = await state(http)
        assert found.last_reconciliation
        assert (found.last_reconciliation.discrepancy_count, found.consistent) == (3, False)
