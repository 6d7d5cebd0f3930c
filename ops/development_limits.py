"""The limits of currencies beside the base currency, for a platform that somebody tries. An operator sets its own."""

import json

_NAMES = (
    "DAILY_DEPOSIT_LIMIT",
    "DAILY_LOSS_LIMIT",
    "WEEKLY_LOSS_LIMIT",
    "MONTHLY_LOSS_LIMIT",
    "MAX_BET_AMOUNT",
    "MAX_PAYOUT_AMOUNT",
)
_AMOUNTS = {
    "EUR": ("10000", "500", "2000", "5000", "1000", "100000"),
    "GBP": ("10000", "500", "2000", "5000", "1000", "100000"),
    "JPY": ("1500000", "75000", "300000", "750000", "150000", "15000000"),
    "KWD": ("3000", "150", "600", "1500", "300", "30000"),
}

# As the wallet reads CURRENCY_LIMITS.
CURRENCY_LIMITS = json.dumps(
    {currency: dict(zip(_NAMES, amounts, strict=True)) for currency, amounts in _AMOUNTS.items()}
)
