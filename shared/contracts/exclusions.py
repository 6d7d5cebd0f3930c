"""The kinds of exclusion, which an exclusion's command names in its `reference_id`."""

from enum import StrEnum


class ExclusionType(StrEnum):
    """How long, and whether it can be ended early. The jurisdiction's pack has the bounds of each."""

    TEMPORARY = "TEMPORARY"
    EXTENDED = "EXTENDED"
    PERMANENT = "PERMANENT"
