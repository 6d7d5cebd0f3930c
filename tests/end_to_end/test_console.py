"""The staff console in a real browser, on a whole platform."""

import shutil
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.end_to_end.support import Ask, Platform, asked_until, asking, known, passport, until

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
PLAYER = 5900
USER = f"/users/{PLAYER}"
# A browser's numbers have 53 bits: this one is no number there.
SUSPECT = 2**53 + 1
PATIENCE_MS = 60_000
MONEY = {"user_id": PLAYER, "currency": "GBP", "provider": "sandbox", "method": "card"}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(platform: Platform, browser: Browser) -> Iterator[Page]:
    """A tab at the console's door; what goes wrong in its scripts, or against its policy, fails the test."""
    wrong: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    opened.goto(f"http://127.0.0.1:{platform.gateway_port}/console")
    yield opened
    opened.close()
    assert wrong == []


@pytest.fixture(scope="module")
def ask(platform: Platform) -> Iterator[Ask]:
    """The platform, and on it a player who is known, has paid in, and need not wait with a withdrawal."""
    with asking(platform, PLAYER) as asked:
        known(asked, PLAYER, "590100200", "GBP", "EUR")
        yield asked


@pytest.fixture(scope="module")
def deposit(ask: Ask) -> dict[str, Any]:
    """A deposit that is in the wallet."""
    paid = pay(ask, "deposits", "3000.00")
    until(lambda: ask("player", "GET", f"/payments/{paid['id']}").json()["posted"] == "credited")
    return paid


def pay(ask: Ask, direction: str, amount: str, **more: str) -> dict[str, Any]:
    body, path = MONEY | {"amount": amount} | more, f"/payments/{direction}"
    found: dict[str, Any] = asked_until((201, 202), ask, "player", path, body, str(uuid4())).json()
    return found


