"""`langsense reconcile`: asks the gateway for a period's reconciliation, waits for its end, and shows what it found."""

import time
from datetime import UTC, date, datetime
from datetime import time as clock_time

import httpx2
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ops import access
from ops.places import Places
from shared.contracts.integrity import Discrepancy, Reconciliation
from shared.errors import FieldError, InvalidInput, ServiceUnavailable
from shared.tokens import Role

PATH = "/api/v1/reconciliations"
ANSWER_WITHIN_S = 15.0
END_WITHIN_S = 900.0
LOOK_EVERY_S = 1.0


def reconcile(found: Places, first: date, last: date) -> Reconciliation:
    """The reconciliation of the UTC days from `first` on and before `last`, at its end.

    Raises InvalidInput for days that are no period, ServiceUnavailable where there is no answer within the bound.
    """
    headers = {"Authorization": f"Bearer {access.token(found, Role.FINANCE, None)}"}
    period = {"from": _midnight(first), "to": _midnight(last)}
    with httpx2.Client(base_url=found.gateway_url, headers=headers, timeout=ANSWER_WITHIN_S, trust_env=False) as client:
        made = _ask(client, client.build_request("POST", PATH, json=period))
        gives_up_at = time.monotonic() + END_WITHIN_S
        while not made.has_ended:
            if time.monotonic() > gives_up_at:
                raise ServiceUnavailable(f"it goes on; look at {found.gateway_url}{PATH}/{made.id} later")
            # The door has no way to tell when it has ended.
            time.sleep(LOOK_EVERY_S)
            made = _ask(client, client.build_request("GET", f"{PATH}/{made.id}"))
    if made.rows is None:
        raise ServiceUnavailable(f"reconciliation {made.id} was given up; the wallet's log says why")
    return made


def show(console: Console, made: Reconciliation) -> None:
    """Print what does not agree, and how much was looked at."""
    if made.discrepancies:
        table = Table("kind", "lane", "player", "currency", "account", "position", "expected", "found")
        for column in table.columns[-2:]:
            column.justify = "right"
        for each in made.discrepancies:
            table.add_row(*_cells(each))
        console.print(table)
    shown = f", of which the first {len(made.discrepancies)} are shown" if made.truncated else ""
    console.print(f"{made.rows} rows, {made.discrepancy_count} discrepancies{shown}", highlight=False)


def _cells(each: Discrepancy) -> list[str]:
    values = (each.kind, each.lane, each.user_id, each.currency, each.account, each.position, each.expected, each.found)
    return ["" if value is None else str(value) for value in values]


def _midnight(day: date) -> str:
    return datetime.combine(day, clock_time(), UTC).isoformat()


def _ask(client: httpx2.Client, request: httpx2.Request) -> Reconciliation:
    try:
        response = client.send(request)
        if response.status_code == httpx2.codes.UNPROCESSABLE_CONTENT:
            raise InvalidInput([FieldError(error["field"], error["message"]) for error in response.json()["errors"]])
        response.raise_for_status()
        return Reconciliation.model_validate_json(response.content)
    except (httpx2.HTTPError, ValidationError) as error:
        raise ServiceUnavailable(f"the gateway at {client.base_url} does not answer as it should: {error}") from error
