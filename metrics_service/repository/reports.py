"""Reports: all that one says is read from one snapshot, and signed."""

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository import days, facts
from shared import database
from shared.checkpoints import SigningKeys
from shared.clock import Clock
from shared.figures import figures, report
from shared.figures.report import Report, days_before


class ReportKeys:
    """The keys that sign reports, as they are now."""

    def __init__(self, report_keys: str) -> None:
        self.take(report_keys)

    def take(self, report_keys: str) -> None:
        """Use these from now on. Raises ConfigurationError."""
        self.signing = SigningKeys.parse(report_keys, "REPORT_KEYS")


class Reports:
    """Makes reports. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine, zone: ZoneInfo, keys: ReportKeys, clock: Clock) -> None:
        self._engine = engine
        self._zone = zone
        self._keys = keys
        self._clock = clock

    async def make(self, first: date, last: date) -> Report:
        """The signed report of the days from `first` to `last`, both of them in it."""
        async with database.reading(self._engine) as connection:
            found = await facts.read(connection, first, last)
            before = await facts.read(connection, *days_before(first, last))
            closed = await days.closed(connection, first, last)
            corrected = await days.restated(connection, before.first, last)
        made = report.of(
            found,
            before,
            time_zone=self._zone.key,
            made_at=self._clock(),
            open_days=[day for day in figures.days_of(found) if day not in closed],
            corrected=corrected,
        )
        return report.signed(made, self._keys.signing)
