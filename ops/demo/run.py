"""Runs the demo on a platform, and proves it."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from rich.console import Console
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from ops import access, development_secrets, proof, verify
from ops.demo import cashier as cashiers
from ops.demo import channels
from ops.demo.casino import Result, play
from ops.demo.players import Player
from ops.demo.report import Display
from ops.places import Places
from ops.proof import MAX_FINDINGS, Check
from shared.errors import ServiceUnavailable
from shared.journal import internal_client

METRICS_CATCH_UP_S = 60.0
# Each run has players of its own, so that its refusals and balances are those of a fresh casino.
_FIRST_USERS = range(10**9, 10**12)


async def run(
    places: Places, *, duration_s: float, players: int, rate: float, seed: int | None, console: Console
) -> tuple[Result, list[Check]]:
    """Play, wait until the figures have caught up, then check. Raises TransientError where nothing answers."""
    seed = seed if seed is not None else random.randrange(2**32)  # noqa: S311 - a simulation
    first_user = random.Random(seed).choice(_FIRST_USERS)  # noqa: S311
    token = access.token(places, "admin", None)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(channels.rest(places, token))
        kafka = await stack.enter_async_context(channels.kafka(places))
        # A platform whose providers are real ones has no money to play with.
        cashier = await stack.enter_async_context(cashiers.cashier(places, token)) if places.sandbox_url else None
        playing = play(
            (rest, kafka),
            staff=kafka,
            players=players,
            rate=rate,
            duration_s=duration_s,
            first_user=first_user,
            seed=seed,
            watch=Display(console, duration_s).watch,
        )
        if cashier is None:
            result, paid = await playing, None
        else:
            all_players = [Player(first_user + count, seed) for count in range(players)]
            paying = cashier.serve(all_players, rate=rate, duration_s=duration_s, seed=seed)
            result, paid = await asyncio.gather(playing, paying)
            result.paid = paid.outcomes
        with console.status("proving"):
            agreement = [await cashier.agreement(paid)] if cashier is not None and paid is not None else []
            return result, [*await prove(places, result), *agreement]


async def prove(places: Places, result: Result) -> list[Check]:
    """All that must hold after a run."""
    figures = await _caught_up(places)
    keyring = verify.keyring(places)
    outside = verify.outside_of(places.checkpoint_sink)
    async with proof.snapshot(places.database_urls["wallet"]) as connection:
        return [
            await proof.conserved(connection),
            await proof.folded(connection),
            await proof.derived(connection),
            await proof.chained(connection, keyring.chain, keyring.signing.public(), outside),
            await _figures_equal(connection, figures),
            await _decided_once(connection, result),
            _answered(result),
            _retries_agree(result),
        ]


async def _caught_up(places: Places) -> Mapping[str, Any]:
    """The metrics service's totals, once they cover the journal as it was when this began."""
    async with proof.snapshot(places.database_urls["wallet"]) as connection:
        wanted = await proof.heads(connection)
    token = development_secrets.read(places.secrets_dir, "internal_api_token")
    deadline = time.monotonic() + METRICS_CATCH_UP_S
    async with internal_client(places.service_urls["metrics"], token) as client:
        while True:
            response = await client.get("/totals")
            response.raise_for_status()
            totals: dict[str, Any] = response.json()
            if all(totals["positions"].get(str(lane), 0) >= position for lane, position in wanted.items()):
                return totals
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"metrics_service is still behind after {METRICS_CATCH_UP_S:.0f} s")
            await asyncio.sleep(0.1)


async def _figures_equal(connection: AsyncConnection, figures: Mapping[str, Any]) -> Check:
    """The metrics service's totals equal the journal's, recomputed at the positions that they name."""
    check = Check("metrics equal the ledger")
    ledger = await proof.totals(connection, {int(lane): position for lane, position in figures["positions"].items()})
    reported: dict[tuple[str, str, str], int] = {}
    for currency, of_currency in figures["currencies"].items():
        for kind, of_kind in of_currency["kinds"].items():
            reported[currency, kind, "posted"] = of_kind["posted"]
            reported[currency, kind, "refused"] = of_kind["refused"]
            reported[currency, kind, "amount_minor"] = of_kind["amount_minor"]
    check.looked_at = f"{len(ledger)} figures"
    for name in sorted(ledger.keys() | reported.keys()):
        if ledger.get(name, 0) != reported.get(name, 0):
            label = " ".join(name)
            check.findings.append(f"{label}: metrics say {reported.get(name, 0)}, the ledger {ledger.get(name, 0)}")
    return check


async def _decided_once(connection: AsyncConnection, result: Result) -> Check:
    """Each command that was answered has exactly one row."""
    check = Check("one decision per command", f"{len(result.commands)} commands")
    ids = [UUID(command_id) for command_id in result.commands]
    rows = text("SELECT id, count(*) AS rows FROM transactions WHERE id = ANY(:ids) GROUP BY id").bindparams(
        bindparam("ids", type_=ARRAY(PG_UUID))
    )
    found = {row.id: row.rows for row in await connection.execute(rows, {"ids": ids})}
    for command_id in ids:
        if found.get(command_id, 0) != 1:
            check.findings.append(f"{command_id}: {found.get(command_id, 0)} rows")
    check.findings = check.findings[:MAX_FINDINGS]
    return check


def _answered(result: Result) -> Check:
    return Check("every request answered", f"{result.sent} requests", result.unanswered[:MAX_FINDINGS])


def _retries_agree(result: Result) -> Check:
    looked_at = f"{result.retried} retried requests"
    return Check("each retried request answered once", looked_at, result.disagreements[:MAX_FINDINGS])
