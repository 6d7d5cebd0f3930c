"""What a player may not do for now: excluded, or not verified far enough.

An excluded player places no bet and makes no deposit. Open rounds settle, and the player can withdraw.
Source: UK Gambling Commission, Social responsibility code 3.5; Malta Gaming Authority, Player Protection Directive.
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


class Restrictions(NamedTuple):
    """One player's. A permanent exclusion has no end."""

    exclusion: ExclusionType | None = None
    excluded_until: datetime | None = None
    tier: str | None = None

    def excluded(self, now: datetime) -> bool:
        """Whether an exclusion is in force. It ends by itself."""
        if self.exclusion is None:
            return False
        return self.excluded_until is None or now < self.excluded_until

    def tier_of(self, tiers: Tiers) -> Tier:
        """What the account may do. A tier that there is no more is as the initial one."""
        return tiers.by_name.get(self.tier or tiers.initial, tiers.by_name[tiers.initial])


UNRESTRICTED = Restrictions()
