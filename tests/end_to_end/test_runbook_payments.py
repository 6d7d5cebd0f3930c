"""The runbook's sections on payments do what they say: each step's commands run on a platform, and print what is so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from ops.development_secrets import read
from tests.end_to_end import support
from tests.end_to_end.runbook import commands, run, section
from tests.end_to_end.support import Ask, Platform, asked_until, asking, known, let_through, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PLAYER = 5600
USER = f"/users/{PLAYER}"
DOWN, FAILING = "Payment System Down", "Payment Withdrawal Failing"
DIFFERS = "Settlement Does Not Agree"
REPORT = "balance_transaction_id,reporting_category,currency,gross,fee,net,created_utc,payment_metadata[payment_id]\n"


@dataclass(frozen=True)
class Operator:
    """Somebody on call, in a shell in which the commands at the head of `Payments` have been run."""

    platform: Platform
    known: str

    def run(self, title: str, step: int, **given: str) -> str:
        """What a step's commands print."""
        (text,) = re.findall(rf"^{step}\. (.*?)(?=^{step + 1}\. |\Z)", section(title), re.MULTILINE | re.DOTALL)
        return run(self.platform, self.known + commands(text), **given)


def pay(ask: Ask, direction: str, amount: str, currency: str = "USD", instrument: str = "tok_a") -> Any:
    """What a player is answered who pays in or out."""
    body = {"user_id": PLAYER, "amount": amount, "currency": currency, "provider": "sandbox", "method": "card"}
    body |= {"instrument": instrument}
    return asked_until((201, 202), ask, "player", f"/payments/{direction}", body, str(uuid4())).json()


def until_it_is(ask: Ask, payment_id: str, status: str) -> None:
    """Wait until a payment stands somewhere."""
    until(lambda: ask("finance", "GET", f"/payments/{payment_id}").json()["status"] == status)


@pytest.fixture(scope="module")
def queued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a platform that ran with PAYMENT_SERVICE_DISABLED, and a payment that was asked for then."""
    data = tmp_path_factory.mktemp("up") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAYMENT_SERVICE_DISABLED", "true")
        with support.running(data) as platform, asking(platform, PLAYER) as ask:
            return data, pay(ask, "deposits", "11.00")["id"]


@pytest.fixture(scope="module")
def platform(queued: tuple[Path, str]) -> Iterator[Platform]:
    """The same platform without it."""
    with support.running(queued[0]) as running:
        yield running


@pytest.fixture(scope="module")
def ask(platform: Platform) -> Iterator[Ask]:
    """The platform, and on it a player who is known, and need not wait with a withdrawal."""
    with asking(platform, PLAYER) as asked:
        known(asked, PLAYER, "560100200", "EUR")
        yield asked


@pytest.fixture(scope="module")
def operator(platform: Platform) -> Operator:
    """Who does what the page says."""
    head = commands(section("Payments"))
    return Operator(platform, run(platform, f"{head}declare -p TOKEN API PROVIDER\ndeclare -f ask\n"))


def test_what_was_asked_for_under_the_setting_is_done_without_it(ask: Ask, queued: tuple[Path, str]) -> None:
    until_it_is(ask, queued[1], "completed")
    moves = ask("finance", "GET", f"/payments/{queued[1]}").json()["moves"]
    assert [move["waits_for"] for move in moves[:3]] == [None, "queue", None]


def test_payment_system_down(operator: Operator, ask: Ask) -> None:
    assert '"available":false' in operator.run(DOWN, 1)
    waiting = [pay(ask, "deposits", "20.00")["id"] for _ in range(2)]
    said = operator.run(DOWN, 2)
    assert all(payment_id in said for payment_id in waiting)
    assert re.search(r"\| sandbox +\| USD +\| +2\b", said), said

    assert '"available":true' in operator.run(DOWN, 3)
    for payment_id in waiting:
        until_it_is(ask, payment_id, "completed")
    said = operator.run(DOWN, 4)
    (count,) = re.findall(r"^ completed \| +(\d+)$", said, re.MULTILINE)
    assert int(count) >= 2
    assert f"'completed': {count}" in said
    assert " created " not in said
    assert '"payments":[]' in said


def test_payment_withdrawal_failing(operator: Operator, platform: Platform, ask: Ask) -> None:
    token = read(platform.data / "secrets", "sandbox_api_token")
    sandbox = platform.environment()["SANDBOX_URL"]
    # Its webhooks get lost, and it takes its time with whatever goes back to this instrument.
    with httpx2.Client(base_url=sandbox, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as provider:
        came = pay(ask, "deposits", "50.00", "EUR", "tok_waiting")["id"]
        until_it_is(ask, came, "processing")
        provider.post(f"/control/payments/{came}", json={"outcome": "completed"}).raise_for_status()
        until_it_is(ask, came, "completed")
        provider.put("/control/faults", json={"drop": 1}).raise_for_status()
        stuck = pay(ask, "withdrawals", "40.00", "EUR", "tok_waiting")["id"]
        let_through(ask, stuck)
        until_it_is(ask, stuck, "processing")

        said = operator.run(FAILING, 1, PAYMENT=stuck)
        assert '{"status":"alive"}' in said
        assert '"status":"processing"' in said
        said = operator.run(FAILING, 2, PAYMENT=stuck)
        assert "webhooks answer 401" in said
        assert "(0 rows)" in said
        assert re.search(r'outcome="UNAUTHENTICATED",source="sandbox"} [1-9]', operator.run(FAILING, 3))
        assert f'"payment_id":"{stuck}"' in operator.run(FAILING, 5, PAYMENT=stuck)
        assert '"status":"completed"' in operator.run(FAILING, 4, PAYMENT=stuck)
        # Its webhook comes late, and changes nothing.
        provider.put("/control/faults", json={}).raise_for_status()
        provider.post(f"/control/payments/{stuck}", json={"outcome": "completed"}).raise_for_status()
        until(lambda: "(1 row)" in operator.run(FAILING, 2, PAYMENT=stuck))
    done = ask("finance", "GET", f"/payments/{stuck}").json()
    assert (done["status"], done["posted"]) == ("completed", "captured")
    assert {word["actor"] for word in done["said"]} == {"finance-development", "admin-development"}


def test_settlement_does_not_agree(operator: Operator, ask: Ask, tmp_path: Path) -> None:
    paid = pay(ask, "deposits", "9.00", "GBP")
    until_it_is(ask, paid["id"], "completed")
    day = {"provider": "sandbox", "currency": "GBP", "day": paid["created_at"][:10]}
    batch = ask("finance", "POST", "/settlement-batches", day).json()
    # The day is not over, so there is no report yet.
    assert operator.run(DIFFERS, 1, BATCH=batch["id"]).count('"status":"waiting"') >= 2
    # A large day's, and cut off.
    cut_off = tmp_path / "report.csv"
    cut_off.write_text(REPORT + f'"txn","payout","gbp","-1.00","0.00","-1.00","{day["day"]} 01:00:00",""\n' * 20_000)
    assert '"status":"exceptions"' in operator.run(DIFFERS, 1, BATCH=batch["id"], REPORT=str(cut_off))
    said = operator.run(DIFFERS, 2)
    assert '"kind":"missing"' in said
    assert paid["id"] in said
    for each in ask("finance", "GET", f"/settlement-exceptions?batch_id={batch['id']}").json():
        assert '"closed_because":"the bank rounded"' in operator.run(DIFFERS, 4, EXCEPTION=each["id"])
    assert ask("finance", "GET", f"/settlement-batches/{batch['id']}").json()["status"] == "matched"
