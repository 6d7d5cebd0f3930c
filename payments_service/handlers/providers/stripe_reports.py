"""Stripe's report of a day's balance changes: run by its reporting API, and fetched from where that puts it."""

from datetime import UTC, date, datetime, time, timedelta

import httpx2
import stripe
from stripe import StripeClient
from stripe.params.reporting import ReportRunCreateParamsParameters
from stripe.reporting import ReportRun

from shared.errors import ServiceUnavailable

# https://docs.stripe.com/reports/report-types/balance
REPORT_TYPE = "balance_change_from_activity.itemized.3"
COLUMNS = (
    *("balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category", "source_id"),
    *("payment_intent_id", "payment_metadata[payment_id]", "refund_metadata[payment_id]"),
    "transfer_metadata[payment_id]",
)
FILES = "files.stripe.com"
# Of the runs since a day's end, the newest: Stripe lists no more at once.
MAX_RUNS = 100


async def report(
    client: StripeClient, http: httpx2.AsyncClient, key: str, currency: str, day: date, now: datetime
) -> bytes | None:
    """A day's report, or None while Stripe has not written it. Raises ServiceUnavailable."""
    try:
        run = await _run(client, currency, day, now)
    except stripe.InvalidRequestError:
        # The day's data is not there yet.
        return None
    except stripe.StripeError as error:
        raise ServiceUnavailable(f"Stripe answers {error.http_status or 'nothing'}") from None
    url = run.result.url if run.status == "succeeded" and run.result is not None else None
    return None if url is None else await _fetched(http, key, url)


async def _run(client: StripeClient, currency: str, day: date, now: datetime) -> ReportRun:
    """The day's run as it stands: the last that did not fail, begun where there is none.

    To an idempotency key Stripe says for a day what it said first, an error too. So a key is one hour's: it keeps two
    who begin a run at once to one, and what failed is begun again.
    """
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    parameters: ReportRunCreateParamsParameters = {
        "interval_start": int(start.timestamp()),
        "interval_end": int(end.timestamp()),
        "currency": currency.lower(),
        "timezone": "Etc/UTC",
        "columns": list(COLUMNS),
    }
    runs = client.v1.reporting.report_runs
    begun = await runs.list_async({"created": {"gte": int(end.timestamp())}, "limit": MAX_RUNS})
    for run in begun.data:
        if run.status != "failed" and _is_of(run, parameters):
            return run
    new = await runs.create_async(
        {"report_type": REPORT_TYPE, "parameters": parameters},
        options={"idempotency_key": f"report-{currency}-{day.isoformat()}-{now:%Y-%m-%dT%H}"},
    )
    return await runs.retrieve_async(new.id)


def _is_of(run: ReportRun, asked: ReportRunCreateParamsParameters) -> bool:
    # Runs of other reports have other parameters.
    found = {"columns": [], **run.parameters.to_dict()}
    same = all(found.get(name) == value for name, value in asked.items() if name != "columns")
    return run.report_type == REPORT_TYPE and same and set(found["columns"]) == set(COLUMNS)


async def _fetched(http: httpx2.AsyncClient, key: str, url: str) -> bytes:
    where = httpx2.URL(url)
    if (where.scheme, where.host) != ("https", FILES):
        raise ServiceUnavailable("Stripe names a file that is not with Stripe: our key does not go there")
    try:
        response = await http.get(where, headers={"Authorization": f"Bearer {key}"})
    except httpx2.TransportError:
        raise ServiceUnavailable("Stripe does not answer") from None
    if not response.is_success:
        raise ServiceUnavailable(f"Stripe answers {response.status_code}")
    return response.content
