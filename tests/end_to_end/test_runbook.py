"""The runbook's sections on players, the ledger and services do what they say, on a platform."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.end_to_end.runbook import chapter, commands, run, section
from tests.end_to_end.support import Platform, asking, whole

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PLAYER = "5700"
FIRST = section("First")


@pytest.fixture(scope="module")
def transaction(platform: Platform) -> str:
    """A player's deposit, and its id."""
    with asking(platform, int(PLAYER)) as ask:
        body = {"user_id": int(PLAYER), "type": "DEPOSIT", "amount": "50.00", "currency": "USD", "provider": "bank"}
        response = ask("finance", "POST", "/transactions", body, key=str(uuid4()))
        assert response.status_code == 201, response.text
        found: str = response.json()["transaction"]["id"]
        # Detection has read it.
        whole(ask, "risk", f"/users/{PLAYER}/status")
        return found


def test_a_player_is_suspended_looked_at_and_let_go_as_it_says(platform: Platform, transaction: str) -> None:
    said = run(platform, commands(FIRST) + commands(chapter("Players")), PLAYER=PLAYER)
    assert '"type":"PERMANENT"' in said
    assert '"missing":[]' in said
    assert transaction in said
    assert '"LIMIT_OVERRIDE"' in said


def test_a_ledger_that_is_well_is_shown_to_be(platform: Platform, transaction: str, tmp_path: Path) -> None:
    given = {"TRANSACTION": transaction, "PLAYER": PLAYER, "BACKUP": str(tmp_path / "backup")}
    given |= {"DATABASE_URL": platform.administrator()}
    said = run(platform, commands(FIRST) + commands(chapter("Ledger")), **given)
    assert "does not verify" not in said
    assert "nor does the export" not in said
    assert "'ChecksumsFailed': 0.0" in said
    assert {path.name for path in (tmp_path / "backup").iterdir()} == {
        *("langsense.sql", "journal", "public-keys.json"),
    }
    assert "COPY wallet.transactions" in (tmp_path / "backup" / "langsense.sql").read_text()


def test_a_report_is_written_and_proved(platform: Platform, transaction: str, tmp_path: Path) -> None:
    said = run(platform, commands(FIRST) + commands(chapter("Figures")), REPORTS=str(tmp_path))
    assert "does not hold" not in said
    (report,) = tmp_path.glob("report_*.json")
    assert f" bytes are in {report}" in said
    assert 'langsense_reports_late_seconds{every="day"} 0.0' in said
    assert "first_day" in said


def test_services_are_looked_at_and_their_indexes_are_there(platform: Platform) -> None:
    said = run(platform, commands(FIRST) + commands(chapter("Services")) + commands(chapter("Maintenance")))
    assert said.count('"status":"ready"') == 6
    assert "nothing is parked" in said
    for index in (
        "transactions_user_position_idx",
        "idx_games_outcome_created",
        "idx_fraud_flags_score",
        "idx_payments_status",
    ):
        assert index in said
