"""The limits' names: the settings', and what a limit command names in its `reference_id`."""

from enum import StrEnum


class LimitName(StrEnum):
    """One limit. Its value is in minor units of a currency, or in seconds where its name says so.

    Deposits are gross: what was deposited, withdrawals not counted back. A loss is bets minus payouts; a wager is a
    bet, whatever it wins.
    """

    # As its text's: an enum's own is a function in Python, and slow.
    __hash__ = str.__hash__

    DAILY_DEPOSIT_LIMIT = "DAILY_DEPOSIT_LIMIT"
    WEEKLY_DEPOSIT_LIMIT = "WEEKLY_DEPOSIT_LIMIT"
    MONTHLY_DEPOSIT_LIMIT = "MONTHLY_DEPOSIT_LIMIT"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    WEEKLY_LOSS_LIMIT = "WEEKLY_LOSS_LIMIT"
    MONTHLY_LOSS_LIMIT = "MONTHLY_LOSS_LIMIT"
    DAILY_WAGER_LIMIT = "DAILY_WAGER_LIMIT"
    WEEKLY_WAGER_LIMIT = "WEEKLY_WAGER_LIMIT"
    MONTHLY_WAGER_LIMIT = "MONTHLY_WAGER_LIMIT"
    MAX_BET_AMOUNT = "MAX_BET_AMOUNT"
    MAX_PAYOUT_AMOUNT = "MAX_PAYOUT_AMOUNT"
    WITHDRAWAL_COOLDOWN_SECONDS = "WITHDRAWAL_COOLDOWN_SECONDS"


IN_SECONDS = frozenset({LimitName.WITHDRAWAL_COOLDOWN_SECONDS})
# Thirty days: what a limit in seconds is at most.
MAX_LIMIT_SECONDS = 30 * 86_400
# What a player may ask for. The other two protect the operator.
OWN_LIMITS = frozenset(LimitName) - {LimitName.MAX_PAYOUT_AMOUNT, LimitName.WITHDRAWAL_COOLDOWN_SECONDS}
