"""Amounts as each provider writes them. Ours are ISO 4217's minor units; each conversion is exact, or refused."""

from shared import money
from shared.errors import FieldError, InvalidInput

# https://docs.stripe.com/currencies: where Stripe's smallest unit is not ISO 4217's.
_STRIPE_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}
# Sent with three decimals, of which the last is always zero.
_STRIPE_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_STRIPE_MAX = 99_999_999

# https://developer.paypal.com/api/rest/reference/currency-codes/, with the decimals that PayPal takes of each.
_PAYPAL_DECIMALS = {
    **dict.fromkeys(("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "MYR"), 2),
    **dict.fromkeys(("NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD"), 2),
    **dict.fromkeys(("HUF", "JPY", "TWD"), 0),
}


def to_stripe(minor: int, currency: str) -> int:
    """As Stripe counts it: (1000, "USD") is 1000, (5, "UGX") is 500. Raises InvalidInput for what it cannot move."""
    decimals = _STRIPE_DECIMALS.get(currency, _iso(currency))
    amount = _rescale(minor, _iso(currency), decimals, currency)
    if currency in _STRIPE_THREE_DECIMALS and amount % 10:
        raise _refused(f"Stripe moves {currency} in steps of 0.010")
    if amount > _STRIPE_MAX:
        raise _refused(f"Stripe moves at most {_STRIPE_MAX} of its smallest units at once")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """The inverse of `to_stripe`; `currency` in either case."""
    code = currency.upper()
    return _rescale(amount, _STRIPE_DECIMALS.get(code, _iso(code)), _iso(code), code)


def to_paypal(minor: int, currency: str) -> str:
    """As PayPal writes it: (1000, "USD") is "10.00", (100, "HUF") is "1". Raises InvalidInput."""
    if currency not in _PAYPAL_DECIMALS:
        raise InvalidInput([FieldError("currency", f"PayPal does not take {currency}")])
    whole = _rescale(minor, _iso(currency), _PAYPAL_DECIMALS[currency], currency)
    return _decimal(whole, _PAYPAL_DECIMALS[currency])


def from_paypal(value: str, currency: str) -> int:
    """The inverse of `to_paypal`. Raises InvalidInput."""
    return from_text(value, currency)


def from_paypal_units(amount: int, currency: str) -> int:
    """Minor units of an amount in PayPal's smallest units, as its reports have it."""
    iso = _iso(currency)
    return _rescale(amount, _PAYPAL_DECIMALS.get(currency, iso), iso, currency)


def from_text(value: str, currency: str) -> int:
    """Minor units of a decimal text, with fewer decimals than the currency has or with all. Raises InvalidInput."""
    try:
        return money.to_minor(value, currency, zero=True)
    except ValueError as error:
        raise _refused(str(error)) from None


def signed(value: str, currency: str) -> int:
    """As `from_text`, of a text that may begin with a minus sign, or be empty, which is zero."""
    text = value.strip()
    if text.startswith("-"):
        return -from_text(text[1:], currency)
    return from_text(text, currency) if text else 0


def told(minor: int | None, currency: str) -> str:
    """An amount for people: (1000, "USD") is "10.00 USD". In a currency that there is not, the number that came."""
    if minor is None or currency not in money.exponents():
        return f"{minor} {currency}"
    return f"{money.to_decimal(minor, currency)} {currency}"


def _decimal(whole: int, decimals: int) -> str:
    digits = str(whole).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def _rescale(amount: int, decimals: int, wanted: int, currency: str) -> int:
    if wanted >= decimals:
        return amount * int(10 ** (wanted - decimals))
    whole, rest = divmod(amount, int(10 ** (decimals - wanted)))
    if rest:
        raise _refused(f"the provider moves {currency} with {wanted} decimals")
    return whole


def _iso(currency: str) -> int:
    try:
        return money.exponent(currency)
    except ValueError as error:
        raise InvalidInput([FieldError("currency", str(error))]) from None


def _refused(message: str) -> InvalidInput:
    return InvalidInput([FieldError("amount", message)])
