"""Every jurisdiction's pack against the system that is to keep to it: a real wallet and the compliance service."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from compliance_service.app import create_app
from compliance_service.handlers import exclusions as exclusion_handlers
from compliance_service.settings import Settings
from shared import clock, jurisdictions, money
from shared.broker import BrokerOptions
from shared.contracts.exclusions import ExclusionType
from shared.contracts.kinds import Kind, Reason, Status
from shared.errors import ConfigurationError
from shared.jurisdictions import Pack
from tests.reliability.support import Service, environment
from tests.support import Database, eventually, started
from tests.wallet_service.client import Client
from tests.wallet_service.support import command

DOCUMENT: dict[str, Any] = {
    "name": "Zebulon Quillfeather",
    "address": {"street": "17 Xyloph Lane", "city": "Brackenmoor", "postal_code": "QX7 9ZZ"},
    "document_type": "PASSPORT",
    "document_expires_on": "2099-07-21",
}
ENOUGH_MINOR = 100_000_000


class System:
    """A wallet and a compliance service under one pack, as a client of both sees them."""

    def __init__(self, pack: Pack, compliance: httpx2.AsyncClient, wallet: Service, client: Client) -> None:
        self.pack = pack
        self._compliance = compliance
        self._wallet = wallet
        self._client = client
        self._players = 0

    def player(self) -> int:
        """One that nobody knows yet."""
        self._players += 1
        return self._players

    async def post(self, user_id: int, path: str, **body: Any) -> dict[str, Any]:
        """What the compliance service answers to what a player asks for itself."""
        by = {"actor": f"player:{user_id}", "by_staff": False, "request_id": "r-1"}
        response = await self._compliance.post(f"/users/{user_id}/{path}", json={**body, **by})
        found: dict[str, Any] = response.json()
        return found

    async def exclude(self, user_id: int, kind: str, hours: int | None) -> dict[str, Any]:
        wanted = {"type": kind, "duration_hours": hours, "reason": "enough"}
        return await self.post(user_id, "exclusions", id=str(uuid4()), exclusion=wanted)

    async def decided(self, kind: Kind, amount_minor: int, user_id: int, **fields: Any) -> Reason | str | None:
        """Why the wallet refuses a command; None where it is posted."""
        fields |= {"command_id": uuid4(), "occurred_at": clock.utc_now()}
        (reply,) = await self._client.ask(command(kind, amount_minor, user_id, **fields))
        assert reply.transaction is not None, reply
        assert (reply.transaction.status is Status.POSTED) == (reply.transaction.reason is None)
        return reply.transaction.reason

    async def verified(self, *, born: datetime | None = None) -> int:
        """A player that has shown who it is, of the pack's tier for that."""
        user_id = self.player()
        await self.show(user_id, born or datetime(1987, 3, 19, tzinfo=UTC))

        async def known() -> bool:
            tier = (await self._compliance.get(f"/users/{user_id}/kyc")).json()["tier"]
            return bool(tier == {"name": "VERIFIED", "acknowledged": True})

        # The wallet is asked again half a minute after an answer that took too long.
        await eventually(known, within_s=60)
        return user_id

    async def show(self, user_id: int, born: datetime, country: str = "GB") -> dict[str, Any]:
        submission = {
            **DOCUMENT,
            "birth_date": born.date().isoformat(),
            "country": country,
            "document_number": f"92566{user_id:04}",
        }
        return await self.post(user_id, "kyc", submission=submission)

    async def limits(self, user_id: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._wallet.get(f"/users/{user_id}/limits")
        return found


@asynccontextmanager
async def running(
    pack: Pack, settings: Settings, database: Database, kafka: BrokerOptions, folder: Path
) -> AsyncIterator[System]:
    """Both services, under one pack."""
    currencies = dict.fromkeys({"EUR", "GBP", "JPY", "KWD"}, _FAR)
    more = {"JURISDICTION": pack.name, "CURRENCY_LIMITS": str(currencies).replace("'", '"')}
    wallet = Service("wallet_service", environment(database, kafka, folder, **more), folder)
    wallet.start()
    try:
        await wallet.until_ready()
        settings = settings.model_copy(update={"jurisdiction": pack.name, "wallet_service_url": wallet.url})
        async with started(create_app(settings)) as compliance, Client(kafka) as client:
            yield System(pack, compliance, wallet, client)
    finally:
        wallet.close()


_FAR = dict.fromkeys(
    (
        *("DAILY_DEPOSIT_LIMIT", "DAILY_LOSS_LIMIT", "WEEKLY_LOSS_LIMIT", "MONTHLY_LOSS_LIMIT"),
        *("MAX_BET_AMOUNT", "MAX_PAYOUT_AMOUNT"),
    ),
    "9000000",
)


async def an_age(system: System) -> None:
    now = clock.utc_now()
    of_age = now.replace(year=now.year - system.pack.minimum_age, day=min(now.day, 28))
    young = await system.show(system.player(), of_age + timedelta(days=1 + now.day - of_age.day))
    assert (young["state"], young["reason"]["code"]) == ("rejected", "UNDER_AGE")
    old = await system.show(system.player(), of_age - timedelta(days=1))
    assert (old["reason"] or {}).get("code") != "UNDER_AGE"


async def refused_countries(system: System) -> None:
    for country in sorted(system.pack.refused_countries):
        shown = await system.show(system.player(), datetime(1987, 3, 19, tzinfo=UTC), country)
        assert (shown["state"], shown["reason"]["code"]) == ("rejected", "COUNTRY_REFUSED")


async def countries(system: System) -> None:
    assert system.pack.countries is not None
    elsewhere = next(each for each in ("DE", "FR", "GB") if each not in system.pack.countries)
    shown = await system.show(system.player(), datetime(1987, 3, 19, tzinfo=UTC), elsewhere)
    assert (shown["state"], shown["reason"]["code"]) == ("review", "COUNTRY_UNSUPPORTED")


async def tiers(system: System) -> None:
    rule = system.pack.tiers[system.pack.initial_tier]
    for currency, amount in rule.deposits.items():
        user_id, most = system.player(), money.to_minor(amount, currency, zero=True)
        if most:
            assert await system.decided(Kind.DEPOSIT, most, user_id, currency=currency) is None
        assert await system.decided(Kind.DEPOSIT, 1, user_id, currency=currency) == Reason.KYC_REQUIRED
    if not rule.withdrawals:
        assert await system.decided(Kind.WITHDRAWAL, 1, system.player()) == Reason.KYC_REQUIRED
    known = await system.verified()
    assert await system.decided(Kind.DEPOSIT, ENOUGH_MINOR, known) is None
    assert await system.decided(Kind.WITHDRAWAL, 1, known) is None


async def exclusions(system: System) -> None:
    for kind, rule in system.pack.exclusions.items():
        if kind is not ExclusionType.PERMANENT:
            assert rule.at_least_h is not None
            assert rule.at_most_h is not None
            short = await system.exclude(system.player(), kind, rule.at_least_h - 1)
            long = await system.exclude(system.player(), kind, rule.at_most_h + 1)
            assert (short["code"], long["code"]) == ("EXCLUSION_TOO_SHORT", "EXCLUSION_TOO_LONG")
        await _excluded(system, kind, rule.at_least_h, rule.end_after_h)
    for kind in set(ExclusionType) - system.pack.exclusions.keys():
        assert (await system.exclude(system.player(), kind, 24))["code"] == "EXCLUSION_NOT_OFFERED"


async def _excluded(system: System, kind: ExclusionType, hours: int | None, end_after_h: int | None) -> None:
    user_id = await system.verified()
    assert await system.decided(Kind.DEPOSIT, ENOUGH_MINOR, user_id) is None
    begun = await system.exclude(user_id, kind, hours)
    assert begun["state"] == "in_force", begun
    for barred in (Kind.GAME_BET, Kind.DEPOSIT):
        assert await system.decided(barred, 100, user_id) == Reason.SELF_EXCLUDED
    assert await system.decided(Kind.WITHDRAWAL, 100, user_id) is None
    if hours is not None:
        begun = await system.exclude(user_id, kind, hours + 1)
        assert begun["state"] == "in_force", begun
        assert (await system.exclude(user_id, kind, hours))["code"] == "EXCLUSION_SHORTENED"
    before = clock.utc_now()
    ending = await system.post(user_id, f"exclusions/{begun['id']}/ending")
    if end_after_h is None:
        assert ending["code"] == ("EXCLUSION_PERMANENT" if hours is None else "EXCLUSION_ENDS_LATER")
        return
    waits = clock.from_text(ending["ends_at"]) - before
    assert timedelta(0) <= waits - timedelta(hours=end_after_h) < timedelta(minutes=1)
    assert await system.decided(Kind.GAME_BET, 100, user_id) == Reason.SELF_EXCLUDED
    assert (await system.post(user_id, f"exclusions/{begun['id']}/ending/withdrawal"))["state"] == "in_force"


async def time_outs(system: System) -> None:
    user_id, most = system.player(), system.pack.time_out_at_most_h
    long = await system.post(user_id, "time-outs", id=str(uuid4()), time_out={"duration_hours": most + 1})
    assert long["code"] == "EXCLUSION_TOO_LONG"
    taken = await system.post(user_id, "time-outs", id=str(uuid4()), time_out={"duration_hours": 1})
    assert (taken["state"], taken["time_out"]) == ("in_force", True)
    assert await system.decided(Kind.GAME_BET, 100, user_id) == Reason.SELF_EXCLUDED
    assert (await system.post(user_id, f"exclusions/{taken['id']}/ending"))["code"] == "EXCLUSION_ENDS_LATER"


async def raises(system: System) -> None:
    user_id, name, before = system.player(), "DAILY_LOSS_LIMIT", clock.utc_now()
    own = functools.partial(system.decided, user_id=user_id, reference_id=name, actor="a-player")
    assert await own(Kind.LIMIT_REQUEST, 10_000) is None
    assert await own(Kind.LIMIT_REQUEST, 5_000) is None
    assert await own(Kind.LIMIT_REQUEST, 20_000) is None
    limit = await _limit(system, user_id, name)
    assert (limit["effective"], limit["pending"]["value"]) == (5_000, 20_000)
    waits = clock.from_text(limit["pending"]["confirmable_from"]) - before
    assert timedelta(0) <= waits - system.pack.raise_wait < timedelta(minutes=1)
    assert await own(Kind.LIMIT_CONFIRMATION, 20_000) == Reason.RAISE_WAITS
    assert (await _limit(system, user_id, name))["effective"] == 5_000


async def windows(system: System) -> None:
    limit = await _limit(system, system.player(), "DAILY_DEPOSIT_LIMIT")
    assert limit["window"]["mode"] == system.pack.windows


async def own_limits(system: System) -> None:
    for currency, limits in system.pack.limits.items():
        for name, amount in limits.items():
            limit = await _limit(system, system.player(), name, currency)
            assert limit["jurisdiction"] == money.to_minor(amount, currency, zero=True)
            assert limit["effective"] <= limit["jurisdiction"]


async def reality_checks(system: System) -> None:
    response = await system.post(
        system.player(), "play-limits", play_limits={"session_minutes": 60, "day_minutes": 120}
    )
    check = response["reality_check"]
    assert (check["interval_minutes"], check["chosen_by"]) == (system.pack.reality_check_minutes, "jurisdiction")


async def _limit(system: System, user_id: int, name: str, currency: str = "USD") -> dict[str, Any]:
    found = await system.limits(user_id)
    return next(each for each in found if (each["name"], each["currency"]) == (name, currency))


# How each field of a pack is tried. A field that is not here fails: nothing would hold the system to it.
CHECKS: Mapping[str, Callable[[System], Awaitable[None]]] = {
    "minimum_age": an_age,
    "windows": windows,
    "raise_wait_h": raises,
    "reality_check_minutes": reality_checks,
    "time_out_at_most_h": time_outs,
    "exclusions": exclusions,
    "initial_tier": tiers,
    "tiers": tiers,
    "limits": own_limits,
    "countries": countries,
    "refused_countries": refused_countries,
}


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "uk" else pytest.mark.slow) for name in jurisdictions.names()]
)
async def test_the_system_keeps_to_every_statement_of_every_pack(
    name: str,
    live_settings: Settings,
    database: Database,
    kafka: BrokerOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The wallet has just begun.
    monkeypatch.setattr(exclusion_handlers, "WALLET_WITHIN_S", 30.0)
    pack = jurisdictions.load(name)
    about = {field for statement in pack.statements for field in statement.about}
    async with running(pack, live_settings, database, kafka, tmp_path) as system:
        for check in dict.fromkeys(CHECKS[field] for field in sorted(about)):
            await check(system)


def test_a_pack_whose_fields_nobody_stands_behind_is_none() -> None:
    pack = jurisdictions.load("uk").model_dump(exclude_unset=True)
    pack["statements"] = [each for each in pack["statements"] if "minimum_age" not in each["about"]]
    with pytest.raises(ValueError, match="minimum_age"):
        Pack.model_validate(pack)
    with pytest.raises(ConfigurationError, match="nowhere"):
        jurisdictions.load("nowhere")
