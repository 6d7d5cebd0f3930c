"""What a regulator gets: figures that equal the journal, players that nobody recognizes."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from ops import proof, regulatory
from shared.errors import ConfigurationError
from shared.jurisdictions import load
from shared.pseudonyms import Pseudonyms
from tests.ops.ledger import PLAYERS, ROUNDS, SIGNING, Ledger

KEY = "p1:" + "42" * 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def files(ledger: Ledger, out: Path, jurisdiction: str = "uk") -> dict[str, bytes]:
    names = Pseudonyms(KEY, jurisdiction)
    async with proof.snapshot(ledger.database.dsn("wallet_service")) as connection:
        (day,) = (await connection.exec_driver_sql("SELECT DISTINCT created_at::date FROM transactions")).scalars()
        await regulatory.write(connection, load(jurisdiction), names, SIGNING, day, day, "UTC", out, NOW)
    with ZipFile(out) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


@pytest.mark.integration
async def test_each_player_has_a_row_under_a_pseudonym_and_the_days_add_up(sealed: Ledger, tmp_path: Path) -> None:
    found = await files(sealed, tmp_path / "out.zip")
    players = list(csv.DictReader(io.StringIO(found[regulatory.PLAYERS].decode())))
    assert {row["player"] for row in players} == {Pseudonyms(KEY, "uk").of(user) for user in PLAYERS}
    assert {(row["bets"], row["bet_count"], row["refused"]) for row in players} == {
        (f"{ROUNDS * 4}.00", str(ROUNDS), str(ROUNDS))
    }
    (day,) = csv.DictReader(io.StringIO(found[regulatory.AGGREGATED].decode()))
    assert (day["active_players"], day["bets"]) == (str(len(PLAYERS)), f"{ROUNDS * 4 * len(PLAYERS)}.00")
    assert "net_revenue" not in day


@pytest.mark.integration
async def test_the_manifest_names_the_pack_and_the_cut_and_is_signed(sealed: Ledger, tmp_path: Path) -> None:
    found = await files(sealed, tmp_path / "out.zip")
    manifest = json.loads(found[regulatory.MANIFEST])
    assert (manifest["jurisdiction"], manifest["version"], manifest["pseudonym_key"]) == (
        "uk",
        load("uk").version,
        "p1",
    )
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(found[name]).hexdigest() == digest
    public, said = SIGNING.public(), regulatory.said(manifest)
    assert public.wrong_signature(manifest["key_id"], manifest["signature"], said) is None
    manifest["to"] = "2026-12-31"
    assert public.wrong_signature(manifest["key_id"], manifest["signature"], regulatory.said(manifest)) is not None


def test_a_player_has_another_pseudonym_for_another_reader_and_under_another_key() -> None:
    one = Pseudonyms(KEY, "uk").of(42)
    assert one == Pseudonyms(f"{KEY},p0:{'43' * 32}", "uk").of(42)
    assert len({one, Pseudonyms(KEY, "malta").of(42), Pseudonyms("p2:" + "44" * 32, "uk").of(42)}) == 3
    with pytest.raises(ConfigurationError, match="REGULATORY_KEYS"):
        Pseudonyms("p1:00", "uk")
