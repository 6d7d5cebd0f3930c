"""Days close once they are over and complete, and what changes them afterwards is told."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.closing import to_close
from metrics_service.handlers import ledger as handlers
from metrics_service.handlers.closing import Closing, check_time_zone
from metrics_service.handlers.payments import ProviderFees
from metrics_service.repository.reports import ReportKeys, Reports
from metrics_service.settings import Settings
from metrics_service.tables import inbox as inbox_table
from shared.contracts.kinds import Kind
from shared.contracts.topics import PAYMENTS_EVENTS
from shared.errors import ConfigurationError
from shared.inbox import LedgerInbox
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.metrics_service.conftest import REPORT_KEYS
from tests.metrics_service.conftest import UTC as ZONE
from tests.support import Recorder, record

DAY = MOMENT.date()
NEXT = DAY + timedelta(days=1)
TOKYO = ZoneInfo("Asia/Tokyo")
GRACE = timedelta(minutes=5)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "days"),
    [
        (at(24, 23, 59), ZONE, []),
        (at(25, 0, 4), ZONE, []),
        (at(25, 0, 5), ZONE, [24]),
        (at(24, 15, 5), TOKYO, [24]),
        (at(27, 12), ZONE, [24, 25, 26]),
    ],
)
def test_a_day_closes_some_time_after_its_end_on_the_platforms_clock(
    now: datetime, zone: ZoneInfo, days: list[int]
) -> None:
    assert to_close(DAY, None, now, zone, GRACE) == [date(2026, 11, day) for day in days]


def test_a_day_closes_once_and_nothing_closes_before_there_are_rows() -> None:
    assert to_close(DAY, DAY, at(25, 12), ZONE, GRACE) == []
    assert to_close(DAY, DAY, at(26, 12), ZONE, GRACE) == [NEXT]
    assert to_close(None, None, at(26, 12), ZONE, GRACE) == []


class House:
    """The service's parts around one ledger, and a clock that stands where it is put."""

    def __init__(self, settings: Settings, engine: AsyncEngine, ledger: FakeLedger) -> None:
        self.now = at(24, 12)
        self.engine = engine
        self.ledger = ledger
        publisher, metrics = Recorder(), Metrics()
        self.inbox = LedgerInbox(
            engine=engine,
            table=inbox_table,
            journal=ledger,
            publisher=publisher,
            apply=handlers.applying(ZONE, self.clock),
            metrics=metrics,
        )
        self.closing = Closing(settings, engine=engine, inbox=self.inbox, journal=ledger, clock=self.clock)
        self.fees = ProviderFees(engine, publisher, ZONE, metrics, self.clock)
        self.publisher = publisher
        self.reports = Reports(engine, ZONE, ReportKeys(REPORT_KEYS), self.clock)

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def house(settings: Settings, engine: AsyncEngine, ledger: FakeLedger) -> House:
    return House(settings, engine, ledger)


async def closed(house: House) -> None:
    """A day with a bet of 10.00 on it, closed."""
    house.ledger.add(Kind.GAME_BET, 1, 1000)
    await house.inbox.catch_up()
    house.now = at(25, 1)
    assert await house.closing.look() == 1


@pytest.mark.integration
async def test_a_day_is_closed_only_once_everything_is_there(house: House) -> None:
    house.ledger.add(Kind.GAME_BET, 1, 1000)
    await house.inbox.catch_up()
    house.ledger.add(Kind.GAME_BET, 1, 500)
    house.now = at(25, 1)
    assert await house.closing.look() == 0
    assert (await house.reports.make(DAY, DAY))["open_days"] == [DAY.isoformat()]
    await house.inbox.catch_up()
    assert await house.closing.look() == 1
    assert await house.closing.look() == 0
    report = await house.reports.make(DAY, DAY)
    assert report["open_days"] == report["restatements"] == []


