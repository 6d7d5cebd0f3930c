"""Limits as the wallet's tests name and set them, and moments."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from shared.contracts.limits import LimitName
from wallet_service.domain.limits import WindowMode, Windows

DAILY_DEPOSIT, DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS = (
    LimitName.DAILY_DEPOSIT_LIMIT,
    LimitName.DAILY_LOSS_LIMIT,
    LimitName.WEEKLY_LOSS_LIMIT,
    LimitName.MONTHLY_LOSS_LIMIT,
)
EUROS = {"EUR": dict.fromkeys((name.value for name in (DAILY_DEPOSIT, DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS)), "50")}
EUROS["EUR"] |= {"MAX_BET_AMOUNT": "20", "MAX_PAYOUT_AMOUNT": "30"}


def utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def calendar(zone: str = "UTC") -> Windows:
    return Windows(WindowMode.CALENDAR, ZoneInfo(zone))
