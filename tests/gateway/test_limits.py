"""Limits at the door: how they read, and what changes them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.contracts.kinds import Account, Kind, Reason, Status
from shared.contracts.limits import LimitName
from shared.contracts.readings import Check, LimitReading, PendingRaise, WindowUse
from shared.testing import MOMENT
from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeWallet
from tests.gateway.support import BET, bearer

USERS = f"/api/v1/users/{PLAYER}"
LIMIT = f"{USERS}/limits/DAILY_LOSS_LIMIT"
COOLDOWN = f"{USERS}/limits/WITHDRAWAL_COOLDOWN_SECONDS"
REQUESTS = f"{USERS}/limit-requests"
RISK = bearer(Role.RISK)
OVERRIDE = {"amount": "800.00", "currency": "USD", "reason": "a good customer"}
OWN = {"name": "DAILY_LOSS_LIMIT", "amount": "90.00", "currency": "USD"}
THEN = "2026-11-24T10:00:00.000000Z"


def reading(name: LimitName, **fields: Any) -> LimitReading:
    """A limit of which nothing is set but what is given."""
    unset = dict.fromkeys(("effective", "operator", "override", "jurisdiction", "own"))
    return LimitReading(**{"name": name, "currency": "USD", **unset, **fields})


def wrong_fields(response: httpx2.Response) -> set[str]:
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED"), response.text
    return {error["field"] for error in response.json()["errors"]}


class TestReads:
    async def test_a_limit_has_its_values_in_decimals_and_a_cooldown_in_seconds(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.limits = [
            reading(
                LimitName.DAILY_LOSS_LIMIT,
                effective=4000,
                operator=5000,
                override=9000,
                jurisdiction=4500,
                own=4000,
                pending=PendingRaise(value=4200, confirmable_from=MOMENT),
                window=WindowUse(mode="calendar", starts_at=MOMENT, used=-250, remaining=4250),
            ),
            reading(LimitName.MAX_BET_AMOUNT, effective=100, currency="JPY"),
            reading(LimitName.WITHDRAWAL_COOLDOWN_SECONDS, effective=3600, withdrawals_from=MOMENT),
        ]

        response = await client.get(f"{USERS}/limits", headers=bearer(Role.PLAYER))

        nothing = dict.fromkeys(("operator", "override", "jurisdiction", "own", "pending"))
        assert response.json() == {
            "user_id": PLAYER,
            "limits": [
                {
                    "name": "DAILY_LOSS_LIMIT",
                    "currency": "USD",
                    "effective": "40.00",
                    "operator": "50.00",
                    "override": "90.00",
                    "jurisdiction": "45.00",
                    "own": "40.00",
                    "pending": {"amount": "42.00", "confirmable_from": THEN},
                    "window": {"mode": "calendar", "starts_at": THEN},
                    "used": "-2.50",
                    "remaining": "42.50",
                },
                {"name": "MAX_BET_AMOUNT", "currency": "JPY", "effective": "100", **nothing},
                {
                    "name": "WITHDRAWAL_COOLDOWN_SECONDS",
                    "currency": "USD",
                    "effective": 3600,
                    **nothing,
                    "withdrawals_from": THEN,
                },
            ],
        }
        waiting = (await client.get(REQUESTS, headers=bearer(Role.PLAYER))).json()
        assert waiting == {"user_id": PLAYER, "limit_requests": response.json()["limits"][:1]}

    async def test_the_changes_are_paged_with_who_why_and_from_what_to_what(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        await client.put(LIMIT, json=OVERRIDE, headers=RISK)
        await client.post(REQUESTS, json=OWN, headers=bearer(Role.PLAYER))
        wallet.refusals[Kind.LIMIT_OVERRIDE_REMOVAL] = (Reason.NO_OVERRIDE, {})
        await client.request("DELETE", COOLDOWN, json={"currency": "USD", "reason": "over"}, headers=RISK)

        first = await client.get(f"{USERS}/limit-changes?limit=2", headers=bearer(Role.SUPPORT))
        last = await client.get(first.links["next"]["url"], headers=bearer(Role.SUPPORT))

        refused, own = first.json()["limit_changes"]
        (override,) = last.json()["limit_changes"]
        assert (refused["status"], refused["reason"], refused["before"]) == ("refused", "NO_OVERRIDE", None)
        assert (own["type"], own["actor"]) == ("LIMIT_REQUEST", str(PLAYER))
        assert override == {
            "transaction_id": str(wallet.asked[0].command_id),
            "type": "LIMIT_OVERRIDE",
            "name": "DAILY_LOSS_LIMIT",
            "currency": "USD",
            "status": "posted",
            "reason": None,
            "stated_reason": "a good customer",
            "actor": "the-risk",
            "asked": "800.00",
            "before": {"effective": "500.00", "override": None, "own": None},
            "after": {"effective": "800.00", "override": "800.00", "own": None},
            "pending": None,
            "lane": override["lane"],
            "position": 1,
            "created_at": THEN,
        }
        assert last.json()["next_cursor"] is None

    async def test_a_players_days_are_in_decimals(self, client: httpx2.AsyncClient) -> None:
        response = await client.get(f"{USERS}/metrics?days=30", headers=bearer(Role.PLAYER))

        found = response.json()
        assert (found["days"], found["days_active"]) == (30, 1)
        assert (found["currencies"]["USD"]["bets"], found["currencies"]["USD"]["net"]) == ("10.50", "-0.05")
        (limit,) = found["currencies"]["USD"]["limits"].values()
        assert (limit["used"], limit["remaining"]) == ("-0.05", None)

    @pytest.mark.parametrize("days", ["0", "91", "x", "1.5"])
    async def test_what_is_no_number_of_days_is_refused(self, client: httpx2.AsyncClient, days: str) -> None:
        assert wrong_fields(await client.get(f"{USERS}/metrics?days={days}", headers=RISK)) == {"days"}


class TestOverrides:
    async def test_an_override_is_a_command_by_its_caller_and_is_answered_with_its_change(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        response = await client.put(LIMIT, json=OVERRIDE, headers=RISK)

        (command,) = wallet.asked
        assert (command.kind, command.user_id, command.reference_id) == ("LIMIT_OVERRIDE", PLAYER, "DAILY_LOSS_LIMIT")
        assert (command.amount_minor, command.reason, command.actor) == (80_000, "a good customer", "the-risk")
        assert response.status_code == 200
        change = response.json()["limit_change"]
        assert (change["transaction_id"], change["after"]["effective"]) == (str(command.command_id), "800.00")

    async def test_a_cooldown_is_overridden_in_seconds(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        body = {"seconds": 0, "currency": "USD", "reason": "it waited"}

        response = await client.put(COOLDOWN, json=body, headers=RISK)

        assert (wallet.asked[0].amount_minor, response.json()["limit_change"]["after"]["override"]) == (0, 0)

    async def test_nothing_may_be_allowed(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        await client.put(LIMIT, json={**OVERRIDE, "amount": "0"}, headers=RISK)

        assert wallet.asked[0].amount_minor == 0

    async def test_an_override_ends_with_a_reason(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        response = await client.request("DELETE", LIMIT, json={"currency": "EUR", "reason": "over"}, headers=RISK)

        (command,) = wallet.asked
        assert (command.kind, command.currency, command.reason) == ("LIMIT_OVERRIDE_REMOVAL", "EUR", "over")
        assert (command.amount_minor, response.status_code) == (0, 200)

    async def test_a_refusal_is_a_problem_with_the_change_that_was_not_made(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.refusals[Kind.LIMIT_OVERRIDE] = (Reason.CURRENCY_NOT_ALLOWED, {"asked_minor": 80_000})

        response = await client.put(LIMIT, json=OVERRIDE, headers=RISK)

        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "CURRENCY_NOT_ALLOWED")
        assert (problem["limit_change"]["asked"], problem["limit_change"]["after"]) == ("800.00", None)

    async def test_a_retry_with_its_key_is_the_same_command(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        first = await client.put(LIMIT, json=OVERRIDE, headers={**RISK, "Idempotency-Key": "1"})
        second = await client.put(LIMIT, json=OVERRIDE, headers={**RISK, "Idempotency-Key": "1"})
        other = await client.put(LIMIT, json=OVERRIDE, headers=RISK)

        assert (second.content, second.headers["idempotency-replayed"]) == (first.content, "true")
        assert len({command.command_id for command in wallet.asked}) == 2
        assert other.status_code == 200

    async def test_past_the_wait_a_change_is_pending_and_its_amount_is_no_money(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.silent = True

        response = await client.put(LIMIT, json=OVERRIDE, headers={**RISK, "Prefer": "wait=1"})

        assert (response.status_code, response.headers["preference-applied"]) == (202, "wait=1")
        assert response.json()["transaction"]["amount"] == "0.00"
        assert (await client.get(response.headers["location"], headers=RISK)).status_code == 202

    @pytest.mark.parametrize(
        ("path", "body", "fields"),
        [
            (LIMIT, {}, {"currency", "reason"}),
            (LIMIT, {**OVERRIDE, "amount": "-1"}, {"amount"}),
            (LIMIT, {**OVERRIDE, "amount": "0.001"}, {"amount"}),
            (LIMIT, {**OVERRIDE, "amount": 800}, {"amount"}),
            (LIMIT, {**OVERRIDE, "amount": None}, {"amount"}),
            (LIMIT, {**OVERRIDE, "currency": "XXX"}, {"currency"}),
            (LIMIT, {**OVERRIDE, "reason": ""}, {"reason"}),
            (LIMIT, {**OVERRIDE, "actor": "ann"}, {"actor"}),
            (LIMIT, {**OVERRIDE, "seconds": 1}, {"seconds"}),
            (LIMIT, {"seconds": 1, "currency": "USD", "reason": "why"}, {"amount"}),
            (COOLDOWN, OVERRIDE, {"seconds"}),
            (COOLDOWN, {**OVERRIDE, "seconds": 1}, {"amount"}),
            (COOLDOWN, {"seconds": -1, "currency": "USD", "reason": "why"}, {"seconds"}),
            (COOLDOWN, {"seconds": 1.5, "currency": "USD", "reason": "why"}, {"seconds"}),
            (COOLDOWN, {"seconds": 30 * 86_400 + 1, "currency": "USD", "reason": "why"}, {"seconds"}),
            (f"{USERS}/limits/DAILY_LIMIT", OVERRIDE, {"name"}),
            ("/api/v1/users/0/limits/DAILY_LOSS_LIMIT", OVERRIDE, {"user_id"}),
        ],
    )
    async def test_each_wrong_field_is_named(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, path: str, body: dict[str, Any], fields: set[str]
    ) -> None:
        assert wrong_fields(await client.put(path, json=body, headers=RISK)) == fields
        assert wallet.asked == []


class TestOwnLimits:
    async def test_a_player_sets_its_own(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        response = await client.post(REQUESTS, json=OWN, headers=bearer(Role.PLAYER))

        (command,) = wallet.asked
        assert (command.kind, command.amount_minor, command.actor) == ("LIMIT_REQUEST", 9000, str(PLAYER))
        assert response.status_code == 201
        assert response.json()["limit_change"]["pending"] is None

    async def test_a_raise_says_from_when_it_can_be_confirmed(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        waits = {"pending": 9000, "pending_from": THEN}
        response = await client.post(REQUESTS, json=OWN, headers=bearer(Role.PLAYER))
        row = wallet.rows[UUID(response.json()["limit_change"]["transaction_id"])]
        wallet.rows[row.command_id] = row.model_copy(update={"facts": {**(row.facts or {}), **waits}})

        changes = await client.get(f"{USERS}/limit-changes", headers=bearer(Role.SUPPORT))

        (change,) = changes.json()["limit_changes"]
        assert change["pending"] == {"amount": "90.00", "confirmable_from": THEN}

    async def test_support_and_compliance_ask_on_a_players_behalf_by_name(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        for role in (Role.SUPPORT, Role.COMPLIANCE):
            await client.post(REQUESTS, json=OWN, headers=bearer(role))

        assert [command.actor for command in wallet.asked] == ["the-support", "the-compliance"]

    async def test_a_player_does_not_ask_for_another(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        stranger = bearer(Role.PLAYER, user_id=OTHER_PLAYER)

        for response in (
            await client.post(REQUESTS, json=OWN, headers=stranger),
            await client.post(f"{REQUESTS}/DAILY_LOSS_LIMIT/confirmation", json=OWN, headers=stranger),
            await client.delete(f"{REQUESTS}/DAILY_LOSS_LIMIT?currency=USD", headers=stranger),
        ):
            assert response.status_code == 403
        assert wallet.asked == []

    async def test_a_raise_is_confirmed_and_given_up(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        body = {"amount": "90.00", "currency": "USD"}
        confirmed = await client.post(
            f"{REQUESTS}/DAILY_LOSS_LIMIT/confirmation", json=body, headers=bearer(Role.PLAYER)
        )
        given_up = await client.delete(f"{REQUESTS}/DAILY_LOSS_LIMIT?currency=USD", headers=bearer(Role.PLAYER))

        assert [(command.kind, command.amount_minor) for command in wallet.asked] == [
            ("LIMIT_CONFIRMATION", 9000),
            ("LIMIT_REVOCATION", 0),
        ]
        assert (confirmed.status_code, given_up.status_code) == (201, 200)

    async def test_a_raise_that_has_to_wait_says_until_when(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.refusals[Kind.LIMIT_CONFIRMATION] = (Reason.RAISE_WAITS, {"asked_minor": 9000, "pending_from": THEN})

        response = await client.post(
            f"{REQUESTS}/DAILY_LOSS_LIMIT/confirmation",
            json={"amount": "90", "currency": "USD"},
            headers=bearer(Role.PLAYER),
        )

        assert (response.status_code, response.json()["code"]) == (422, "RAISE_WAITS")
        assert THEN in response.json()["detail"]

    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({"name": "MAX_PAYOUT_AMOUNT"}, {"name"}),
            ({"name": "WITHDRAWAL_COOLDOWN_SECONDS"}, {"name"}),
            ({"name": "LIMIT"}, {"name"}),
            ({"amount": "x"}, {"amount"}),
            ({"currency": "usd"}, {"currency"}),
            ({"reason": "why"}, {"reason"}),
        ],
    )
    async def test_each_wrong_field_is_named(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, changes: dict[str, Any], fields: set[str]
    ) -> None:
        assert wrong_fields(await client.post(REQUESTS, json={**OWN, **changes}, headers=bearer(Role.PLAYER))) == fields
        assert wallet.asked == []

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("MAX_PAYOUT_AMOUNT?currency=USD", "name"),
            ("X?currency=USD", "name"),
            ("DAILY_LOSS_LIMIT?currency=X", "currency"),
            ("DAILY_LOSS_LIMIT", "currency"),
        ],
    )
    async def test_what_is_no_request_is_not_given_up(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, path: str, field: str
    ) -> None:
        assert wrong_fields(await client.delete(f"{REQUESTS}/{path}", headers=bearer(Role.PLAYER))) == {field}
        assert wallet.asked == []


class TestChecks:
    async def test_what_would_be_posted_is_said_with_the_balances_after_it(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.check = Check(
            status=Status.POSTED,
            reason=None,
            amount_minor=1000,
            currency="USD",
            credit=Account.REVENUE,
            cash_minor=500,
            reserved_minor=0,
        )

        response = await client.post("/api/v1/limit-checks", json=BET, headers=bearer(Role.PLAYER))

        assert response.json() == {
            "allowed": True,
            "code": None,
            "detail": "It would be posted.",
            "facts": {},
            "held": False,
            "wallet": {"user_id": PLAYER, "balances": [{"currency": "USD", "cash": "5.00", "reserved": "0.00"}]},
        }
        assert [command.amount_minor for command in wallet.checked] == [1000]
        assert wallet.asked == []

    async def test_what_would_be_refused_is_said_with_why_and_the_numbers(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.check = Check(
            status=Status.REFUSED,
            reason=Reason.DAILY_LOSS_LIMIT,
            amount_minor=1000,
            currency="USD",
            credit=Account.REVENUE,
            cash_minor=1500,
            reserved_minor=0,
            facts={"limit_minor": 5000, "used_minor": 4500, "remaining_minor": 500},
        )

        found = (await client.post("/api/v1/limit-checks", json=BET, headers=bearer(Role.SUPPORT))).json()

        assert (found["allowed"], found["code"]) == (False, "DAILY_LOSS_LIMIT")
        assert found["detail"] == (
            "10.00 USD would pass a day's loss limit of 50.00 USD: 45.00 USD are used, 5.00 USD are left."
        )
        assert found["facts"] == {"limit": "50.00", "used": "45.00", "remaining": "5.00"}

    async def test_a_large_win_would_be_held(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        wallet.check = Check(
            status=Status.POSTED,
            reason=None,
            amount_minor=1000,
            currency="USD",
            credit=Account.RESERVED,
            cash_minor=0,
            reserved_minor=1000,
        )

        response = await client.post(
            "/api/v1/limit-checks", json={**BET, "type": "GAME_PAYOUT"}, headers=bearer(Role.GAME_SERVER)
        )

        assert response.json()["held"] is True

    async def test_a_bet_that_has_expired_is_checked_as_it_is(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        late = (MOMENT - timedelta(days=1)).isoformat()
        await client.post("/api/v1/limit-checks", json={**BET, "expires_at": late}, headers=bearer(Role.PLAYER))
        await client.post("/api/v1/limit-checks", json=BET, headers=bearer(Role.PLAYER))

        assert [command.expires_at for command in wallet.checked] == [MOMENT - timedelta(days=1), None]

    @pytest.mark.parametrize(("changes", "field"), [({"amount": "0"}, "amount"), ({"type": "REVERSAL"}, "type")])
    async def test_what_is_no_transaction_is_refused(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, changes: dict[str, Any], field: str
    ) -> None:
        response = await client.post("/api/v1/limit-checks", json={**BET, **changes}, headers=bearer(Role.ADMIN))

        assert wrong_fields(response) == {field}
        assert wallet.checked == []