@pytest.mark.integration
async def test_a_late_row_restates_its_day_and_what_is_owed_on_the_days_after_it(house: House) -> None:
    await closed(house)
    house.now = at(26, 1)
    house.ledger.add(Kind.GAME_BET, 1, 100, at=at(25, 12))
    await house.inbox.catch_up()
    assert await house.closing.look() == 1
    late = house.ledger.add(Kind.GAME_PAYOUT, 1, 300, at=at(24, 23))
    await house.inbox.catch_up()
    found = (await house.reports.make(DAY, NEXT))["restatements"]
    assert {(each["date"], each["figure"], each["before"], each["after"]) for each in found} == {
        ("2026-11-24", "payouts", "0.00", "3.00"),
        ("2026-11-24", "ggr", "10.00", "7.00"),
        ("2026-11-24", "net_revenue", "10.00", "7.00"),
        ("2026-11-24", "hold_percentage", "100.00", "70.00"),
        ("2026-11-24", "cash_owed", "-10.00", "-7.00"),
        ("2026-11-24", "liabilities", "-10.00", "-7.00"),
        ("2026-11-25", "cash_owed", "-11.00", "-8.00"),
        ("2026-11-25", "liabilities", "-11.00", "-8.00"),
    }
    cause = f"ledger row: lane {late.lane}, position {late.position}"
    assert {(each["cause"], each["restated_at"]) for each in found} == {(cause, "2026-11-26T01:00:00.000000Z")}


@pytest.mark.integration
async def test_what_happens_on_an_open_day_restates_nothing(house: House) -> None:
    await closed(house)
    house.ledger.add(Kind.GAME_BET, 1, 100, at=at(25, 2))
    await house.inbox.catch_up()
    assert (await house.reports.make(DAY, NEXT))["restatements"] == []


def fee(payment: int, minor: int | None, *, event: str, when: datetime) -> dict[str, object]:
    return {
        "value": (
            f'{{"payment_id": "{UUID(int=payment)}", "provider": "stripe", "currency": "USD", "status": "completed", '
            f'"fee_minor": {"null" if minor is None else minor}}}'
        ).encode(),
        "topic": PAYMENTS_EVENTS,
        "headers": [("ce_id", event.encode()), ("ce_time", when.isoformat().encode())],
    }


@pytest.mark.integration
async def test_a_payments_newest_fee_counts_once_whatever_order_its_events_come_in(house: House) -> None:
    news = [
        fee(1, 30, event="a", when=at(24, 10)),
        fee(1, 35, event="b", when=at(24, 11)),
        fee(2, 40, event="c", when=at(24, 12)),
        fee(3, None, event="d", when=at(24, 12)),
    ]
    for some in (news, news[::-1], news[1:2]):
        await house.fees.take([record(**each) for each in some])  # type: ignore[arg-type]
    figures = (await house.reports.make(DAY, DAY))["currencies"]["USD"]
    assert (figures["provider_fees"], figures["net_revenue"]) == ("0.75", "-0.75")
    assert figures["providers"]["stripe"]["fees"] == "0.75"
    assert house.publisher.sent == []


@pytest.mark.integration
async def test_a_late_fee_restates_a_closed_day_and_what_is_no_fee_is_parked(house: House) -> None:
    await closed(house)
    broken = fee(1, -5, event="a", when=at(24, 10))
    await house.fees.take([record(**each) for each in (broken, fee(1, 5, event="b", when=at(24, 10)))])  # type: ignore[arg-type]
    found = (await house.reports.make(DAY, DAY))["restatements"]
    assert {(each["figure"], each["before"], each["after"]) for each in found} == {
        ("provider_fees", "0.00", "0.05"),
        ("net_revenue", "10.00", "9.95"),
    }
    assert {each["cause"] for each in found} == {f"provider's fee: payment {UUID(int=1)}"}
    assert len(house.publisher.sent) == 1


@pytest.mark.integration
async def test_days_of_two_time_zones_are_not_mixed(house: House) -> None:
    await check_time_zone(house.engine, TOKYO)
    await closed(house)
    await check_time_zone(house.engine, ZONE)
    with pytest.raises(ConfigurationError, match="FIGURES_TIME_ZONE: days were closed in UTC"):
        await check_time_zone(house.engine, TOKYO)
