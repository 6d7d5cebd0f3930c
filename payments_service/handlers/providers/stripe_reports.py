"""Stripe's report of a day's balance changes: run by its reporting API, and fetched from where that puts it."""

from datetime import UTC, date, datetime, time, timedelta

import httpx2
import stripe
from stripe import StripeClient

from shared.errors import ServiceUnavailable

# https://docs.stripe.com/reports/report-types/balance
REPORT_TYPE = "balance_change_from_activity.itemized.3"
COLUMNS = (
    *("balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category", "source_id"),
    *("payment_intent_id", "payment_metadata[payment_id]", "refund_metadata[payment_id]"),
    "transfer_metadata[payment_id]",
)
FILES = "files.stripe.com"


async def report(client: StripeClient, http: httpx2.AsyncClient, key: str, currency: str, day: date) -> bytes | None:
    """A day's report, or None while Stripe has not written it. Raises ServiceUnavailable.

    The run's idempotency key is its day and currency: asked again, Stripe tells of the same run.
    """
    start = datetime.combine(day, time(), UTC)
    runs = client.v1.reporting.report_runs
    try:
        begun = await runs.create_async(
            {
                "report_type": REPORT_TYPE,
                "parameters": {
                    "interval_start": int(start.timestamp()),
                    "interval_end": int((start + timedelta(days=1)).timestamp()),
                    "currency": currency.lower(),
                    "timezone": "Etc/UTC",
                    "columns": list(COLUMNS),
                },
            },
            options={"idempotency_key": f"report-{currency}-{day.isoformat()}"},
        )
        run = await runs.retrieve_async(begun.id)
    except stripe.InvalidRequestError:
        # The day's data is not there yet.
        return None
    except stripe.StripeError as error:
        raise ServiceUnavailable(f"Stripe answers {error.http_status or 'nothing'}") from None
    url = run.result.url if run.status == "succeeded" and run.result is not None else None
    return None if url is None else await _fetched(http, key, url)


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
