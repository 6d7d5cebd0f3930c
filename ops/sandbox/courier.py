"""Sends the sandbox's webhooks when their time has come, and again until they are taken."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2

from ops.sandbox.books import Books, Due
from ops.sandbox.signing import Signer
from shared import logs

log = logs.get(__name__)

LOOK_EVERY_S = 0.05
_MOST_DUE = 50
_AT_ONCE = 8
_MOST_ATTEMPTS = 100
_LONGEST_WAIT_S = 60.0


class Courier:
    """One loop. What it was told to forge is sent once, for it is to be refused."""

    def __init__(
        self,
        books: Books,
        client: httpx2.AsyncClient,
        signer: Signer,
        *,
        url: str,
        retry_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._books = books
        self._client = client
        self._signer = signer
        self._url = url.rstrip("/")
        self._retry_s = retry_s
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not await self.send_due():
                await asyncio.sleep(LOOK_EVERY_S)

    async def send_due(self) -> int:
        """Send what is due, a few at a time as providers do; returns how many were tried."""
        due = self._books.due(self._clock(), _MOST_DUE)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(webhook: Due) -> None:
            async with places:
                await self._try(webhook)

        await asyncio.gather(*(one(webhook) for webhook in due))
        return len(due)

    async def _try(self, webhook: Due) -> None:
        taken = await self._send(webhook)
        if taken or webhook.forged or webhook.attempts >= _MOST_ATTEMPTS:
            self._books.sent(webhook.id)
        else:
            wait_s = min(self._retry_s * 2 ** min(webhook.attempts, 10), _LONGEST_WAIT_S)
            self._books.postpone(webhook.id, self._clock() + wait_s)

    async def _send(self, webhook: Due) -> bool:
        now = datetime.fromtimestamp(self._clock(), UTC)
        # A forger signs something else than what is sent.
        signed = os.urandom(16) if webhook.forged else webhook.body
        sign = self._signer.as_paypal if webhook.paypal else self._signer.as_stripe
        headers = {"Content-Type": "application/json", **sign(signed, now)}
        try:
            response = await self._client.post(self._url, content=webhook.body, headers=headers)
        except httpx2.TransportError as error:
            log.warning("webhook_not_taken", error=type(error).__name__, attempts=webhook.attempts)
            return False
        if not response.is_success and not webhook.forged:
            log.warning("webhook_not_taken", status=response.status_code, attempts=webhook.attempts)
        return response.is_success
