"""The sandbox and its adapter: what it is asked, what it tells under either signature, what it does wrong on demand."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from cryptography import x509

from ops.development_certificates import Certificates, make
from ops.sandbox import desk
from ops.sandbox.app import create_app
from ops.sandbox.books import Books
from ops.sandbox.courier import Courier
from ops.sandbox.settings import SandboxSettings
from ops.sandbox.signing import CERTIFICATE_PATH, Signer
from payments_service.domain.ports import Direction, Outcome, ProviderEvent, ProviderRequest
from payments_service.domain.settlement_reports import RowKind, read_paypal, read_stripe
from payments_service.handlers.providers.sandbox import SUBJECT, SandboxProvider
from shared.errors import ServiceUnavailable, Unauthenticated
from tests.payments_service.samples import NOW, SECRET
from tests.payments_service.test_stripe import flipped

URL, WEBHOOKS = "http://sandbox:9000", "http://gateway/api/v1/webhooks/sandbox"
CERTIFICATES = make(SUBJECT, NOW)
Sent = tuple[dict[str, str], bytes]


class Setup:
    """A sandbox on a file, its adapter, and what it sends; time stands still until it is told to go on."""

    def __init__(self, file: Path, certificates: Certificates = CERTIFICATES) -> None:
        self.now = NOW
        self.settings = SandboxSettings(
            sandbox_file=file,
            sandbox_url=URL,
            sandbox_webhook_url=WEBHOOKS,
            sandbox_api_token="t" * 32,
            sandbox_webhook_secret=SECRET,
            sandbox_certificate=certificates.certificate,
            sandbox_certificate_key=certificates.key,
        )
        self.app = create_app(self.settings, self.clock)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app),
            base_url=URL,
            headers={"Authorization": f"Bearer {'t' * 32}"},
        )
        roots = x509.load_pem_x509_certificates(CERTIFICATES.authority.encode())
        self.adapter = SandboxProvider(
            self.http, url=URL, token="t" * 32, secrets=[SECRET], roots=roots, clock=lambda: self.now
        )
        self.answers: list[int] = []
        self.sent: list[Sent] = []
        self.books = Books(file)
        signer = Signer(SECRET, certificates.key, self.settings.sandbox_webhook_id, URL)
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._receive))
        self.courier = Courier(self.books, client, signer, url=WEBHOOKS, retry_s=1, clock=self.clock)

    def clock(self) -> float:
        return self.now.timestamp()

    def _receive(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == WEBHOOKS
        self.sent.append((dict(request.headers), request.content))
        return httpx2.Response(self.answers.pop(0) if self.answers else 200)

    async def deliver(self, after_s: float = 5) -> list[Sent]:
        """What is sent in the next seconds."""
        self.sent.clear()
        self.now += timedelta(seconds=after_s)
        await self.courier.send_due()
        return list(self.sent)

    async def told(self, after_s: float = 5) -> list[ProviderEvent]:
        """What the adapter reads of what is sent."""
        found: list[ProviderEvent] = []
        for headers, body in await self.deliver(after_s):
            found += await self.adapter.read_webhook(headers, body, self.now)
        return found

    async def plan(self, **faults: Any) -> None:
        assert (await self.http.put("/control/faults", json=faults)).status_code == 200


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Setup]:
    setup = Setup(tmp_path / "sandbox.db")
    yield setup
    setup.books.close()


def request(**members: Any) -> ProviderRequest:
    return ProviderRequest(uuid4(), 42, 2501, "USD", "card", None)._replace(**members)


@pytest.mark.parametrize("method", ["card", "paypal"])
class TestInEitherForm:
    async def test_a_deposit_is_taken_and_told_of(self, sandbox: Setup, method: str) -> None:
        asked = request(method=method)
        answer = await sandbox.adapter.deposit(asked)
        assert answer.outcome is Outcome.COMPLETED
        events = await sandbox.told()
        assert {event.outcome for event in events} == {Outcome.PROCESSING, Outcome.COMPLETED}
        assert {event.payment_id for event in events} == {asked.payment_id}
        assert {event.reference for event in events} == {answer.reference}
        assert {(event.amount_minor, event.currency) for event in events} == {(2501, "USD")}
        assert 72 in {event.fee_minor for event in events}
        assert len({event.event_id for event in events}) == len(events)

    @pytest.mark.parametrize(("currency", "amount_minor"), [("JPY", 1), ("KWD", 1235), ("USD", 10**12 + 1)])
    async def test_amounts_come_back_as_they_were(
        self, sandbox: Setup, method: str, currency: str, amount_minor: int
    ) -> None:
        await sandbox.adapter.deposit(request(method=method, currency=currency, amount_minor=amount_minor))
        events = await sandbox.told()
        assert {(event.amount_minor, event.currency) for event in events} == {(amount_minor, currency)}

    async def test_a_payout_and_a_declined_one_are_told_of(self, sandbox: Setup, method: str) -> None:
        done, declined = request(method=method), request(method=method, instrument=f"{desk.DECLINED}_42")
        assert (await sandbox.adapter.pay_out(done)).outcome is Outcome.COMPLETED
        assert (await sandbox.adapter.pay_out(declined)).outcome is Outcome.FAILED
        told = {(event.payment_id, event.direction, event.outcome) for event in await sandbox.told()}
        assert told == {
            (done.payment_id, Direction.WITHDRAWAL, Outcome.COMPLETED),
            (declined.payment_id, Direction.WITHDRAWAL, Outcome.FAILED),
        }

    async def test_a_refund_goes_back_to_its_deposit_and_not_further(self, sandbox: Setup, method: str) -> None:
        deposit = await sandbox.adapter.deposit(request(method=method))
        assert deposit.reference is not None
        await sandbox.deliver()
        back = request(method=method, amount_minor=2000)
        assert (await sandbox.adapter.refund(back, deposit.reference)).outcome is Outcome.COMPLETED
        assert (Direction.REFUND, Outcome.COMPLETED) in {
            (event.direction, event.outcome) for event in await sandbox.told() if event.payment_id == back.payment_id
        }
        more = await sandbox.adapter.refund(request(method=method, amount_minor=502), deposit.reference)
        assert more.outcome is Outcome.FAILED

    async def test_a_chargeback_is_told_of_by_the_deposits_reference(self, sandbox: Setup, method: str) -> None:
        asked = request(method=method)
        deposit = await sandbox.adapter.deposit(asked)
        await sandbox.deliver()
        path = f"/control/payments/{asked.payment_id}"
        assert (await sandbox.http.post(path, json={"outcome": "charged_back"})).status_code == 200
        (event,) = await sandbox.told()
        assert (event.outcome, event.reference) == (Outcome.CHARGED_BACK, deposit.reference)
        found = await sandbox.adapter.look_up(Direction.DEPOSIT, asked.payment_id, deposit.reference)
        assert found == (Outcome.CHARGED_BACK, deposit.reference, "fraudulent", None, asked.amount_minor)
        assert (await sandbox.http.post(path, json={"outcome": "reinstated"})).status_code == 200
        assert {event.outcome for event in await sandbox.told()} == {Outcome.REINSTATED}

    async def test_one_flipped_bit_of_what_is_sent_fails(self, sandbox: Setup, method: str) -> None:
        await sandbox.adapter.deposit(request(method=method))
        headers, body = (await sandbox.deliver())[0]
        for bit in range(0, len(body) * 8, 5):
            with pytest.raises(Unauthenticated):
                await sandbox.adapter.read_webhook(headers, flipped(body, bit), sandbox.now)

    async def test_what_is_forged_is_sent_once_and_not_believed(self, sandbox: Setup, method: str) -> None:
        await sandbox.plan(forge=1)
        await sandbox.adapter.deposit(request(method=method))
        sandbox.answers = [200] * 10
        believed, refused = 0, 0
        for headers, body in await sandbox.deliver():
            try:
                believed += len(await sandbox.adapter.read_webhook(headers, body, sandbox.now))
            except Unauthenticated:
                refused += 1
                assert b"ailed" in body or b"DENIED" in body
        assert refused == 1
        assert believed == {"card": 3, "paypal": 2}[method]

    async def test_a_contradiction_is_well_signed_and_the_books_stand(self, sandbox: Setup, method: str) -> None:
        await sandbox.plan(contradict=1)
        asked = request(method=method)
        await sandbox.adapter.deposit(asked)
        assert Outcome.FAILED in {event.outcome for event in await sandbox.told()}
        answer = await sandbox.adapter.look_up(Direction.DEPOSIT, asked.payment_id, None)
        assert answer is not None
        assert answer.outcome is Outcome.COMPLETED


class TestAsking:
    async def test_a_payment_is_carried_out_once(self, sandbox: Setup) -> None:
        asked = request()
        answers = {await sandbox.adapter.deposit(asked) for _ in range(3)}
        assert len(answers) == 1
        assert len((await sandbox.http.get("/books")).json()) == 1
        other = await sandbox.adapter.deposit(asked._replace(amount_minor=9))
        assert other.outcome is Outcome.UNKNOWN

    async def test_one_that_it_never_heard_of_is_none(self, sandbox: Setup) -> None:
        assert await sandbox.adapter.look_up(Direction.DEPOSIT, uuid4(), None) is None

    async def test_what_waits_is_settled_by_hand(self, sandbox: Setup) -> None:
        asked = request(instrument=f"{desk.WAITING}_42")
        assert (await sandbox.adapter.deposit(asked)).outcome is Outcome.PROCESSING
        path = f"/control/payments/{asked.payment_id}"
        assert (await sandbox.http.post(path, json={"outcome": "completed"})).status_code == 200
        assert (await sandbox.http.post(path, json={"outcome": "failed"})).status_code == 422
        assert (await sandbox.told())[-1].outcome is Outcome.COMPLETED

    async def test_what_is_refused_was_not_done_and_what_has_no_answer_was(self, sandbox: Setup) -> None:
        refused, lost = request(), request()
        await sandbox.plan(refuse=1)
        assert (await sandbox.adapter.deposit(refused)).outcome is Outcome.UNKNOWN
        await sandbox.plan(no_answer=1)
        assert (await sandbox.adapter.deposit(lost)).outcome is Outcome.UNKNOWN
        assert await sandbox.adapter.look_up(Direction.DEPOSIT, refused.payment_id, None) is None
        found = await sandbox.adapter.look_up(Direction.DEPOSIT, lost.payment_id, None)
        assert found is not None
        assert found.outcome is Outcome.COMPLETED

    async def test_it_is_asked_with_its_token_alone(self, sandbox: Setup) -> None:
        for path in ("/books", "/control/faults", f"/v1/payments/{uuid4()}", "/reports/stripe/2026-11-24"):
            assert (await sandbox.http.get(path, headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await sandbox.http.get(CERTIFICATE_PATH, headers={"Authorization": ""})).status_code == 200

    async def test_a_connection_that_is_refused_is_certain_and_one_that_is_lost_is_not(self) -> None:
        def adapter(error: type[httpx2.TransportError]) -> SandboxProvider:
            def fail(asked: httpx2.Request) -> httpx2.Response:
                raise error("trouble", request=asked)

            client = httpx2.AsyncClient(transport=httpx2.MockTransport(fail))
            return SandboxProvider(client, url=URL, token="t", secrets=[SECRET], roots=[])

        with pytest.raises(ServiceUnavailable):
            await adapter(httpx2.ConnectError).deposit(request())
        assert (await adapter(httpx2.ReadError).deposit(request())).outcome is Outcome.UNKNOWN
        with pytest.raises(ServiceUnavailable):
            await adapter(httpx2.ReadError).look_up(Direction.DEPOSIT, uuid4(), None)


class TestReports:
    async def test_a_days_report_is_there_when_the_day_is_over(self, sandbox: Setup) -> None:
        for currency in ("USD", "JPY"):
            await sandbox.adapter.deposit(request(currency=currency, method="paypal"))
        back = request(amount_minor=1)
        deposit = await sandbox.adapter.deposit(request())
        assert deposit.reference is not None
        await sandbox.adapter.refund(back, deposit.reference)
        assert await sandbox.adapter.settlement_report("USD", NOW.date()) is None
        sandbox.now += timedelta(days=1)
        report = await sandbox.adapter.settlement_report("USD", NOW.date())
        assert report is not None
        rows = read_stripe(report)
        assert [(row.kind, row.amount_minor, row.currency) for row in rows] == [
            (RowKind.DEPOSIT, 2501, "USD"),
            (RowKind.DEPOSIT, 2501, "USD"),
            (RowKind.REFUND, -1, "USD"),
        ]
        assert rows[2].payment_id == back.payment_id
        whole = (await sandbox.http.get(f"/reports/paypal/{NOW.date()}")).content
        assert len(read_paypal(whole)) == 4

    async def test_a_dispute_is_a_row_of_its_own_on_its_own_day(self, sandbox: Setup) -> None:
        asked, start = request(), sandbox.now
        deposit = await sandbox.adapter.deposit(asked)
        for outcome in ("charged_back", "reinstated"):
            sandbox.now += timedelta(days=1)
            await sandbox.http.post(f"/control/payments/{asked.payment_id}", json={"outcome": outcome})
        days = ((RowKind.DEPOSIT, 2501), (RowKind.CHARGEBACK, -2501), (RowKind.CHARGEBACK_REVERSAL, 2501))
        for form, read in (("stripe", read_stripe), ("paypal", read_paypal)):
            for after, expected in enumerate(days):
                day = (start + timedelta(days=after)).date()
                (row,) = read((await sandbox.http.get(f"/reports/{form}/{day}")).content)
                assert (row.kind, row.amount_minor, row.reference) == (*expected, deposit.reference)
                assert row.occurred_at.date() == day

    async def test_what_comes_back_is_told_of_and_is_a_row_of_its_own_day(self, sandbox: Setup) -> None:
        asked, start = request(), sandbox.now
        deposit = await sandbox.adapter.deposit(asked)
        assert deposit.reference is not None
        refund, paid = request(amount_minor=1000), request(amount_minor=700)
        await sandbox.adapter.refund(refund, deposit.reference)
        await sandbox.adapter.pay_out(paid)
        await sandbox.told()
        sandbox.now += timedelta(days=1)
        for each in (refund, paid):
            path = f"/control/payments/{each.payment_id}"
            assert (await sandbox.http.post(path, json={"outcome": "failed"})).status_code == 200
            assert (await sandbox.http.post(path, json={"outcome": "completed"})).status_code == 422
        assert {event.outcome for event in await sandbox.told()} == {Outcome.FAILED}
        went = {("refund", -1000), ("withdrawal", -700), ("deposit", 2501)}
        days = (went, {("refund", 1000), ("withdrawal_return", 700)})
        for form, read in (("stripe", read_stripe), ("paypal", read_paypal)):
            for after, expected in enumerate(days):
                day = (start + timedelta(days=after)).date()
                rows = read((await sandbox.http.get(f"/reports/{form}/{day}")).content)
                assert {(row.kind.value, row.amount_minor) for row in rows} == expected
        # What came back can go back again.
        again = await sandbox.adapter.refund(request(amount_minor=2501), deposit.reference)
        assert again.outcome is Outcome.COMPLETED

    async def test_a_deposit_of_which_some_has_gone_back_is_not_charged_back(self, sandbox: Setup) -> None:
        asked = request()
        deposit = await sandbox.adapter.deposit(asked)
        assert deposit.reference is not None
        await sandbox.adapter.refund(request(amount_minor=1), deposit.reference)
        path = f"/control/payments/{asked.payment_id}"
        assert (await sandbox.http.post(path, json={"outcome": "charged_back"})).status_code == 422


class TestWebhooks:
    async def test_one_that_was_lost_is_sent_again_on_demand(self, sandbox: Setup) -> None:
        asked = request()
        await sandbox.plan(drop=1)
        await sandbox.adapter.deposit(asked)
        assert await sandbox.told() == []
        assert (await sandbox.http.post(f"/control/payments/{asked.payment_id}/webhooks")).status_code == 200
        assert {event.outcome for event in await sandbox.told()} == {Outcome.COMPLETED}

    async def test_one_that_is_not_taken_is_sent_again_signed_anew(self, sandbox: Setup) -> None:
        await sandbox.adapter.pay_out(request())
        sandbox.answers = [503]
        (first,) = await sandbox.deliver()
        assert await sandbox.deliver(0.5) == []
        (second,) = await sandbox.deliver(600)
        assert first[1] == second[1]
        assert await sandbox.adapter.read_webhook(*second, sandbox.now)
        assert await sandbox.deliver(600) == []

    async def test_books_webhooks_and_faults_survive_a_restart(self, sandbox: Setup, tmp_path: Path) -> None:
        asked = request()
        await sandbox.plan(decline=1, seed=7)
        answer = await sandbox.adapter.deposit(asked)
        again = Setup(tmp_path / "sandbox.db")
        assert await again.adapter.deposit(asked) == answer
        assert (await again.http.get("/control/faults")).json()["seed"] == 7
        assert len(await again.told()) == 2
        again.books.close()

    async def test_they_are_repeated_dropped_and_reordered_on_demand(self, sandbox: Setup) -> None:
        await sandbox.plan(repeat=1)
        await sandbox.adapter.deposit(request())
        bodies = [body for _, body in await sandbox.deliver()]
        assert len(bodies) == 2 * len(set(bodies)) == 6
        await sandbox.plan(drop=1)
        await sandbox.adapter.deposit(request())
        assert await sandbox.deliver() == []
        await sandbox.plan(reorder=1)
        await sandbox.adapter.deposit(request())
        assert [event.outcome for event in await sandbox.told()][-1] is Outcome.PROCESSING

    async def test_they_are_delayed_by_chance_and_the_chance_can_be_had_again(self, sandbox: Setup) -> None:
        await sandbox.plan(delay_s=600, seed=3)
        await sandbox.adapter.deposit(request(payment_id=UUID(int=1)))
        assert await sandbox.deliver(0.2) == []
        assert len(await sandbox.deliver(601)) == 3
        drawn = {desk.Desk.chance(sandbox.books.faults(), "one").random() for _ in range(5)}
        assert len(drawn) == 1

    async def test_a_certificate_under_another_authority_is_not_believed(self, tmp_path: Path) -> None:
        stranger = Setup(tmp_path / "stranger.db", make(SUBJECT, NOW))
        await stranger.adapter.deposit(request(method="paypal"))
        for headers, body in await stranger.deliver():
            with pytest.raises(Unauthenticated):
                await stranger.adapter.read_webhook(headers, body, stranger.now)
        stranger.books.close()
