"""Jurisdiction packs: what a regulator asks for, as versioned data. One pack holds for a platform: JURISDICTION.

A pack is a TOML file beside this module. Every field of it is carried by one of its `statements`, with the source; the
operator's own rules say so. Amounts are decimal strings in their currency.
"""

import tomllib
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.contracts.exclusions import ExclusionType
from shared.contracts.fields import Currency
from shared.contracts.limits import LimitName
from shared.errors import ConfigurationError

Amount = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Tier = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Statement(_Part):
    """One rule, where it comes from, and the fields of the pack that carry it out."""

    rule: str
    source: str
    about: tuple[str, ...] = Field(min_length=1)


class ExclusionRule(_Part):
    """How long an exclusion of a type may be, and how it ends.

    Hours; a permanent one has neither bound. `end_after_h` None: it is never ended early. Otherwise who asks for its
    end waits so long after asking.
    """

    at_least_h: int | None = Field(default=None, ge=1)
    at_most_h: int | None = Field(default=None, ge=1)
    end_after_h: int | None = Field(default=None, ge=0)


class TierRule(_Part):
    """What an account of a tier may do. `deposits`: how much in all, per currency; what is not named is not bounded."""

    withdrawals: bool
    deposits: dict[Currency, Amount] = Field(default_factory=dict)


class Pack(_Part):
    """One jurisdiction."""

    name: str
    version: str
    minimum_age: int = Field(ge=18, le=25)
    # Of a limit on deposits or losses: by the calendar, or rolling.
    windows: Literal["calendar", "rolling"]
    raise_wait_h: int = Field(ge=0, le=24 * 30)
    reality_check_minutes: int = Field(ge=5, le=240)
    # A time-out: a short break that is no exclusion. At most so long.
    time_out_at_most_h: int = Field(ge=1, le=24 * 42)
    # The time-out that follows where a player's limit of play is reached; 0: only where the player chose one.
    play_limit_time_out_h: int = Field(default=0, ge=0, le=24)
    exclusions: dict[ExclusionType, ExclusionRule]
    initial_tier: Tier
    tiers: dict[Tier, TierRule]
    limits: dict[Currency, dict[LimitName, Amount]] = Field(default_factory=dict)
    # None: every country that is not refused.
    countries: frozenset[Country] | None = None
    refused_countries: frozenset[Country] = frozenset()
    statements: tuple[Statement, ...]

    @model_validator(mode="after")
    def _whole(self) -> "Pack":
        if self.initial_tier not in self.tiers:
            raise ValueError("initial_tier must be one of the tiers")
        if ExclusionType.PERMANENT not in self.exclusions:
            raise ValueError("exclusions must have PERMANENT")
        # A rule that nobody stands behind, or that nothing carries out, is a mistake.
        ruled = self.model_fields_set - {"name", "version", "statements"}
        about = {field for statement in self.statements for field in statement.about}
        if about != ruled:
            raise ValueError(f"statements must be about the pack's fields, and each of them: {sorted(about ^ ruled)}")
        return self

    @property
    def raise_wait(self) -> timedelta:
        """How long the raise of a player's own limit waits."""
        return timedelta(hours=self.raise_wait_h)


def names() -> list[str]:
    """The packs that there are."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


@cache
def load(name: str) -> Pack:
    """A pack by its name. Raises ConfigurationError, which names what is wrong."""
    if name not in names():
        raise ConfigurationError(f"JURISDICTION: {name!r} is none of {', '.join(names())}")
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text()
    try:
        return Pack.model_validate(tomllib.loads(text))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        raise ConfigurationError(f"JURISDICTION {name}: {place}: {found['msg']}") from None
