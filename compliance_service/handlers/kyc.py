"""What happens to KYC by itself: providers and the wallet are asked, documents expire, data keys are wrapped anew.

Every instance looks; whoever takes a row has it for a while, so that nothing is done twice at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain import kyc as domain
from compliance_service.domain.encryption import KycKeys
from compliance_service.domain.kyc import EXPIRED, By, Case, Move, State, Verdict
from compliance_service.domain.ports import Provider
from compliance_service.repository import kyc, kyc_moves
from compliance_service.repository.kyc_moves import Actor
from shared import database, logs
from shared.asking import Asker
from shared.clock import Clock
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind, Status
from shared.contracts.kyc import KycResult
from shared.errors import IntegrityViolation, TransientError
from shared.jurisdictions import Pack
from shared.money import NO_CURRENCY

log = logs.get(__name__)

LOOK_EVERY_S = 1.0
# What is more comes with the next look.
MAX_ASKED = 50
MAX_EXPIRED = 200
MAX_REWRAPPED = 500
# Whoever is asked has this long until it is asked again; what the wallet refuses is asked anew much later.
AGAIN_AFTER = timedelta(seconds=30)
WALLET_WITHIN_S = 2.0
SERVICE = Actor("compliance_service")


class KycWorker:
    """Does what a case is waiting for: at once when it was just saved, and by loops whatever was left."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: KycKeys,
        pack: Pack,
        zone: ZoneInfo,
        *,
        provider: Provider,
        wallet: Asker,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._pack = pack
        self._zone = zone
        self._provider = provider
        self._wallet = wallet
        self._clock = clock

    def loops(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs for as long as the service does, by name."""
        looks = (self.providers, self.tiers, self.expiry, self.rewrap)
        return {f"kyc_{look.__name__}": partial(self.run, look) for look in looks}

    async def run(self, look: Callable[[], Awaitable[int]]) -> None:
        """Until cancelled: one of the looks below, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await look()
            except (TransientError, IntegrityViolation) as error:
                log.warning("kyc_look_failed", look=getattr(look, "__name__", ""), code=error.code)

    async def attend(self, user_id: int) -> None:
        """As `Attendant.attend`."""
        for ask in (self._ask_provider, self._ask_wallet):
            await self._try(ask, user_id)

    async def providers(self) -> int:
        """Ask the provider about submissions that it has not taken."""
        return await self._due("ask_provider_after", self._ask_provider)

    async def tiers(self) -> int:
        """Ask the wallet again for tiers that it has not acknowledged."""
        return await self._due("ask_wallet_after", self._ask_wallet)

    async def expiry(self) -> int:
        """Expire documents whose last day is over; returns how many were looked at."""
        now = self._clock()
        today = now.astimezone(self._zone).date()
        async with database.transaction(self._engine) as connection:
            cases = await kyc.perhaps_expired(connection, today, MAX_EXPIRED)
            for case in cases:
                await self._expire(connection, case)
        return len(cases)

    async def rewrap(self) -> int:
        """Wrap some data keys that are under an older key under the newest; returns how many."""
        async with database.transaction(self._engine) as connection:
            return await kyc.rewrap(connection, self._keys, MAX_REWRAPPED)

    async def _due(self, column: str, ask: Callable[[int], Awaitable[None]]) -> int:
        async with database.transaction(self._engine) as connection:
            taken = await kyc.take_due(connection, column, self._clock(), AGAIN_AFTER, MAX_ASKED)
        for user_id in taken:
            await self._try(ask, user_id)
        return len(taken)

    async def _try(self, ask: Callable[[int], Awaitable[None]], user_id: int) -> None:
        # It stays due; nobody else's waits for it.
        try:
            await ask(user_id)
        except (TransientError, IntegrityViolation) as error:
            log.warning("kyc_waits", user_id=user_id, code=error.code)

    async def _expire(self, connection: AsyncConnection, case: Case) -> None:
        now = self._clock()
        try:
            found = await kyc.fields(connection, self._keys, case.user_id)
        except IntegrityViolation:
            # The others must not wait for it.
            log.error("kyc_does_not_decrypt", user_id=case.user_id)
            return
        expires_on = None if found is None else found["document_expires_on"]
        if expires_on is not None and domain.has_expired(domain.day(expires_on), now.astimezone(self._zone).date()):
            verdict = Verdict(Move.EXPIRE, EXPIRED)
            await kyc_moves.move(connection, self._pack, case, verdict, None, SERVICE, now)

    async def _ask_provider(self, user_id: int) -> None:
        async with database.reading(self._engine) as connection:
            case = await kyc.find(connection, user_id)
            waits = case is not None and case.state is State.SUBMITTED and case.settled_by is None
            fields = await kyc.fields(connection, self._keys, user_id) if case is not None and waits else None
        if case is None or fields is None or case.submission_id is None:
            return
        result = await self._provider.check(case.submission_id, fields)
        async with database.transaction(self._engine) as connection:
            if result is None:
                await kyc.provider_took(connection, case.submission_id)
            else:
                await self.settle(connection, case, result)

    async def settle(self, connection: AsyncConnection, case: Case, result: KycResult) -> None:
        """Move a case by its provider's result, where it is still of the same submission."""
        assert case.submission_id is not None
        locked = await kyc.lock_submission(connection, case.submission_id)
        if locked is not None:
            verdict = domain.of_provider(result)
            await kyc_moves.move(connection, self._pack, locked, verdict, By.PROVIDER, SERVICE, self._clock())

    async def _ask_wallet(self, user_id: int) -> None:
        async with database.reading(self._engine) as connection:
            case = await kyc.find(connection, user_id)
        if case is None or case.tier.command_id is None:
            return
        decision = await self._wallet.ask(_command(case), WALLET_WITHIN_S)
        if decision is None:
            return
        granted = decision.status is Status.POSTED
        if not granted:
            log.error("tier_refused", user_id=user_id, tier=case.tier.asked, reason=str(decision.reason))
        async with database.transaction(self._engine) as connection:
            await self._acknowledge(connection, case, granted=granted)

    async def _acknowledge(self, connection: AsyncConnection, asked: Case, *, granted: bool) -> None:
        case = await kyc.lock(connection, asked.user_id, self._pack.initial_tier)
        if case.tier.command_id != asked.tier.command_id:
            return
        now = self._clock()
        after = domain.acknowledged(case, granted=granted)
        if granted:
            # The state may have moved on meanwhile: then its tier is the next to be asked for.
            after = domain.with_tier(after, self._pack, uuid4(), now)
        # The ledger has this on record, as every row with an actor.
        await kyc.save(connection, after)


def _command(case: Case) -> Command:
    assert case.tier.command_id is not None
    assert case.tier.asked_at is not None
    return Command(
        command_id=case.tier.command_id,
        kind=Kind.KYC_TIER,
        user_id=case.user_id,
        amount_minor=0,
        currency=NO_CURRENCY,
        reference_id=case.tier.asked,
        reason="the state of KYC gives this tier",
        actor=SERVICE.name,
        occurred_at=case.tier.asked_at,
    )
