"""What a player may not do for now: excluded, blocked for fraud, or not verified far enough.

An excluded player places no bet and makes no deposit. Open rounds settle, and the player can withdraw.
Source: UK Gambling Commission, Social responsibility code 3.5; Malta Gaming Authority, Player Protection Directive.

A player blocked for fraud starts nothing; what has begun ends, and what has happened elsewhere is recorded:

| kind | while blocked | because |
|---|---|---|
| GAME_BET, DEPOSIT | FRAUD_BLOCKED | no new stake, and no new money of unknown origin |
| WITHDRAWAL_HOLD, WITHDRAWAL | FRAUD_BLOCKED | nothing more leaves before somebody has looked |
| WITHDRAWAL_CAPTURE, WITHDRAWAL_RELEASE | posts | the provider has paid, or has not; a hold always ends |
| GAME_PAYOUT | posts | an open round settles; the win stays in the wallet |
| BET_ROLLBACK, PAYOUT_ROLLBACK | posts | a round that did not count is taken back |
| CHARGEBACK, REFUND | posts | the provider has moved the money, or is about to: back to where it came from |
| REVERSAL, ADJUSTMENT_CREDIT, ADJUSTMENT_DEBIT, PAYOUT_RELEASE | posts | staff corrects; none lets money leave |
| DISPUTE, DISPUTE_RESOLUTION | posts | a mark on a transaction |
| LIMIT_OVERRIDE, LIMIT_REQUEST and their like | posts | nothing is played or paid under them meanwhile |
| EXCLUSION, EXCLUSION_END, KYC_TIER | posts | protection and verification do not wait for a block |
| FRAUD_BLOCK, FRAUD_UNBLOCK | posts | a block is extended or lifted, never shortened |

Where both are in force, a bet or deposit is refused with the exclusion, which the player asked for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from shared.contracts.exclusions import ExclusionType


class Tier(NamedTuple):
    """What an account may do. `deposits`: at most so much in all, in minor units of a currency; else unbounded."""

    withdrawals: bool
    deposits: Mapping[str, int]


class Tiers(NamedTuple):
    """The tiers by name, and the one of a player that was given none."""

    initial: str
    by_name: Mapping[str, Tier]


class Block(NamedTuple):
    """Why a player is blocked for fraud, and from when to when. Without an end: until it is lifted."""

    since: datetime
    until: datetime | None
    reason: str

    def in_force(self, now: datetime) -> bool:
        """It ends by itself, where it has an end."""
        return self.until is None or now < self.until


class Restrictions(NamedTuple):
    """One player's. A permanent exclusion has no end."""

    exclusion: ExclusionType | None = None
    excluded_until: datetime | None = None
    tier: str | None = None
    block: Block | None = None

    def excluded(self, now: datetime) -> bool:
        """Whether an exclusion is in force. It ends by itself."""
        if self.exclusion is None:
            return False
        return self.excluded_until is None or now < self.excluded_until

    def blocked(self, now: datetime) -> bool:
        """Whether a block for fraud is in force."""
        return self.block is not None and self.block.in_force(now)

    def tier_of(self, tiers: Tiers) -> Tier:
        """What the account may do. A tier that there is no more is as the initial one."""
        return tiers.by_name.get(self.tier or tiers.initial, tiers.by_name[tiers.initial])


UNRESTRICTED = Restrictions()
