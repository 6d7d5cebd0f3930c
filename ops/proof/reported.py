"""A report held to the journal: its signature, where it was cut, and every figure of it."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof import figures
from ops.proof.check import MAX_FINDINGS, Check
from shared.checkpoints import PublicKeys
from shared.errors import ConfigurationError
from shared.figures import report
from shared.figures.facts import Cut, Facts


async def reported(connection: AsyncConnection, found: Mapping[str, Any], public: PublicKeys) -> list[Check]:
    """What a report says, beside what the journal gives at the positions that it names.

    Raises ConfigurationError for what is no report.
    """
    try:
        if found["report"] != report.FORM:
            raise ConfigurationError(f"is no {report.FORM}")
        return [_signed(found, public), await _cut(connection, found), await _figures(connection, found)]
    except (KeyError, TypeError, ValueError, AttributeError, ZoneInfoNotFoundError) as error:
        raise ConfigurationError(f"is no report: {error!r}") from error


def _signed(found: Mapping[str, Any], public: PublicKeys) -> Check:
    wrong = report.wrong_signature(found, public)
    return Check("report signed", f"key {found['key_id']}", [f"the report {wrong}"] if wrong else [])


async def _cut(connection: AsyncConnection, found: Mapping[str, Any]) -> Check:
    check, cut = Check("cut from this chain"), report.cut_of(found)
    there = await figures.heads(connection, cut)
    check.looked_at = f"{sum(at.position for at in cut.values())} rows in {len(cut)} lanes"
    for lane, at in cut.items():
        if there.get(lane) != at:
            check.findings.append(f"lane {lane}: the journal's row at position {at.position} is not the one named")
    return check


async def _figures(connection: AsyncConnection, found: Mapping[str, Any]) -> Check:
    check, cut = Check("figures equal the journal"), report.cut_of(found)
    facts = await _facts(connection, found, cut, found)
    before = await _facts(connection, found["before"], cut, found)
    differ = [
        *report.differences(found["currencies"], report.currencies(facts)),
        *report.differences(found["before"]["currencies"], report.headlines(before), "before"),
    ]
    fees = f"; {len(found['stated_fees'])} providers' fees as stated" if found["stated_fees"] else ""
    check.looked_at = f"{_count(found['currencies']) + _count(found['before']['currencies'])} figures{fees}"
    more = len(differ) - MAX_FINDINGS
    check.findings = differ[:MAX_FINDINGS] + ([f"{more} figures more"] if more > 0 else [])
    return check


async def _facts(
    connection: AsyncConnection, period: Mapping[str, Any], cut: Mapping[int, Cut], found: Mapping[str, Any]
) -> Facts:
    first, last = date.fromisoformat(period["from"]), date.fromisoformat(period["to"])
    zone = ZoneInfo(found["time_zone"]).key
    return await figures.facts(connection, first, last, zone, cut, list(report.fees_of(found)))


def _count(tree: Any) -> int:
    if isinstance(tree, Mapping):
        return sum(map(_count, tree.values()))
    return sum(map(_count, tree)) if isinstance(tree, list) else 1
