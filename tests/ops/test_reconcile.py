"""`langsense reconcile` before a gateway that is made up."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from ops import development_secrets, places, reconcile
from ops.main import app
from ops.places import Places
from shared.errors import InvalidInput, ServiceUnavailable

ID = str(UUID(int=7))
WHERE = {"lane": 3, "user_id": 42, "currency": "USD", "account": "cash", "position": 8}
RECORD: dict[str, Any] = {
    **{"id": ID, "number": 1, "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z", "cause": "on_demand"},
    **{"requested_by": "ann", "requested_at": "2026-11-24T10:00:00Z", "status": "running", "started_at": None},
    **{"finished_at": None, "rows": None, "discrepancy_count": None, "discrepancies": [], "truncated": False},
}
CLEAN = {**RECORD, "status": "finished", "finished_at": "2026-11-24T10:00:01Z", "rows": 9, "discrepancy_count": 0}
WRONG = {
    **CLEAN,
    "discrepancy_count": 2000,
    "truncated": True,
    "discrepancies": [
        {**WHERE, "kind": "balance", "expected": "6.99", "found": "7.00"},
        {**dict.fromkeys(WHERE), "kind": "position_gap", "lane": 3, "position": 7, "expected": "7", "found": None},
    ],
}


@dataclass
class Gateway:
    """Answers a request after the other."""

    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                gateway.asked.append((self.command, self.path, json.loads(body) if body else None))
                status, answer = gateway.answers.pop(0)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def data(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a platform whose gateway that is."""
    monkeypatch.setattr(reconcile, "LOOK_EVERY_S", 0)
    monkeypatch.setenv("COLUMNS", "200")
    development_secrets.ensure(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), gateway.handler()) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        places.write(tmp_path, Places(url, "127.0.0.1:1", tmp_path, service_urls={}, database_urls={}))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path
        server.shutdown()
        thread.join()


def run(data: Path, first: str = "2026-10-01", last: str = "2026-11-01") -> Result:
    return CliRunner().invoke(app, ["reconcile", "--from", first, "--to", last, "--data", str(data)])


def test_days_that_agree_end_well(gateway: Gateway, data: Path) -> None:
    gateway.answers = [(201, CLEAN)]
    done = run(data)
    assert (done.exit_code, done.output) == (0, "9 rows, 0 discrepancies\n")
    period = {"from": "2026-10-01T00:00:00+00:00", "to": "2026-11-01T00:00:00+00:00"}
    assert gateway.asked == [("POST", "/api/v1/reconciliations", period)]


def test_what_does_not_agree_is_a_table_and_an_exit_status(gateway: Gateway, data: Path) -> None:
    gateway.answers = [(202, RECORD), (200, RECORD), (200, WRONG)]
    done = run(data)
    assert done.exit_code == 1
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.output.splitlines() if "│" in line]
    assert lines == [
        ["balance", "3", "42", "USD", "cash", "8", "6.99", "7.00"],
        ["position_gap", "3", "", "", "", "7", "7", ""],
    ]
    assert "9 rows, 2000 discrepancies, of which the first 2 are shown" in done.output
    assert gateway.asked[1:] == [("GET", f"/api/v1/reconciliations/{ID}", None)] * 2


def test_days_that_are_no_period_are_said(gateway: Gateway, data: Path) -> None:
    gateway.answers = [(422, {"errors": [{"field": "to", "message": "must be later than from"}]})]
    done = run(data, last="2026-10-01")
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput)
    assert str(done.exception) == "to: must be later than from"
    assert run(data, first="yesterday").exit_code == 2


@pytest.mark.parametrize("answer", [(503, {}), (201, {}), (403, {})])
def test_a_gateway_that_does_not_answer_is_said(gateway: Gateway, data: Path, answer: tuple[int, Any]) -> None:
    gateway.answers = [answer]
    assert isinstance(run(data).exception, ServiceUnavailable)


def test_one_that_was_given_up_is_no_good_end(gateway: Gateway, data: Path) -> None:
    gateway.answers = [(201, {**RECORD, "status": "failed", "finished_at": "2026-11-24T10:00:01Z"})]
    done = run(data)
    assert (done.exit_code, type(done.exception)) == (1, ServiceUnavailable)
    assert "given up" in str(done.exception)


def test_one_that_does_not_end_is_not_waited_for_for_ever(
    gateway: Gateway, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "END_WITHIN_S", -1.0)
    gateway.answers = [(202, RECORD)]
    assert ID in str(run(data).exception)
