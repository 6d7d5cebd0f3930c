"""What is read to see how limits are met and set aside."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.tables import daily_totals, hourly_totals
from shared.contracts.kinds import Kind, Reason, Status

LIMIT_REASONS = frozenset(
    {
        *(Reason.MAX_BET_EXCEEDED, Reason.WITHDRAWAL_COOLDOWN),
        *(Reason.DAILY_DEPOSIT_LIMIT, Reason.WEEKLY_DEPOSIT_LIMIT, Reason.MONTHLY_DEPOSIT_LIMIT),
        *(Reason.DAILY_LOSS_LIMIT, Reason.WEEKLY_LOSS_LIMIT, Reason.MONTHLY_LOSS_LIMIT),
        *(Reason.DAILY_WAGER_LIMIT, Reason.WEEKLY_WAGER_LIMIT, Reason.MONTHLY_WAGER_LIMIT),
    }
)
_h, _d = hourly_totals.c, daily_totals.c


async def limit_refusals(connection: AsyncConnection, now: datetime, zone: ZoneInfo) -> int:
    """How many commands were refused for a limit in this hour and the one before."""
    hours = [moment.astimezone(zone) for moment in (now, now - timedelta(hours=1))]
    of_them = or_(*((_h.day == hour.date()) & (_h.hour == hour.hour) for hour in hours))
    query = select(func.coalesce(func.sum(_h.rows), 0)).where(of_them, _h.reason.in_(sorted(LIMIT_REASONS)))
    return int((await connection.execute(query)).scalar_one())


async def limit_overrides(connection: AsyncConnection, now: datetime, zone: ZoneInfo) -> int:
    """How many limits and cooldowns staff set aside today."""
    query = select(func.coalesce(func.sum(_d.rows), 0)).where(
        _d.day == now.astimezone(zone).date(), _d.kind == Kind.LIMIT_OVERRIDE, _d.status == Status.POSTED
    )
    return int((await connection.execute(query)).scalar_one())
