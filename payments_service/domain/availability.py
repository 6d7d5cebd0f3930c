"""The kill switch: what may begin now, per provider, direction and method; the rest queues."""

from collections.abc import Collection
from typing import NamedTuple

from payments_service.domain.ports import Direction

ANY = "*"


class Switch(NamedTuple):
    """What was said of some payments; `*` stands for all of a kind."""

    provider: str
    direction: str
    method: str
    available: bool


def is_available(
    switches: Collection[Switch], provider: str, direction: Direction, method: str, *, disabled: bool
) -> bool:
    """Whether a payment may begin: not where any switch that is about it is off."""
    about = ((provider, ANY), (direction.value, ANY), (method, ANY))
    return not disabled and all(
        switch.available
        for switch in switches
        if all(said in meant for said, meant in zip(switch[:3], about, strict=True))
    )
