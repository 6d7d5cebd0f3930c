"""Money: integers in minor units of an ISO 4217 currency; decimal strings at the API's edge; never a float.

The number of decimals of each currency is ISO 4217's, from the `iso4217` package.
Codes without minor units there (gold, special drawing rights, test codes) are no currency here.
"""

from decimal import Decimal, InvalidOperation
from functools import cache

from iso4217 import Currency as IsoCurrency

# ISO 4217's code for what involves no currency: an exclusion, a player's tier.
NO_CURRENCY = "XXX"

# One movement is at most this many minor units. Ten thousand of the largest still fit a signed 64-bit balance.
MAX_AMOUNT_MINOR = 10**15 - 1
# What a balance can hold: PostgreSQL's bigint.
MAX_BALANCE_MINOR = 2**63 - 1

# No amount that is allowed is longer as text; anything longer is refused before it is parsed.
_MAX_AMOUNT_TEXT = 20


@cache
def exponents() -> dict[str, int]:
    """Every currency with minor units: its code and its number of decimals."""
    return {currency.code: currency.exponent for currency in IsoCurrency if currency.exponent is not None}


def exponent(currency: str) -> int:
    """The number of decimals of a currency, of none: 0. Raises ValueError for an unknown code."""
    if currency == NO_CURRENCY:
        return 0
    try:
        return exponents()[currency]
    except KeyError:
        raise ValueError("is not an ISO 4217 currency code with minor units, such as USD") from None


def to_minor(amount: str, currency: str, *, zero: bool = False) -> int:
    """A positive decimal string as minor units: ("10.00", "USD") is 1000, ("10", "JPY") is 10.

    `zero` lets zero pass, which is no amount to move and can be a limit. Raises ValueError, with a message that says
    what is allowed.
    """
    decimals = exponent(currency)
    if len(amount) > _MAX_AMOUNT_TEXT:
        raise ValueError(f"must be at most {_MAX_AMOUNT_TEXT} characters")
    # Decimal takes exponents, NaN, underscores and other scripts' digits; an amount of money takes none of them.
    if not (amount.isascii() and amount.replace(".", "", 1).isdigit() and amount[0] != "." and amount[-1] != "."):
        raise ValueError('must be a plain positive decimal string, such as "10.00"')
    try:
        minor = Decimal(amount).scaleb(decimals)
    except InvalidOperation:
        raise ValueError('must be a plain positive decimal string, such as "10.00"') from None
    if minor != minor.to_integral_value():
        raise ValueError(f"has more than the {decimals} decimals that {currency} has")
    if minor < 0 or (minor == 0 and not zero):
        raise ValueError("must be more than zero")
    if minor > MAX_AMOUNT_MINOR:
        raise ValueError(f"must be at most {to_decimal(MAX_AMOUNT_MINOR, currency)} {currency}")
    return int(minor)


def to_decimal(minor: int, currency: str) -> str:
    """Minor units as a decimal string with the currency's decimals: (1000, "USD") is "10.00".

    Raises ValueError for an unknown currency.
    """
    decimals = exponent(currency)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(decimals + 1, "0")
    if decimals == 0:
        return sign + digits
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"
