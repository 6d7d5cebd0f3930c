"""Players who pay in and out through the sandbox, while they play: what becomes of some is told by webhook alone."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2

from ops import development_secrets, proof
from ops.demo.players import Player
from ops.places import Places
from ops.proof import Check, payments
from shared import money

PROVIDER = "sandbox"
# One request in so many is a payment, within these bounds.
SHARE = 50
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
TIMEOUT_S = 20.0
# What was asked for last is told of within this; a webhook that is lost costs a minute.
AGREED_WITHIN_S = 90.0
LOOK_EVERY_S = 0.5
REVIEW = "review"
ENDED = ("completed", "failed", "cancelled", "refunded", "charged_back")
# How each player's own begin. The sandbox leaves what is paid with the first open until it is told how it ends.
INSTRUMENTS = ("tok_waiting", "tok_visa", "tok_declined")


@dataclass
class Paid:
    """What was asked for, and what was answered: by direction, and how it stood then or why it was refused."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    # What its provider still has to end. What waits for review waits for people, and none of them plays here.
    open: set[str] = field(default_factory=set)


class Cashier:
    """Where players pay: the platform's door, and the sandbox, at which what is left open is ended."""

    def __init__(self, door: httpx2.AsyncClient, sandbox: httpx2.AsyncClient, places: Places) -> None:
        self._door = door
        self._sandbox = sandbox
        self._places = places

    async def serve(self, players: Sequence[Player], *, rate: float, duration_s: float, seed: int) -> Paid:
        """Let players pay in and out, one after another, about one payment for SHARE requests."""
        chance, paid = random.Random(f"{seed}/payments"), Paid()  # noqa: S311 - a simulation
        pause_s = min(max(SHARE / rate, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        end = time.perf_counter() + duration_s
        while (due := time.perf_counter() + pause_s) < end:
            await self._pay(chance.choice(players), chance, paid)
            await self._end_open(paid)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return paid

    async def agreement(self, paid: Paid) -> Check:
        """Whether the three books agree, as soon as they do, or as they stand when that takes too long."""
        deadline = time.monotonic() + AGREED_WITHIN_S
        while True:
            await self._end_open(paid)
            check = await self._compared()
            if (check.holds and not paid.open) or time.monotonic() > deadline:
                check.findings += paid.unanswered
                return check
            await asyncio.sleep(LOOK_EVERY_S)

    async def _pay(self, player: Player, chance: random.Random, paid: Paid) -> None:
        direction = chance.choice(("deposit", "deposit", "withdrawal"))
        key = str(UUID(int=chance.getrandbits(128), version=4))
        body = {
            "user_id": player.user_id,
            "amount": money.to_decimal(chance.randint(1, 50) * 100, player.currency),
            "currency": player.currency,
            "provider": PROVIDER,
            "method": chance.choice(("card", "paypal")),
            "instrument": f"{chance.choices(INSTRUMENTS, weights=(5, 4, 1))[0]}_{player.user_id}",
        }
        try:
            response = await self._door.post(
                f"/api/v1/payments/{direction}s", json=body, headers={"Idempotency-Key": key}
            )
        except httpx2.TransportError as error:
            paid.unanswered.append(f"{direction} {key}: no answer: {type(error).__name__}")
            return
        found: dict[str, Any] = response.json()
        paid.outcomes[direction, found.get("code") or found["status"]] += 1
        if response.status_code in (httpx2.codes.CREATED, httpx2.codes.ACCEPTED):
            paid.open |= {part["id"] for part in found["parts"] if not _left(part)}

    async def _end_open(self, paid: Paid) -> None:
        """Have the sandbox end what it has left open. What has not come to it yet is asked again."""
        for payment_id in sorted(paid.open):
            path = f"/control/payments/{payment_id}"
            answer = await self._sandbox.post(path, json={"outcome": "completed"})
            if answer.status_code != httpx2.codes.NOT_FOUND or await self._is_left(payment_id):
                paid.open.discard(payment_id)

    async def _is_left(self, payment_id: str) -> bool:
        response = await self._door.get(f"/api/v1/payments/{payment_id}")
        return response.is_success and _left(response.json())

    async def _compared(self) -> Check:
        books = payments.of_books((await self._sandbox.get("/books")).raise_for_status().json())
        async with proof.snapshot(self._places.database_urls["payments"], "payments") as connection:
            ours = await payments.of_payments(connection, PROVIDER)
            ahead = await payments.ahead(connection, PROVIDER)
        async with proof.snapshot(self._places.database_urls["wallet"]) as connection:
            ledger = await payments.of_ledger(connection, PROVIDER)
        return payments.agreement(books, ours, ledger, ahead)


def _left(payment: Mapping[str, Any]) -> bool:
    """Whether its provider has nothing more to do with it."""
    return payment["status"] in ENDED or payment["waits_for"] == REVIEW


@contextlib.asynccontextmanager
async def cashier(places: Places, token: str) -> AsyncIterator[Cashier]:
    """A cashier on a platform that has the sandbox."""
    secret = development_secrets.read(places.secrets_dir, "sandbox_api_token")
    async with (
        _client(places.gateway_url, token) as door,
        _client(places.sandbox_url, secret) as sandbox,
    ):
        yield Cashier(door, sandbox, places)


def _client(url: str, token: str) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)