def parts(ask: Ask, payment_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask("finance", "GET", f"/payments/{payment_id}").json()["parts"]
    return found


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Your token").fill(token)
    page.get_by_label("Your token").press("Enter")


def enter(page: Page, platform: Platform, role: str, view: str) -> None:
    sign_in(page, platform.tokens()[role])
    page.get_by_role("link", name=view, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(view)


def go(page: Page, place: str, title: str) -> None:
    page.evaluate("place => { location.hash = place; }", place)
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def act(place: Page | Locator, choice: str, **fields: str) -> None:
    """Fill in what is asked for, and choose."""
    for label, value in fields.items():
        place.get_by_label(label.replace("_", " ")).fill(value)
    place.get_by_role("button", name=choice, exact=True).click()


def test_the_parts_of_a_withdrawal_are_shown_and_approved_as_one(platform: Platform, ask: Ask, page: Page) -> None:
    for instrument, amount in (("tok_first", "900.00"), ("tok_second", "600.00")):
        paid = pay(ask, "deposits", amount, currency="EUR", instrument=instrument)
        until(lambda: ask("player", "GET", f"/payments/{paid['id']}").json()["posted"] == "credited")  # noqa: B023
    out = pay(ask, "withdrawals", "1500.00", currency="EUR")
    until(lambda: {part["waits_for"] for part in parts(ask, out["id"])} == {"review"})

    enter(page, platform, "finance", "Withdrawals")
    cards = page.locator("article").filter(has_text="EUR")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("600.00 EUR")
    expect(cards).to_contain_text("Decided with it: 900.00 EUR by sandbox, card")
    act(cards, "Approve", Reason="known for years")
    expect(cards).to_contain_text("finance-development review: approve, because known for years")
    until(lambda: {part["status"] for part in parts(ask, out["id"])} == {"completed"})


def test_a_withdrawal_that_waits_is_approved_and_that_and_who_signed_in_are_on_record(
    platform: Platform, ask: Ask, deposit: dict[str, Any], page: Page
) -> None:
    out = pay(ask, "withdrawals", "1200.00")
    until(lambda: ask("finance", "GET", f"/payments/{out['id']}").json()["waits_for"] == "review")

    enter(page, platform, "finance", "Withdrawals")
    expect(page.locator("main")).to_contain_text("Whoever asked for a payment does not decide on it")
    card = page.locator("article", has=page.get_by_title(out["id"]))
    expect(card).to_contain_text("1200.00 GBP")
    act(card, "Approve")
    # Nothing is done without a reason.
    expect(card.get_by_role("button", name="Approve")).to_be_enabled()
    act(card, "Approve", Reason="statement seen")
    expect(page.get_by_role("status")).to_have_text("Approve: done")
    expect(card).to_contain_text("finance-development review: approve, because statement seen")
    expect(card.get_by_role("button", name="Approve")).to_have_count(0)
    until(lambda: ask("finance", "GET", f"/payments/{out['id']}").json()["status"] == "completed")

    page.get_by_role("button", name="Sign out").click()
    enter(page, platform, "compliance", "Audit log")
    expect(page.locator("tbody")).to_contain_text("CONSOLE_LOGIN")
    act(page, "Show", Who="finance-development", What="PAYMENT_REVIEW")
    expect(page.locator("tbody")).to_contain_text("statement seen")
    expect(page.locator("tbody")).not_to_contain_text("CONSOLE_LOGIN")


def test_two_people_say_what_became_of_a_payment_and_a_refund_that_is_too_large_is_told_at_its_field(
    platform: Platform, ask: Ask, deposit: dict[str, Any], sandbox: httpx2.Client, page: Page
) -> None:
    # The sandbox decides on it when it is told to, and not before.
    waits = pay(ask, "deposits", "20.00", instrument="tok_waiting")
    enter(page, platform, "finance", "Payments")
    act(page, "Open", **{"Payment's_id": waits["id"]})
    expect(page.locator("main")).to_contain_text("One person's word moves nothing")
    act(page, "It was completed", Reason="paid", Evidence="slip 7")
    expect(page.locator("main")).to_contain_text(
        "finance-development said completed. Somebody else has to say the same"
    )
    act(page, "It was completed", Reason="paid", Evidence="slip 7")
    expect(page.get_by_role("alert").filter(has_text="a second person has to say the same")).to_be_visible()
    for choice, outcome in (("It failed", "failed"), ("It was completed", "completed")):
        act(page, choice, Reason="misread", Evidence="slip 8")
        expect(page.locator("main")).to_contain_text(f"finance-development said {outcome}. Somebody else")

    go(page, f"payment/{deposit['id']}", f"Payment {deposit['id']}")
    page.get_by_text("Give back some of it").click()
    act(page, "Give back", Amount="99999.00", Reason="a mistake")
    expect(page.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".field", has=page.get_by_label("Amount"))).to_contain_text("at most what is left")

    page.get_by_role("button", name="Sign out").click()
    enter(page, platform, "admin", "Payments")
    go(page, f"payment/{waits['id']}", f"Payment {waits['id']}")
    act(page, "It was completed", Reason="paid", Evidence="slip 7")
    expect(page.locator("article").first).to_contain_text("completed")
    # So it was, in the provider's books too.
    sandbox.post(f"/control/payments/{waits['id']}", json={"outcome": "completed"}).raise_for_status()


def test_a_deposit_that_waits_for_its_provider_is_cancelled_for_its_player(
    platform: Platform, ask: Ask, page: Page
) -> None:
    switch = {"provider": "sandbox", "method": "bank", "reason": "an outage"}
    assert ask("finance", "PUT", "/payments/availability", switch | {"available": False}).status_code == 200
    try:
        waits = pay(ask, "deposits", "15.00", method="bank")
        enter(page, platform, "finance", "Payments")
        act(page, "Open", **{"Payment's_id": waits["id"]})
        expect(page.locator("article").first).to_contain_text("waits for queue")
        page.get_by_text("Cancel it").click()
        act(page, "Cancel the deposit", Reason="paid elsewhere")
        expect(page.locator("article").first).to_contain_text("cancelled: paid elsewhere")
        expect(page.get_by_role("button", name="It was completed")).to_have_count(0)
    finally:
        assert ask("finance", "PUT", "/payments/availability", switch | {"available": True}).status_code == 200


def test_a_withdrawal_that_waits_for_its_provider_is_rejected(
    platform: Platform, ask: Ask, deposit: dict[str, Any], page: Page
) -> None:
    switch = {"provider": "sandbox", "direction": "withdrawal", "reason": "an outage"}
    assert ask("finance", "PUT", "/payments/availability", switch | {"available": False}).status_code == 200
    try:
        waits = pay(ask, "withdrawals", "15.00")
        enter(page, platform, "finance", "Payments")
        go(page, f"payment/{waits['id']}", f"Payment {waits['id']}")
        expect(page.locator("article").first).to_contain_text("waits for queue")
        page.get_by_text("Reject it").click()
        act(page, "Reject the withdrawal", Reason="another's account")
        expect(page.locator("article").first).to_contain_text("staff: another's account")
        expect(page.locator("main")).to_contain_text("finance-development review: reject")
    finally:
        assert ask("finance", "PUT", "/payments/availability", switch | {"available": True}).status_code == 200


def test_a_flag_is_taken_noted_and_dismissed_and_a_long_id_stays_as_it_is(
    platform: Platform, ask: Ask, page: Page
) -> None:
    rule = {
        **{"id": "six_deposits", "condition": "deposits_72h >= 6", "points": 100, "severity": "high"},
        **{"window_minutes": 60, "half_life_minutes": 600, "sees": "deposits_72h", "against": 6},
        "text": "{deposits_72h} deposits within 72 hours",
    }
    drafted = ask("risk", "POST", "/fraud/rules", {"rule": rule, "reason": "a trial"}).json()
    assert ask("risk", "POST", f"/fraud/rules/{drafted['version']}/activation").status_code == 200
    money = {"user_id": SUSPECT, "currency": "USD", "type": "DEPOSIT", "amount": "10.00", "provider": "bank"}

    def flagged() -> bool:
        assert ask("finance", "POST", "/transactions", money, key=str(uuid4())).status_code == 201
        return bool(ask("risk", "GET", f"/fraud/flags?user_id={SUSPECT}").json()["flags"])

    try:
        until(flagged)
    finally:
        ask("risk", "POST", f"/fraud/rules/{drafted['version']}/retirement")

    enter(page, platform, "risk", "Flags")
    act(page, "Show", Player=str(SUSPECT))
    card = page.locator("article", has_text=f"player {SUSPECT}")
    expect(card).to_contain_text("deposits within 72 hours (100 points)")
    act(card, "Take it")
    expect(card).to_contain_text("with risk-development")
    expect(card).to_contain_text("in review")
    act(card, "Write note", Note="all on one card")
    expect(card).to_contain_text("risk-development all on one card")
    act(card, "Snooze", Note="until the bank answers")
    expect(card).to_contain_text("Wakes")
    act(card, "Dismiss", Note="known to us")
    expect(card).to_contain_text("dismissed by risk-development: known to us")
    expect(card.get_by_role("button")).to_have_count(0)
    card.get_by_role("link", name=f"player {SUSPECT}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Player {SUSPECT}")


def cut_off(ask: Ask, sandbox: httpx2.Client, day: str) -> str:
    """A day's report, of which the platform has the head alone."""
    report = sandbox.get(f"/reports/stripe/{day}", params={"currency": "GBP"}).text
    header = report.splitlines(keepends=True)[0]
    asked = {"provider": "sandbox", "currency": "GBP", "day": day, "report": header}

    def lacks_the_report_alone() -> bool:
        batch = ask("finance", "POST", "/settlement-batches", asked).json()
        found = ask("finance", "GET", f"/settlement-exceptions?batch_id={batch['id']}").json()
        return {each["side"] for each in found} == {"provider"}

    # The ledger's rows arrive on their own time.
    until(lacks_the_report_alone)
    return report


def test_a_report_that_was_cut_off_is_brought_again_whole(
    platform: Platform, ask: Ask, deposit: dict[str, Any], sandbox: httpx2.Client, page: Page
) -> None:
    day = deposit["created_at"][:10]
    report = cut_off(ask, sandbox, day)

    enter(page, platform, "finance", "Settlement")
    missing = page.locator("article", has=page.get_by_title(deposit["id"]))
    expect(missing).to_have_count(1)
    page.get_by_text("Settle a batch again").click()
    page.get_by_label("Batch").select_option(label=f"{day}, sandbox, GBP: exceptions")
    page.get_by_label("Report (CSV)").set_input_files(
        {"name": "report.csv", "mimeType": "text/csv", "buffer": report.encode()}
    )
    act(page, "Settle again")
    expect(page.locator("details")).to_contain_text("matched")
    act(page, "Read again")
    expect(missing).to_have_count(0)


def test_what_does_not_agree_is_closed_with_a_reason(
    platform: Platform, ask: Ask, deposit: dict[str, Any], sandbox: httpx2.Client, page: Page
) -> None:
    cut_off(ask, sandbox, deposit["created_at"][:10])

    enter(page, platform, "finance", "Settlement")
    card = page.locator("article", has=page.get_by_title(deposit["id"]))
    expect(page.locator("main")).to_contain_text("Ours, and not the other side's.")
    expect(card).to_contain_text("3000.00 GBP")
    act(card, "Close", Reason="in tomorrow's report")
    expect(card).to_contain_text("Closed by finance-development: in tomorrow's report")


def test_the_kill_switch_is_turned_off_and_on_with_a_reason(platform: Platform, page: Page) -> None:
    enter(page, platform, "finance", "Kill switch")
    act(page, "Switch off", Provider="elsewhere", Reason="an outage")
    expect(page.locator("main")).to_contain_text("must be * or one of sandbox")
    act(page, "Switch off", Provider="sandbox", Method="bank", Reason="an outage")
    expect(page.locator("main")).to_contain_text("Switched off: all payments by sandbox, bank")
    act(page, "Switch on", Provider="sandbox", Method="bank", Reason="it is over")
    expect(page.locator("main")).to_contain_text("All payments may begin.")
    expect(page.locator("tbody")).to_contain_text("it is over")


def test_support_sees_how_a_player_stands_on_a_telephone_in_the_dark_and_nothing_of_its_documents(
    platform: Platform, ask: Ask, deposit: dict[str, Any], page: Page
) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    enter(page, platform, "support", "Players")
    act(page, "Open", Player=str(PLAYER))
    main = page.locator("main")
    for shown in (
        "KYC verified",
        "GBP daily deposit limit",
        "3000.00",
        "It was never excluded",
        "Exclude from play",
    ):
        expect(main).to_contain_text(shown)
    # What risk, compliance and finance may do is not for support.
    for hidden in ("Block for fraud", "Override a limit", "Decide on KYC", "On record", *_values(passport(""))):
        expect(main).not_to_contain_text(hidden)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor === 'rgb(20, 22, 26)'")

    # Read again, the page is where it was; signed out, it shows nothing.
    page.reload()
    expect(main).to_contain_text("KYC verified")
    page.get_by_role("button", name="Sign out").click()
    expect(main).not_to_contain_text("KYC verified")


def _values(shown: dict[str, Any]) -> list[str]:
    """What a player showed of itself, but its document's number and its country."""
    address = shown["address"].values()
    return [str(value) for value in (shown["name"], shown["birth_date"], shown["phone"], *address)]


def test_a_player_and_who_has_no_token_are_not_let_in(platform: Platform, ask: Ask, page: Page) -> None:
    own = platform.run("token", "player", "--user", str(PLAYER)).stdout.strip()
    for token, said in ((own, "scope"), ("nonsense", "token")):
        sign_in(page, token)
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_label("Your token")).to_have_value("")
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_count(0)
        assert page.evaluate("sessionStorage.length") == 0
