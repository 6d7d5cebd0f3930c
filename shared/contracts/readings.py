"""What the wallet answers to the platform's other services beside journal rows.

Money is in minor units. A limit's value is too, or in seconds where its name ends in SECONDS.
"""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue, NonNegativeInt

from shared.contracts.events import LedgerEvent
from shared.contracts.exclusions import ExclusionType
from shared.contracts.fields import Currency, CurrencyOrNone, Moment
from shared.contracts.kinds import Account, Reason, Status
from shared.contracts.limits import LimitName


class _Reading(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PendingRaise(_Reading):
    """A raise of a player's own limit that waits: it can be confirmed from a moment on."""

    value: NonNegativeInt
    confirmable_from: Moment


class WindowUse(_Reading):
    """What a window has of a limit. `remaining` is null where nobody set the limit."""

    mode: str
    starts_at: Moment
    used: int
    remaining: NonNegativeInt | None


class LimitReading(_Reading):
    """One limit of one player in one currency: what holds, who set what, and how much of it is left.

    `effective` is the strictest of the operator's (or the override in its place), the jurisdiction's and the player's
    own; null where nobody set one. Only what looks back has a `window`. `withdrawals_from` is a cooldown's end, null
    while withdrawals are open.
    """

    name: LimitName
    currency: Currency
    effective: NonNegativeInt | None
    operator: NonNegativeInt | None
    override: NonNegativeInt | None
    jurisdiction: NonNegativeInt | None
    own: NonNegativeInt | None
    pending: PendingRaise | None = None
    window: WindowUse | None = None
    withdrawals_from: Moment | None = None


class Check(_Reading):
    """What the decision on a command would be now: as the journal row would say it. Nothing came of it."""

    status: Status
    reason: Reason | str | None
    amount_minor: NonNegativeInt
    currency: CurrencyOrNone
    credit: Account | str
    cash_minor: int
    reserved_minor: int
    facts: dict[str, JsonValue] | None = None


class DisputeStatus(StrEnum):
    """How a dispute stands."""

    OPEN = "open"
    RESOLVED = "resolved"


class Dispute(_Reading):
    """A transaction's dispute, by the row that opened or resolved it: its id, why, by whom, and since when."""

    state: DisputeStatus
    reason: str | None
    actor: str | None
    since: Moment
    transaction_id: UUID


class ReadTransaction(LedgerEvent):
    """A journal row as it is read back: with its dispute, where there is or was one."""

    dispute: Dispute | None = None


class HeldPayout(_Reading):
    """What waits in reserved under one reference, and the first of its payouts."""

    held_minor: NonNegativeInt
    transaction: ReadTransaction


class BlockReading(_Reading):
    """Why a player is blocked for fraud, and from when to when. `until` is null where it stands until it is lifted."""

    since: Moment
    until: Moment | None
    reason: str


class RestrictionsReading(_Reading):
    """What a player may not do now. What has ended is not here.

    `excluded_until` is null without an exclusion, and with one that is permanent. `tier` is the initial one for a
    player that was given none.
    """

    user_id: int
    exclusion: ExclusionType | None
    excluded_until: Moment | None
    tier: str
    blocked: bool
    block: BlockReading | None


class Counts(_Reading):
    """How many of each; what was taken back in full is not among them."""

    deposits: NonNegativeInt = 0
    bets: NonNegativeInt = 0
    payouts: NonNegativeInt = 0
    withdrawals: NonNegativeInt = 0


class LimitUse(_Reading):
    """A windowed limit now."""

    limit_minor: NonNegativeInt | None
    used_minor: int
    remaining_minor: NonNegativeInt | None


class CurrencyMetrics(_Reading):
    """A player's play in one currency. What was taken back is taken off; `net_minor` is bets less payouts."""

    deposits_minor: int = 0
    bets_minor: int = 0
    payouts_minor: int = 0
    net_minor: int = 0
    withdrawals_minor: int = 0
    largest_bet_minor: int = 0
    largest_payout_minor: int = 0
    counts: Counts = Counts()
    limits: dict[LimitName, LimitUse] = {}


class PlayerMetrics(_Reading):
    """A player's last days, today being one of them, in the platform's time zone."""

    user_id: int
    days: int
    since: Moment
    until: Moment
    days_active: NonNegativeInt
    currencies: dict[Currency, CurrencyMetrics]
