"""Payments on a whole platform: through the sandbox, whose webhooks come in by the door like anybody's."""

import asyncio
import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from tests.end_to_end.support import Ask, Platform, asked_until, asking, known, let_through, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYER = 5500
USER = f"/users/{PLAYER}"
# The sandbox decides on it when it is told to, and not before.
ON_DEMAND = "tok_waiting"
NOTHING = Decimal(0)


@pytest.fixture(scope="module")
def ask(platform: Platform) -> Iterator[Ask]:
    """The platform, and on it a player who is known, and need not wait with a withdrawal."""
    with asking(platform, PLAYER) as asked:
        known(asked, PLAYER, "550100200", "EUR", "JPY")
        yield asked


def pay(ask: Ask, direction: str, amount: str, currency: str, instrument: str, method: str = "card") -> Any:
    """What a player is answered who pays in or out."""
    body = {"user_id": PLAYER, "amount": amount, "currency": currency, "provider": "sandbox", "method": method}
    body |= {"instrument": instrument}
    return asked_until((201, 202), ask, "player", f"/payments/{direction}", body, str(uuid4())).json()


def balance(ask: Ask, currency: str) -> tuple[Decimal, Decimal]:
    """What the player has, and what beside it is held."""
    balances = ask("player", "GET", f"{USER}/wallet").json().get("balances", [])
    found = next((each for each in balances if each["currency"] == currency), {"cash": "0", "reserved": "0"})
    return Decimal(found["cash"]), Decimal(found["reserved"])


def payment(ask: Ask, payment_id: str) -> Any:
    """A payment as staff sees it."""
    return ask("finance", "GET", f"/payments/{payment_id}").json()


def until_it_is(ask: Ask, payment_id: str, status: str, posted: str) -> None:
    """Wait until a payment stands somewhere, with its provider and in the wallet."""
    until(lambda: (found := payment(ask, payment_id)) and (found["status"], found["posted"]) == (status, posted))


@pytest.mark.parametrize("method", ["card", "paypal"])
def test_a_deposit_is_in_the_wallet_when_a_webhook_says_so(ask: Ask, sandbox: httpx2.Client, method: str) -> None:
    before, _ = balance(ask, "KWD")
    begun = pay(ask, "deposits", "25.125", "KWD", ON_DEMAND, method)
    until_it_is(ask, begun["id"], "processing", "nothing")
    # Nobody asks the provider within a minute: what is heard sooner is its webhook.
    assert sandbox.post(f"/control/payments/{begun['id']}", json={"outcome": "completed"}).is_success
    until_it_is(ask, begun["id"], "completed", "credited")
    assert balance(ask, "KWD") == (before + Decimal("25.125"), NOTHING)


def test_a_forged_webhook_is_refused_and_changes_nothing(ask: Ask, sandbox: httpx2.Client, platform: Platform) -> None:
    begun = pay(ask, "deposits", "90.000", "KWD", "tok_declined")
    until_it_is(ask, begun["id"], "failed", "nothing")
    before = payment(ask, begun["id"]), balance(ask, "KWD")
    forged = {
        "id": "evt_forged",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": 1,
        "data": {"object": {"id": begun["reference"], "metadata": {"payment_id": begun["id"]}}},
    }
    url = f"http://127.0.0.1:{platform.gateway_port}/api/v1/webhooks/sandbox"
    headers = {"Stripe-Signature": f"t=1,v1={'0' * 64}"}
    answer = httpx2.post(url, json=forged, headers=headers, trust_env=False)
    assert (answer.status_code, httpx2.post(url, json=forged, trust_env=False).status_code) == (401, 401)
    assert (payment(ask, begun["id"]), balance(ask, "KWD")) == before


def take_back(ask: Ask, platform: Platform, payment_id: str) -> None:
    """Finance reverses a deposit in the ledger; returns when the payments service has heard of it."""
    rows = ask("finance", "GET", f"{USER}/transactions").json()["transactions"]
    (row,) = [each for each in rows if each["reference_id"] == payment_id]
    body = {"reason": "credited to the wrong player"}
    answer = ask("finance", "POST", f"/transactions/{row['id']}/reversal", body, key=str(uuid4()))
    assert answer.status_code == 201, answer.text
    reversal = answer.json()["transaction"]["id"]

    async def heard() -> bool:
        connection = await asyncpg.connect(platform.administrator())
        try:
            query = "SELECT count(*) FROM payments.ledger_movements WHERE command_id = $1"
            return bool(await connection.fetchval(query, reversal))
        finally:
            await connection.close()

    until(lambda: asyncio.run(heard()))


