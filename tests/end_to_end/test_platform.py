"""What a newcomer does: up, a request to copy, the demo and its proof, Ctrl-C, and up again."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from ops.infrastructure.processes import wait_until
from tests.end_to_end import support
from tests.end_to_end.support import Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DEMO = ("demo", "--json", "--players", "40", "--rate", "80")


def demo(platform: Platform, seconds: int, *more: str) -> dict[str, Any]:
    done = platform.run(*DEMO, "--duration", str(seconds), *more, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_up_prints_every_address_a_token_per_role_and_a_request_that_works_as_it_stands(platform: Platform) -> None:
    printed = platform.printed()
    for name in ("gateway", "wallet", "compliance", "fraud", "payments", "metrics", "sandbox", "Kafka", "PostgreSQL"):
        assert name in printed
    for role in ("admin", "game_server", "finance", "support", "risk", "compliance", "player 42"):
        assert f"{role} " in printed
    _, _, tail = printed.partition("Try it")
    curl, _, _ = tail.partition("\n\n")
    answer = json.loads(support.shell(curl.strip(), platform))
    assert answer["transaction"]["status"] == "posted"
    assert answer["wallet"]["balances"] == [{"currency": "USD", "cash": "100.00", "reserved": "0.00"}]


def test_the_demo_ends_with_a_proof_that_holds(platform: Platform) -> None:
    # With this seed the first payment is a deposit.
    found = demo(platform, 5, "--seed", "2")
    assert found["holds"] is True
    assert {check["check"] for check in found["proof"]} >= {
        "money conserved",
        "balances equal the fold of the journal",
        "chain and checkpoints verified",
        "metrics equal the ledger",
        "one decision per command",
        "each retried request answered once",
        "books, payments and ledger agree",
    }
    assert any(outcome.startswith("deposit") for outcome in found["payments"])
    assert set(found["latency_ms"]) == {"Kafka", "REST"}
    assert found["kinds"]["GAME_BET"]["posted"] > 0
    assert found["kinds"]["GAME_BET"]["MAX_BET_EXCEEDED"] > 0
    assert found["retried_requests"] > 0


def test_the_exports_point_psql_and_other_clients_at_the_platform(platform: Platform) -> None:
    environment = platform.environment()
    for service in ("WALLET", "COMPLIANCE", "FRAUD", "PAYMENTS", "METRICS"):
        assert environment[f"{service}_DATABASE_URL"].startswith("postgresql://")
        assert environment[f"{service}_SERVICE_URL"].startswith("http://127.0.0.1:")
    assert environment["GATEWAY_URL"] == f"http://127.0.0.1:{platform.gateway_port}"
    assert environment["KAFKA_BOOTSTRAP_SERVERS"].startswith("127.0.0.1:")


def test_a_token_of_a_player_is_for_that_player_alone(platform: Platform) -> None:
    token = platform.run("token", "player", "--user", "42").stdout.strip()
    url = f"http://127.0.0.1:{platform.gateway_port}/api/v1/users"
    status = "curl -sS -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer " + token + "' "
    assert support.shell(f"{status} {url}/42/wallet", platform) in {"200", "404"}
    assert support.shell(f"{status} {url}/43/wallet", platform) == "403"


def test_verify_passes_on_an_honest_ledger(platform: Platform) -> None:
    done = platform.run("verify")
    assert done.returncode == 0, done.stdout
    assert "chain and checkpoints verified" in done.stdout


@pytest.mark.slow
def test_a_report_holds_until_a_digit_of_it_is_changed(platform: Platform, tmp_path: Path) -> None:
    demo(platform, 1)
    today = datetime.now(UTC).date()
    days = ("--from", (today - timedelta(days=1)).isoformat(), "--to", today.isoformat())
    for form in ("pdf", "json"):
        done = platform.run("report", *days, "--out", str(tmp_path / f"report.{form}"))
        assert done.returncode == 0, done.stderr
    file = tmp_path / "report.json"
    done = platform.run("verify-report", str(file))
    assert done.returncode == 0, done.stdout
    report = json.loads(file.read_text())
    report["currencies"]["USD"]["bets"] += "1"
    file.write_text(json.dumps(report))
    done = platform.run("verify-report", str(file))
    assert done.returncode == 1
    assert "USD bets: the report says" in done.stdout
    done = platform.run("regulatory-export", *days, "--out", str(tmp_path / "out.zip"))
    assert done.returncode == 0, done.stderr
    done = platform.run("report", *days, "--out", str(tmp_path / "report.doc"))
    assert (done.returncode, "must end with" in done.stderr) == (1, True)


def test_nothing_is_parked_and_the_command_says_so(platform: Platform) -> None:
    done = platform.run("parked", "list")
    assert done.returncode == 0
    assert "nothing is parked" in done.stdout


@pytest.mark.slow
def test_a_second_up_says_that_the_folder_is_in_use_or_which_ports_are_taken(
    platform: Platform, tmp_path: Path
) -> None:
    same_folder = support.langsense("up", "--data", str(platform.data), "--gateway-port", str(support.door()))
    assert same_folder.returncode == 1
    assert "already runs" in same_folder.stderr
    same_port = support.langsense("up", "--data", str(tmp_path / "data"), "--gateway-port", str(platform.gateway_port))
    assert same_port.returncode == 1
    assert f"{platform.gateway_port} (gateway)" in same_port.stderr
    assert "GATEWAY_PORT" in same_port.stderr


@pytest.mark.slow
def test_a_service_that_dies_is_started_again(platform: Platform) -> None:
    wallet = next(
        child for child in support.descendants(platform.process) if "wallet_service.app:create_app" in child.cmdline()
    )
    wallet.kill()
    wallet.wait(10)
    health = f"{platform.environment()['WALLET_SERVICE_URL']}/health/ready"

    def ready() -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(health, trust_env=False).status_code == 200
        return False

    support.until(ready, within_s=120)
    assert demo(platform, 3)["holds"] is True


@pytest.mark.slow
def test_the_payment_sandbox_keeps_its_books_when_it_dies(platform: Platform) -> None:
    url = platform.environment()["SANDBOX_URL"]
    token = (platform.data / "secrets" / "sandbox_api_token").read_text()
    asked = {
        "payment_id": str(uuid4()),
        "user_id": 42,
        "amount_minor": 2500,
        "currency": "USD",
        "method": "card",
    }
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        taken = client.post("/v1/deposits", json=asked)
        assert taken.status_code == 201
        (sandbox,) = [
            child for child in support.descendants(platform.process) if "ops.sandbox.app:create_app" in child.cmdline()
        ]
        sandbox.kill()
        sandbox.wait(10)
        wait_until(lambda: _answers(client), what="the sandbox again", timeout=60)
        assert client.get(f"/v1/payments/{asked['payment_id']}").json() == taken.json()


@pytest.mark.slow
def test_ctrl_c_stops_everything_and_the_money_is_there_after_the_next_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with support.running(data) as first:
        before = demo(first, 3)
        children = support.descendants(first.process)
        assert first.interrupt() == 0
        assert not any(child.is_running() and child.status() != "zombie" for child in children)
        assert not support.listens(first.gateway_port)
    with support.running(data, port=first.gateway_port) as second:
        after = demo(second, 3)
    rows = [_rows(found) for found in (before, after)]
    assert rows[1] > rows[0] > 0


@pytest.mark.slow
def test_the_demo_holds_on_apache_kafka_too(apache_kafka: None, tmp_path: Path) -> None:
    with support.running(tmp_path / "data", broker="kafka") as platform:
        assert "kafka 4." in platform.printed()
        assert demo(platform, 10)["holds"] is True


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/health/live").is_success
    except httpx2.TransportError:
        return False


def _rows(found: dict[str, Any]) -> int:
    (chain,) = (check for check in found["proof"] if check["check"] == "chain and checkpoints verified")
    return int(chain["looked_at"].split()[0])
