"""Why a transaction was refused, in words for a person. The machine's word is the reason itself."""

from collections.abc import Mapping

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Reason
from shared.contracts.readings import Check
from shared.money import to_decimal


def _past(what: str, window: str) -> str:
    return f"{{amount}} would pass a {window}'s {what} limit of {{limit}}: {{used}} are used, {{remaining}} are left."


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
    Reason.CURRENCY_NOT_ALLOWED: "There are no limits in {currency}, so nothing can be checked or accepted in it.",
    Reason.MAX_BET_EXCEEDED: "{amount} were asked for, and one bet may be at most {limit}.",
    Reason.DAILY_DEPOSIT_LIMIT: _past("deposit", "day"),
    Reason.WEEKLY_DEPOSIT_LIMIT: _past("deposit", "week"),
    Reason.MONTHLY_DEPOSIT_LIMIT: _past("deposit", "month"),
    Reason.DAILY_LOSS_LIMIT: _past("loss", "day"),
    Reason.WEEKLY_LOSS_LIMIT: _past("loss", "week"),
    Reason.MONTHLY_LOSS_LIMIT: _past("loss", "month"),
    Reason.DAILY_WAGER_LIMIT: _past("wager", "day"),
    Reason.WEEKLY_WAGER_LIMIT: _past("wager", "week"),
    Reason.MONTHLY_WAGER_LIMIT: _past("wager", "month"),
    Reason.SELF_EXCLUDED: "Until {until} this player places no bet and makes no deposit; withdrawals stay open.",
    Reason.KYC_REQUIRED: "This needs a player who is verified further than this one is.",
    Reason.EXCLUSION_SHORTENED: "An exclusion is never shortened; this player's lasts until {excluded_until}.",
    Reason.EXCLUSION_PERMANENT: "A permanent exclusion does not end.",
    Reason.NOT_EXCLUDED: "The player is not excluded, so there is nothing to end.",
    Reason.FRAUD_BLOCKED: "Until {until} this player places no bet, makes no deposit and starts no withdrawal.",
    Reason.BLOCK_SHORTENED: "A block ends in the future and is never shortened; lift it instead.",
    Reason.NOT_BLOCKED: "The player is not blocked, so there is nothing to lift.",
    Reason.TIER_UNKNOWN: "The jurisdiction's pack has no tier of this name.",
    Reason.WITHDRAWAL_COOLDOWN: "Withdrawals wait for a while after a deposit; this player's open at {ends_at}.",
    Reason.PAYOUT_HELD: "{amount} were to be taken back, of which {held} are held: take back each part by itself.",
    Reason.PAYOUT_NOT_HELD: "Nothing of this payout is held.",
    Reason.RELEASE_EXCEEDS_HELD: "{amount} were to be released, and only {held} are held.",
    Reason.ORIGINAL_NOT_FOUND: "This player has no transaction with that id.",
    Reason.NOT_REVERSIBLE: "It moved nothing, or is of a kind that is not reversed: a hold is released, not reversed.",
    Reason.PROVIDER_MISMATCH: "What is to be reversed went through another provider.",
    Reason.ALREADY_REVERSED: "All of it was reversed before.",
    Reason.REVERSAL_EXCEEDS_ORIGINAL: "{amount} were to be reversed, and only {remaining} can still be.",
    Reason.ALREADY_DISPUTED: "The transaction is disputed already; resolve that first.",
    Reason.NOT_DISPUTED: "The transaction is not disputed.",
    Reason.NO_OVERRIDE: "This player has no override of this limit in {currency}.",
    Reason.NO_PENDING_RAISE: "No raise of this limit to this value waits in {currency}; ask for it first.",
    Reason.RAISE_WAITS: "This raise has to wait; it can be confirmed from {pending_from} on.",
}
_UNKNOWN = "The wallet refused it: {reason}."


def explain(event: LedgerEvent | Check) -> str:
    """One sentence about a refused row, or one that would be refused, with its numbers."""
    return SENTENCES.get(event.reason or "", _UNKNOWN).format_map(_Words(event))


class _Words(dict[str, str]):
    """The words that a sentence may use. A fact that the row does not have is left out of it."""

    def __init__(self, event: LedgerEvent | Check) -> None:
        def amount(minor: int) -> str:
            return f"{to_decimal(minor, event.currency)} {event.currency}"

        super().__init__(
            amount=amount(event.amount_minor),
            cash=amount(event.cash_minor),
            reserved=amount(event.reserved_minor),
            currency=event.currency,
            reason=str(event.reason),
        )
        for name, fact in (event.facts or {}).items():
            if isinstance(fact, int) and name.endswith("_minor"):
                self[name.removesuffix("_minor")] = amount(fact)
            elif isinstance(fact, str):
                self[name] = f", {fact}" if name.endswith("_currency") else fact
        if "asked" in self:
            # Of a kind whose row has no accounts to move an amount between.
            self["amount"] = self["asked"]

    def __missing__(self, name: str) -> str:
        if name.endswith("_currency"):
            return ""
        if name.endswith("until"):
            return "further notice"
        return "a later time" if name.endswith(("_at", "_from")) else "less"