@contextlib.contextmanager
def taken_back(ask: Ask, platform: Platform, payment_id: str) -> Iterator[None]:
    """While it lasts, a deposit is reversed in the ledger; then it is credited anew, for the demo proves all agree."""
    take_back(ask, platform, payment_id)
    yield
    deposit = payment(ask, payment_id)
    money = {name: deposit[name] for name in ("user_id", "amount", "currency", "provider")}
    given = ask("finance", "POST", "/transactions", money | {"type": "DEPOSIT"}, key=str(uuid4()))
    assert given.status_code == 201, given.text


def test_a_withdrawal_goes_back_to_where_the_money_came_from(
    ask: Ask, sandbox: httpx2.Client, platform: Platform
) -> None:
    deposits = []
    for instrument, amount in (("tok_wrong", "10.00"), ("tok_first", "30.00"), ("tok_second", "20.00")):
        deposits.append(pay(ask, "deposits", amount, "EUR", instrument)["id"])
        until_it_is(ask, deposits[-1], "completed", "credited")
    # What staff took back in the ledger is no longer there to go back.
    with taken_back(ask, platform, deposits[0]):
        paid = pay(ask, "withdrawals", "45.00", "EUR", "tok_elsewhere")
        assert [part["amount"] for part in paid["parts"]] == ["30.00", "15.00"]
        for part in paid["parts"]:
            let_through(ask, part["id"])
            until_it_is(ask, part["id"], "completed", "captured")
        assert balance(ask, "EUR") == (Decimal(5), NOTHING)
    books = {each["payment_id"]: each for each in sandbox.get("/books").json()}
    sent = [books[part["id"]] for part in paid["parts"]]
    assert [(each["instrument"], each["amount_minor"], each["outcome"]) for each in sent] == [
        ("tok_first", 3000, "completed"),
        ("tok_second", 1500, "completed"),
    ]


def test_a_withdrawal_to_a_paypal_account_goes_back_as_refunds_of_what_came_from_it(
    ask: Ask, sandbox: httpx2.Client
) -> None:
    deposits = [pay(ask, "deposits", amount, "JPY", "vault_1", "paypal")["id"] for amount in ("3000", "2000")]
    for each in deposits:
        until_it_is(ask, each, "completed", "credited")
    paid = pay(ask, "withdrawals", "5000", "JPY", "payer_1", "paypal")
    assert [(part["of_payment"], part["amount"]) for part in paid["parts"]] == [
        (deposits[0], "3000"),
        (deposits[1], "2000"),
    ]
    for part in paid["parts"]:
        let_through(ask, part["id"])
        until_it_is(ask, part["id"], "completed", "captured")
    assert balance(ask, "JPY") == (NOTHING, NOTHING)
    books = {each["payment_id"]: each for each in sandbox.get("/books").json()}
    sent = [books[part["id"]] for part in paid["parts"]]
    assert [(each["direction"], each["of_reference"], each["amount_minor"]) for each in sent] == [
        ("refund", books[deposit]["reference"], amount) for deposit, amount in zip(deposits, (3000, 2000), strict=True)
    ]


def test_what_is_switched_off_queues_and_is_let_go_in_order(ask: Ask) -> None:
    before, _ = balance(ask, "GBP")
    switch = {"provider": "sandbox", "direction": "deposit", "reason": "the provider is down"}
    assert ask("finance", "PUT", "/payments/availability", switch | {"available": False}).status_code == 200
    try:
        queued = [pay(ask, "deposits", "10.00", "GBP", "tok_third") for _ in range(3)]
        assert {(each["status"], each["waits_for"]) for each in queued} == {("created", "queue")}
        waiting = ask("finance", "GET", "/payments?waits_for=queue").json()["payments"]
        assert [each["id"] for each in waiting] == [each["id"] for each in reversed(queued)]
        assert balance(ask, "GBP")[0] == before
        # Who does not want to wait is not charged later.
        given_up = queued.pop(1)
        path, why = f"/payments/{given_up['id']}/cancellation", {"reason": "paid elsewhere"}
        assert ask("player", "POST", path, why).json()["status"] == "cancelled"
    finally:
        assert ask("finance", "PUT", "/payments/availability", switch | {"available": True}).status_code == 200
    for each in queued:
        until_it_is(ask, each["id"], "completed", "credited")
    assert balance(ask, "GBP")[0] == before + 20
    assert payment(ask, given_up["id"])["status"] == "cancelled"


