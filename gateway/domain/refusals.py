"""Why a transaction was refused, in words for a person. The machine's word is the reason itself."""

from collections.abc import Mapping

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Reason
from shared.money import to_decimal

# `amount`, `cash` and `reserved` are the row's own; the rest are the facts that the decision rests on.
SENTENCES: Mapping[str, str] = {
    Reason.INSUFFICIENT_FUNDS: "{amount} were asked for and {available} are available.",
    Reason.EXPIRED: "It was not decided before it expired, so nothing was moved; send it again under a new key.",
    Reason.ROUND_CANCELLED: "A rollback for this reference was decided before, so nothing more is posted under it.",
    Reason.CURRENCY_MISMATCH: "{amount} is not in the currency of what it refers to{posted_currency}{held_currency}.",
    Reason.ROLLBACK_EXCEEDS_ORIGINAL: "{amount} were to be taken back, and only {remaining} can still be.",
    Reason.HOLD_EXISTS: "There is a hold with this reference; use another reference for another withdrawal.",
    Reason.HOLD_NOT_FOUND: "There is no hold with this reference.",
    Reason.HOLD_CLOSED: "The hold with this reference was captured or released in full.",
    Reason.HOLD_EXCEEDED: "{amount} were asked for, and this hold has only {remaining} left.",
    Reason.BALANCE_OVERFLOW: "{amount} would bring the balance of {cash} past what an account can hold.",
}
_UNKNOWN = "The wallet refused it: {reason}."


def explain(event: LedgerEvent) -> str:
    """One sentence about a refused row, with its numbers."""
    return SENTENCES.get(event.reason or "", _UNKNOWN).format_map(_Words(event))


class _Words(dict[str, str]):
    """The words that a sentence may use. A fact that the row does not have is left out of it."""

    def __init__(self, event: LedgerEvent) -> None:
        def amount(minor: int) -> str:
            return f"{to_decimal(minor, event.currency)} {event.currency}"

        super().__init__(
            amount=amount(event.amount_minor),
            cash=amount(event.cash_minor),
            reserved=amount(event.reserved_minor),
            reason=str(event.reason),
        )
        for name, fact in (event.facts or {}).items():
            if isinstance(fact, int) and name.endswith("_minor"):
                self[name.removesuffix("_minor")] = amount(fact)
            elif isinstance(fact, str):
                self[name] = f", {fact}" if name.endswith("_currency") else fact

    def __missing__(self, name: str) -> str:
        return "" if name.endswith("_currency") else "less"
