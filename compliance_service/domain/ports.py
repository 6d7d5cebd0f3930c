"""What the rooms of KYC and exclusions need from the other side, as they see it."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from compliance_service.domain.exclusions import Exclusion
from shared.contracts.kyc import KycResult


class Provider(Protocol):
    """Who checks what a player shows."""

    async def check(self, submission_id: UUID, fields: Mapping[str, str | None]) -> KycResult | None:
        """What was found, or None where it will say so later. May be asked again. Raises ServiceUnavailable."""


class Attendant(Protocol):
    """What is done for a player at once, after a case was saved; what fails is done by the loops."""

    async def attend(self, user_id: int) -> None:
        """Ask the provider and the wallet, as far as they are to be asked. Raises nothing of theirs."""


class Enforcer(Protocol):
    """What is done with an exclusion at once, after it was saved; what fails is done by a loop."""

    async def enforce(self, exclusion: Exclusion) -> None:
        """Ask the wallet for it, and keep what it decides. Raises nothing of the wallet's."""