def test_two_of_staff_say_what_became_of_a_withdrawal_and_its_webhook_comes_late(
    ask: Ask, sandbox: httpx2.Client
) -> None:
    begun = pay(ask, "deposits", "4000", "JPY", ON_DEMAND)
    until_it_is(ask, begun["id"], "processing", "nothing")
    assert sandbox.post(f"/control/payments/{begun['id']}", json={"outcome": "completed"}).is_success
    until_it_is(ask, begun["id"], "completed", "credited")
    before, _ = balance(ask, "JPY")
    paid = pay(ask, "withdrawals", "3000", "JPY", ON_DEMAND)
    let_through(ask, paid["id"])
    until_it_is(ask, paid["id"], "processing", "held")
    assert balance(ask, "JPY") == (before - 3000, Decimal(3000))

    path, word = f"/payments/{paid['id']}/completion", {"outcome": "completed", "reason": "paid", "evidence": "slip 7"}
    assert ask("player", "POST", path, word).status_code == 403
    assert ask("finance", "POST", path, word).json()["status"] == "processing"
    assert ask("finance", "POST", path, word).status_code == 403
    assert ask("admin", "POST", path, word).json()["status"] == "completed"
    assert sandbox.post(f"/control/payments/{paid['id']}", json={"outcome": "completed"}).is_success
    until(lambda: sandbox.get("/control/webhooks").json() == {"waiting": 0})
    until_it_is(ask, paid["id"], "completed", "captured")
    done = payment(ask, paid["id"])
    assert (done["status"], done["posted"], balance(ask, "JPY")) == ("completed", "captured", (before - 3000, NOTHING))
    completed_by = [said["actor"] for said in done["said"] if said["act"] == "completion"]
    assert completed_by == ["finance-development", "admin-development"]


def test_a_day_is_settled_by_the_providers_report(ask: Ask, sandbox: httpx2.Client, platform: Platform) -> None:
    wrong = pay(ask, "deposits", "7.00", "EUR", "tok_wrong")
    until_it_is(ask, wrong["id"], "completed", "credited")
    with taken_back(ask, platform, wrong["id"]):
        paid = pay(ask, "deposits", "12.50", "EUR", "tok_first")
        until_it_is(ask, paid["id"], "completed", "credited")
        day = paid["created_at"][:10]
        report = sandbox.get(f"/reports/stripe/{day}", params={"currency": "EUR"}).text
        asked = {"provider": "sandbox", "currency": "EUR", "day": day, "report": report}
        made = ask("finance", "POST", "/settlement-batches", asked)
        assert made.status_code == 201, made.text
        path = f"/settlement-batches/{made.json()['id']}"

        def left() -> list[Any]:
            assert ask("finance", "POST", f"{path}/retry", {"report": report}).status_code == 200
            found: list[Any] = ask("finance", "GET", f"/settlement-exceptions?batch_id={made.json()['id']}").json()
            return found

        # The ledger's rows arrive on their own time. What staff took back in it moved nothing at the provider.
        until(lambda: {(each["kind"], each["side"]) for each in left()} == {("extra", "ledger")})
        assert wrong["id"] in [each["payment_id"] for each in left()]
        for each in left():
            said = ask(
                "finance", "POST", f"/settlement-exceptions/{each['id']}/resolution", {"reason": "a wrong player"}
            )
            assert said.status_code == 200, said.text
        assert (left(), ask("finance", "GET", path).json()["status"]) == ([], "matched")
        totals = ask("finance", "GET", path).json()["totals"]
        assert totals["ours"] == totals["provider"]
        assert Decimal(totals["ours"]["in"]) >= Decimal("12.50")

        short = report.replace("12.50,0.36,12.14", "12.40,0.36,12.04")
        assert ask("finance", "POST", f"{path}/retry", {"report": short}).json()["status"] == "exceptions"
        (found,) = ask("finance", "GET", f"/settlement-exceptions?batch_id={made.json()['id']}").json()
        assert (found["kind"], found["payment_id"]) == ("amount", paid["id"])
        assert ask("finance", "POST", f"{path}/retry", {"report": report}).json()["status"] == "matched"
