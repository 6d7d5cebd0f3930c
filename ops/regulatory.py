"""`langsense regulatory-export`: a period for a regulator, as one zip, from the journal itself.

aggregated.csv     every figure of every day, by currency
players.csv        a row a player and currency, under a pseudonym
manifest.json      the jurisdiction's pack, the period, where the journal was cut, each file's SHA-256, and a signature

What is signed is `langsense.regulatory.v1`, a line feed, and the manifest without its signature as JSON, keys sorted.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo
from zoneinfo import available_timezones

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from ops import proof, verify
from ops.places import Places
from ops.proof import figures
from shared import clock
from shared.checkpoints import SigningKeys
from shared.contracts.audit import NewAuditEntry
from shared.contracts.kinds import Reason
from shared.contracts.reports import check_period
from shared.errors import ConfigurationError
from shared.figures import report
from shared.figures.facts import Facts
from shared.figures.rules import SIGNS
from shared.jurisdictions import Pack, load
from shared.keyring import REGULATORY_KEYS, RegulatoryKeySettings
from shared.money import NO_CURRENCY, to_decimal
from shared.pseudonyms import Pseudonyms
from shared.reports.rows import NAMES, rows

FORM = "langsense.regulatory.v1"
AGGREGATED, PLAYERS, MANIFEST = "aggregated.csv", "players.csv", "manifest.json"
COUNTS = ("bet_count", "days_active", "refused", "refused_as_excluded")
# Providers' fees are not in the journal, nor is what follows from them.
_NOT_IN_JOURNAL = frozenset({"provider_fees", "net_revenue"})


def _sum(figure: str) -> str:
    terms = " ".join(
        f"WHEN of_kind = '' AND kind = '{kind}' THEN {sign} WHEN of_kind = '{kind}' THEN {-sign}"
        for kind, sign in SIGNS[figure].items()
    )
    return f"coalesce(sum(amount * CASE {terms} ELSE 0 END) FILTER (WHERE status = 'posted'), 0)::bigint AS {figure}"


_OF_PLAYERS = f"""SELECT user_id, currency, {", ".join(map(_sum, SIGNS))},
    count(*) FILTER (WHERE moved AND kind = 'GAME_BET') AS bet_count,
    count(DISTINCT day) FILTER (WHERE moved AND kind = 'GAME_BET') AS days_active,
    count(*) FILTER (WHERE status = 'refused') AS refused,
    count(*) FILTER (WHERE reason = '{Reason.SELF_EXCLUDED}') AS refused_as_excluded
    FROM counted WHERE day BETWEEN :first AND :last AND currency <> '{NO_CURRENCY}'
    GROUP BY user_id, currency ORDER BY user_id, currency"""  # noqa: S608


async def export(
    found: Places, jurisdiction: str, first: date, last: date, zone: str, out: Path, actor: str
) -> Mapping[str, Any]:
    """Write the export, which is on the record first; returns its manifest.

    Raises InvalidInput for what is no period, ConfigurationError where there is no such pack or no key.
    """
    check_period(first, last)
    if zone not in available_timezones():
        raise ConfigurationError(f"FIGURES_TIME_ZONE: there is no time zone {zone}")
    pack = load(jurisdiction)
    (keys,) = verify.keys_of(found, RegulatoryKeySettings, REGULATORY_KEYS)
    names = Pseudonyms(keys, pack.name)
    signing = verify.keyring(found).signing
    asked = {"jurisdiction": pack.name, "from": first.isoformat(), "to": last.isoformat(), "file": out.name}
    async with verify.recording(found) as record:
        await record(NewAuditEntry(action="REGULATORY_EXPORT", actor=actor, after={**asked}))
    async with proof.snapshot(found.database_urls["wallet"]) as connection:
        return await write(connection, pack, names, signing, first, last, zone, out, clock.utc_now())


async def write(
    connection: AsyncConnection,
    pack: Pack,
    names: Pseudonyms,
    signing: SigningKeys,
    first: date,
    last: date,
    zone: str,
    out: Path,
    now: datetime,
) -> Mapping[str, Any]:
    """Write the export of a journal as it is now; returns its manifest."""
    cut = await figures.cut_now(connection)
    facts = await figures.facts(connection, first, last, zone, cut, ())
    files = {AGGREGATED: _aggregated(facts), PLAYERS: await _players(connection, facts, zone, names)}
    manifest = _manifest(pack, facts, zone, now, files) | {"pseudonym_key": names.key_id, "key_id": signing.current}
    manifest["signature"] = signing.sign(said(manifest))
    files[MANIFEST] = orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
    with ZipFile(out, "w", ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(ZipInfo(name), content)
    return manifest


def said(manifest: Mapping[str, Any]) -> bytes:
    """The bytes that a manifest's signature covers."""
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    return FORM.encode() + b"\n" + orjson.dumps(unsigned, option=orjson.OPT_SORT_KEYS)


def _aggregated(facts: Facts) -> bytes:
    names = [name for name in NAMES if name not in _NOT_IN_JOURNAL]
    return _csv(["date", "currency", *names], rows({"currencies": report.currencies(facts)}))


async def _players(connection: AsyncConnection, facts: Facts, zone: str, names: Pseudonyms) -> bytes:
    found = []
    for row in await figures.counted(connection, _OF_PLAYERS, zone, facts.cut, first=facts.first, last=facts.last):
        told = row._asdict()
        amounts = {name: to_decimal(told[name], told["currency"]) for name in SIGNS}
        ggr = to_decimal(told["bets"] - told["payouts"], told["currency"])
        found.append({**told, **amounts, "ggr": ggr, "player": names.of(told["user_id"])})
    # In the order of ids, the first row would say which player came first.
    found.sort(key=lambda row: (row["player"], row["currency"]))
    return _csv(["player", "currency", *SIGNS, "ggr", *COUNTS], found)


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _manifest(pack: Pack, facts: Facts, zone: str, now: datetime, files: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "form": FORM,
        "jurisdiction": pack.name,
        "version": pack.version,
        "from": facts.first.isoformat(),
        "to": facts.last.isoformat(),
        "time_zone": zone,
        "made_at": clock.to_text(now),
        "cut": {str(lane): at._asdict() for lane, at in sorted(facts.cut.items())},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
