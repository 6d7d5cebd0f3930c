"""What goes wrong with payments and their provider, which is the sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from stripe import WebhookSignature

from ops.development_secrets import read
from ops.vigilance.alarms import Severity
from tests.end_to_end.alarms.stage import PLAYER, Cause, Stage
from tests.end_to_end.support import until
from tests.payments_service.samples import stripe_event

# Of fewer, a share says nothing.
ENOUGH = 20
WAITING = 51
REPORT = "balance_transaction_id,reporting_category,currency,gross,fee,net,created_utc,payment_metadata[payment_id]\n"


def _pay(stage: Stage, direction: str, amount: str, currency: str, instrument: str, method: str = "card") -> str:
    body = {"user_id": PLAYER, "amount": amount, "currency": currency, "provider": "sandbox", "method": method}
    found: str = stage.done("player", "POST", f"/payments/{direction}", body | {"instrument": instrument})["id"]
    return found


def _stands(stage: Stage, payment_id: str) -> Any:
    return stage.ask("finance", "GET", f"/payments/{payment_id}").json()


def _until_it_is(stage: Stage, payment_id: str, status: str) -> None:
    until(lambda: _stands(stage, payment_id)["status"] == status)


@contextmanager
def _deposits_are_declined(stage: Stage) -> Iterator[None]:
    _fell_at_once(stage, [_pay(stage, "deposits", "10.00", "GBP", "tok_declined") for _ in range(ENOUGH)])
    yield


def _fell_at_once(stage: Stage, payment_ids: list[str]) -> None:
    """As in one window of an alarm, however long it took here."""
    until(lambda: all(_stands(stage, each)["status"] == "failed" for each in payment_ids), within_s=60)
    ids = ", ".join(f"'{each}'" for each in payment_ids)
    stage.sql(f"UPDATE payments.payments SET changed_at = now() WHERE id IN ({ids})")


@contextmanager
def _withdrawals_wait_and_fail(stage: Stage) -> Iterator[None]:
    """All wait for review; of those that are let through, the provider pays out none."""
    came = _pay(stage, "deposits", "500.00", "EUR", "tok_waiting")
    with stage.provider() as provider:
        _until_it_is(stage, came, "processing")
        _settle(provider, came, "completed")
        until(lambda: _stands(stage, came)["posted"] == "credited")
        asked = [_pay(stage, "withdrawals", "2.00", "EUR", "tok_waiting") for _ in range(ENOUGH + WAITING)]
        until(lambda: all(_stands(stage, each)["waits_for"] == "review" for each in asked[-WAITING:]), within_s=60)
        for each in asked[:ENOUGH]:
            _let_through(stage, each)
        until(lambda: all(_stands(stage, each)["status"] == "processing" for each in asked[:ENOUGH]), within_s=60)
        for each in asked[:ENOUGH]:
            _settle(provider, each, "failed")
        _fell_at_once(stage, asked[:ENOUGH])
        yield
        for each in asked[ENOUGH:]:
            _let_through(stage, each)


def _settle(provider: httpx2.Client, payment_id: str, outcome: str) -> None:
    provider.post(f"/control/payments/{payment_id}", json={"outcome": outcome}).raise_for_status()


def _let_through(stage: Stage, payment_id: str) -> None:
    until(lambda: _stands(stage, payment_id)["waits_for"] == "review")
    stage.done("finance", "POST", f"/payments/{payment_id}/review", {"verdict": "approve", "reason": "known to us"})


@contextmanager
def _no_report_comes(stage: Stage) -> Iterator[None]:
    """Of a provider that is not set up, so that nobody can be asked for it."""
    day = (datetime.now(UTC) - timedelta(days=4)).date().isoformat()
    batch = stage.done("finance", "POST", "/settlement-batches", {"provider": "stripe", "currency": "EUR", "day": day})
    assert batch["status"] == "waiting"
    yield
    settled = stage.done("finance", "POST", f"/settlement-batches/{batch['id']}/retry", {"report": REPORT})
    assert settled["status"] == "matched"


@contextmanager
def _webhooks_are_forged(stage: Stage) -> Iterator[None]:
    url = f"http://127.0.0.1:{stage.platform.gateway_port}/api/v1/webhooks/sandbox"
    headers = {"Stripe-Signature": f"t=1,v1={'0' * 64}"}
    for _ in range(11):
        assert httpx2.post(url, json={"id": "evt_forged"}, headers=headers, trust_env=False).status_code == 401
    yield


@contextmanager
def _the_provider_does_not_answer(stage: Stage) -> Iterator[None]:
    with stage.provider() as provider:
        provider.put("/control/faults", json={"refuse": 1}).raise_for_status()
        lost = _pay(stage, "deposits", "11.00", "GBP", "tok_lost")
        _until_it_is(stage, lost, "unknown")
        provider.put("/control/faults", json={}).raise_for_status()
    # A day passes.
    stage.sql(f"UPDATE payments.payments SET changed_at = changed_at - interval '25 hours' WHERE id = '{lost}'")
    yield
    word = {"outcome": "failed", "reason": "never heard of", "evidence": "its list of the day"}
    for role in ("finance", "admin"):
        stage.done(role, "POST", f"/payments/{lost}/completion", word)


@contextmanager
def _other_money_arrives_than_was_asked_for(stage: Stage) -> Iterator[None]:
    asked = _pay(stage, "deposits", "25.00", "GBP", "tok_waiting")
    _until_it_is(stage, asked, "processing")
    told = stripe_event(metadata={"payment_id": asked}, amount=2400, currency="gbp").decode()
    secret = read(stage.platform.data / "secrets", "sandbox_webhook_secret")
    headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(told, secret)}
    url = f"http://127.0.0.1:{stage.platform.gateway_port}/api/v1/webhooks/sandbox"
    httpx2.post(url, content=told, headers=headers, trust_env=False).raise_for_status()
    assert _stands(stage, asked)["waits_for"] == "completion"
    yield
    word = {"outcome": "failed", "reason": "less than was asked for", "evidence": "its list of the day"}
    for role in ("finance", "admin"):
        stage.done(role, "POST", f"/payments/{asked}/completion", word)
    with stage.provider() as provider:
        _settle(provider, asked, "failed")


@contextmanager
def _nobody_looks_at_what_does_not_agree(stage: Stage) -> Iterator[None]:
    paid = _pay(stage, "deposits", "13.00", "GBP", "tok_visa")
    _until_it_is(stage, paid, "completed")
    day = datetime.now(UTC).date().isoformat()
    asked = {"provider": "sandbox", "currency": "GBP", "day": day, "report": REPORT}
    assert stage.done("finance", "POST", "/settlement-batches", asked)["status"] == "exceptions"
    # A day passes.
    stage.sql("UPDATE payments.settlement_exceptions SET opened_at = opened_at - interval '25 hours'")
    yield
    while found := stage.ask("finance", "GET", "/settlement-exceptions?limit=100").json():
        for each in found:
            path = f"/settlement-exceptions/{each['id']}/resolution"
            stage.done("finance", "POST", path, {"reason": "the report was cut off"})


@contextmanager
def _payments_are_switched_off(stage: Stage) -> Iterator[None]:
    switch = {"provider": "sandbox", "method": "paypal", "reason": "the provider is down"}
    stage.done("finance", "PUT", "/payments/availability", switch | {"available": False})
    queued = _pay(stage, "deposits", "12.00", "GBP", "tok_third", method="paypal")
    yield
    stage.done("finance", "PUT", "/payments/availability", switch | {"available": True})
    _until_it_is(stage, queued, "completed")


CAUSES = (
    Cause(_deposits_are_declined, {"DepositsFailing": Severity.CRITICAL}),
    Cause(
        _withdrawals_wait_and_fail,
        {"WithdrawalsFailing": Severity.CRITICAL, "PaymentsWaitForReview": Severity.WARNING},
    ),
    Cause(_no_report_comes, {"SettlementDelayed": Severity.WARNING}),
    Cause(_webhooks_are_forged, {"WebhooksNotVerified": Severity.WARNING}),
    Cause(
        _the_provider_does_not_answer,
        {"PaymentOutcomesUnknown": Severity.WARNING, "PaymentOutcomesUnknownForADay": Severity.CRITICAL},
    ),
    Cause(_other_money_arrives_than_was_asked_for, {"PaymentsContradicted": Severity.CRITICAL}),
    Cause(_nobody_looks_at_what_does_not_agree, {"SettlementExceptionsOpen": Severity.WARNING}),
    Cause(_payments_are_switched_off, {"PaymentsQueued": Severity.WARNING}),
)
