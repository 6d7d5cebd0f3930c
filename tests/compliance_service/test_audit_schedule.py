"""Compliance audits by themselves: which are due, that each is made once, and what they say of KYC."""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain.periods import Every, due
from compliance_service.handlers.audit_schedule import AuditSchedule
from compliance_service.repository.figures import ComplianceAudits
from compliance_service.settings import Settings
from shared import database
from tests.compliance_service.support import Setup

BOTH: frozenset[Every] = frozenset({"week", "month"})
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def periods(now: datetime, zone: str = "UTC", every: frozenset[Every] = BOTH) -> list[tuple[str, str]]:
    return [(each.start.isoformat(), each.end.isoformat()) for each in due(every, now, ZoneInfo(zone))]


class TestDue:
    def test_the_last_week_and_month_that_are_over(self) -> None:
        assert periods(NOW) == [
            ("2026-11-16T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
            ("2026-10-01T00:00:00+00:00", "2026-11-01T00:00:00+00:00"),
        ]

    def test_a_period_is_due_an_hour_after_its_end(self) -> None:
        before, after = datetime(2026, 11, 23, 0, 59, tzinfo=UTC), datetime(2026, 11, 23, 1, tzinfo=UTC)
        assert periods(before, every=frozenset({"week"})) == [
            ("2026-11-09T00:00:00+00:00", "2026-11-16T00:00:00+00:00")
        ]
        assert periods(after, every=frozenset({"week"})) == [("2026-11-16T00:00:00+00:00", "2026-11-23T00:00:00+00:00")]

    def test_days_are_the_platforms_over_a_change_of_the_clock(self) -> None:
        (week,) = periods(datetime(2026, 10, 26, 12, tzinfo=UTC), "Europe/Malta", frozenset({"week"}))
        assert week == ("2026-10-19T00:00:00+02:00", "2026-10-26T00:00:00+01:00")

    def test_what_is_not_wanted_is_not_due(self) -> None:
        assert periods(NOW, every=frozenset()) == []

    def test_a_period_has_one_id_everywhere(self) -> None:
        first, later = due(BOTH, NOW, ZoneInfo("UTC")), due(BOTH, NOW.replace(hour=23), ZoneInfo("UTC"))
        assert [each.id for each in first] == [each.id for each in later]


@pytest.mark.integration
class TestMade:
    @pytest.fixture
    def schedules(self, settings: Settings, engine: AsyncEngine) -> list[AuditSchedule]:
        audits = ComplianceAudits(engine, settings.thresholds(), "UNVERIFIED")
        return [AuditSchedule(settings, engine=engine, audits=audits, clock=lambda: NOW) for _ in range(3)]

    async def test_each_is_made_once_over_instances_and_looks(
        self, schedules: list[AuditSchedule], engine: AsyncEngine, kyc: Setup
    ) -> None:
        assert await schedules[0].look() == 0
        async with database.transaction(engine) as connection:
            await connection.execute(text("INSERT INTO tiers (user_id, tier) VALUES (1, 'VERIFIED')"))
        made = await asyncio.gather(*(schedule.look() for schedule in schedules))
        assert (sum(made), await schedules[1].look()) == (2, 0)
        assert (await kyc.actions()).count("COMPLIANCE_AUDIT") == 2

    async def test_documents_are_counted_by_month_and_reviews_by_age(
        self, settings: Settings, engine: AsyncEngine, kyc: Setup
    ) -> None:
        await kyc.submit(1)
        await kyc.submit(2)
        await kyc.submit(3, document_number="925665417", document_expires_on="2099-01-31")
        async with database.transaction(engine) as connection:
            await connection.execute(text("UPDATE kyc SET expiry_month = date_trunc('month', now()) WHERE user_id = 1"))
            await connection.execute(text("UPDATE kyc SET changed_at = now() - interval '3 days' WHERE user_id = 2"))
        figures = await ComplianceAudits(engine, settings.thresholds(), "UNVERIFIED").figures(NOW, NOW.replace(hour=11))
        assert list(figures.documents_expiring.values()) == [1]
        assert figures.reviews_open == {"1 to 7 days": 1}
