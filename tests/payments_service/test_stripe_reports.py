"""Stripe's settlement reports: run, waited for, begun again where they failed, and fetched."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from shared.errors import ServiceUnavailable
from tests.payments_service.samples import NOW
from tests.payments_service.test_stripe import provider

FILE = "https://files.stripe.com/v1/files/file_1/contents"
RUNS = "/v1/reporting/report_runs"


class StripeReports:
    """Stripe's report runs: those that were begun, and what each idempotency key was answered first."""

    def __init__(self, url: str = FILE, status: int = 200, error: str = "api_error") -> None:
        self.url, self.status, self.error = url, status, error
        self.runs: list[dict[str, Any]] = []
        self.saved: dict[str, httpx2.Response] = {}
        self.seen: list[httpx2.Request] = []
        self.lists = True

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        if request.url.host == "files.stripe.com":
            return httpx2.Response(200, content=b"a,b")
        if request.method == "POST":
            key = request.headers["idempotency-key"]
            self.saved[key] = self.saved.get(key) or self._begin(parse_qs(request.content.decode()))
            return self.saved[key]
        if request.url.path == RUNS:
            since = int(request.url.params["created[gte]"])
            data = [run for run in reversed(self.runs) if self.lists and run["created"] >= since]
            return httpx2.Response(200, json={"object": "list", "data": data, "has_more": False, "url": RUNS})
        run_id = request.url.path.rpartition("/")[2]
        return httpx2.Response(200, json=next(run for run in self.runs if run["id"] == run_id))

    def _begin(self, form: dict[str, list[str]]) -> httpx2.Response:
        if self.status != 200:
            return httpx2.Response(self.status, json={"error": {"type": self.error, "message": "no"}})
        parameters = {name: form[f"parameters[{name}]"][0] for name in ("currency", "timezone")}
        times = {name: int(form[f"parameters[{name}]"][0]) for name in ("interval_start", "interval_end")}
        columns = [value for name, values in form.items() if name.startswith("parameters[columns]") for value in values]
        run: dict[str, Any] = {
            "id": f"frr_{len(self.runs)}",
            "object": "reporting.report_run",
            "status": "pending",
            "result": None,
        }
        run |= {"report_type": form["report_type"][0], "created": times["interval_end"] + 6 * 3600}
        self.runs.append({**run, "parameters": {**parameters, **times, "columns": columns}})
        return httpx2.Response(200, json=self.runs[-1])

    def end(self, status: str = "succeeded") -> None:
        """The last run comes to its end."""
        file = {"id": "file_1", "object": "file", "url": self.url}
        self.runs[-1] |= {"status": status, "result": file if status == "succeeded" else None}


class TestReports:
    def asking(self, there: StripeReports) -> Callable[[float], Awaitable[bytes | None]]:
        """Ask for the day's report, so many hours after the first time."""
        clock = [NOW]
        stripe = provider(there, now=lambda: clock[0])

        async def ask(after_h: float) -> bytes | None:
            clock[0] = NOW + timedelta(hours=after_h)
            return await stripe.settlement_report("USD", NOW.date())

        return ask

    async def test_a_days_report_is_run_and_fetched_when_it_is_written(self) -> None:
        there = StripeReports()
        ask = self.asking(there)
        assert await ask(0) is None
        start = int(NOW.replace(hour=0).timestamp())
        asked = there.runs[0]["parameters"]
        assert (asked["interval_start"], asked["interval_end"], asked["currency"]) == (start, start + 86400, "usd")
        there.end()
        assert await ask(1) == b"a,b"
        assert len(there.runs) == 1

    async def test_two_who_see_no_run_begin_one(self) -> None:
        there = StripeReports()
        there.lists = False
        ask = self.asking(there)
        await ask(0)
        await ask(0.5)
        assert [request.method for request in there.seen].count("POST") == 2
        assert len(there.runs) == 1

    async def test_one_whose_data_is_not_there_yet_is_waited_for(self) -> None:
        assert await self.asking(StripeReports(status=400, error="invalid_request_error"))(0) is None

    async def test_an_error_that_stripe_says_again_all_day_is_not_waited_out(self) -> None:
        there = StripeReports(status=500)
        ask = self.asking(there)
        with pytest.raises(ServiceUnavailable):
            await ask(0)
        there.status = 200
        with pytest.raises(ServiceUnavailable):
            await ask(0.5)
        assert await ask(1) is None
        there.end()
        assert await ask(3) == b"a,b"

    async def test_a_run_that_failed_is_followed_by_another(self) -> None:
        there = StripeReports()
        ask = self.asking(there)
        await ask(0)
        there.end("failed")
        await ask(1)
        there.end()
        assert await ask(3) == b"a,b"
        assert len(there.runs) == 2

    @pytest.mark.parametrize(
        "other",
        [
            {"parameters": {"payout": "po_1"}},
            {"report_type": "payout_reconciliation.itemized.5"},
            {"parameters": {"interval_start": 0, "interval_end": 86400, "currency": "usd", "timezone": "Etc/UTC"}},
        ],
    )
    async def test_another_run_is_not_taken_for_it(self, other: dict[str, Any]) -> None:
        there = StripeReports()
        ask = self.asking(there)
        await ask(0)
        there.runs[0] |= other
        there.end()
        assert await ask(1) is None
        assert len(there.runs) == 2

    async def test_the_key_goes_to_stripe_alone(self) -> None:
        there = StripeReports(url="https://files.stripe.com.example/contents")
        ask = self.asking(there)
        await ask(0)
        there.end()
        with pytest.raises(ServiceUnavailable):
            await ask(1)
