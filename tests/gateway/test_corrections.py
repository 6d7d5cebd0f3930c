"""Corrections at the door: reversals, releases, held payouts, disputes."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Account, Kind, Reason, Status
from shared.contracts.readings import Dispute, DisputeStatus, HeldPayout, ReadTransaction
from shared.testing import MOMENT
from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import BET, DEPOSIT, bearer

POST = "/api/v1/transactions"
FINANCE = {**bearer(Role.FINANCE), "Idempotency-Key": "correction"}
NOBODY = UUID(int=1)


async def posted(client: httpx2.AsyncClient, wallet: FakeWallet, body: dict[str, Any]) -> LedgerEvent:
    """The row of a transaction that was posted."""
    await client.post(POST, json=body, headers={**bearer(Role.ADMIN), "Idempotency-Key": str(uuid4())})
    return list(wallet.rows.values())[-1]


def change(wallet: FakeWallet, row: LedgerEvent, **fields: Any) -> LedgerEvent:
    """A row that reads otherwise."""
    wallet.rows[row.command_id] = changed = row.model_copy(update=fields)
    return changed


async def reverse(client: httpx2.AsyncClient, row: LedgerEvent, **body: Any) -> httpx2.Response:
    path = f"{POST}/{row.command_id}/reversal"
    return await client.post(path, json={"reason": "a mistake", **body}, headers=FINANCE)


class TestReversals:
    async def test_a_deposit_is_reversed_under_its_own_id(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        row = await posted(client, wallet, DEPOSIT)

        response = await reverse(client, row)

        command = wallet.asked[-1]
        assert (command.kind, command.reference_id, command.provider) == ("REVERSAL", str(row.command_id), "bank")
        assert (command.amount_minor, command.user_id) == (10_000, PLAYER)
        assert (command.reason, command.actor) == ("a mistake", "the-finance")
        assert response.status_code == 201
        assert response.json()["transaction"]["type"] == "REVERSAL"

    @pytest.mark.parametrize(("kind", "by"), [("GAME_BET", "BET_ROLLBACK"), ("GAME_PAYOUT", "PAYOUT_ROLLBACK")])
    async def test_a_bet_or_payout_is_taken_back_under_its_reference(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, kind: str, by: str
    ) -> None:
        await posted(client, wallet, DEPOSIT)
        row = await posted(client, wallet, {**BET, "type": kind})

        await reverse(client, row, amount="4.00")

        command = wallet.asked[-1]
        assert (command.kind, command.reference_id, command.round_id) == (by, "game_77", "r-9")
        assert (command.amount_minor, command.reason, command.actor) == (400, "a mistake", "the-finance")

    async def test_a_bet_that_was_refused_takes_nothing_else_of_its_reference_back(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, BET)
        assert row.status is Status.REFUSED

        await reverse(client, row)

        assert (wallet.asked[-1].kind, wallet.asked[-1].reference_id) == ("REVERSAL", str(row.command_id))

    async def test_a_retry_after_it_was_reversed_is_the_same_command(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)

        first, second = await reverse(client, row), await reverse(client, row)

        assert wallet.asked[-1].command_id == wallet.asked[-2].command_id
        assert (second.content, second.headers["idempotency-replayed"]) == (first.content, "true")

    async def test_a_refusal_says_what_was_asked_and_what_is_left(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)
        facts = {"asked_minor": 9900, "remaining_minor": 250}
        wallet.refusals[Kind.REVERSAL] = (Reason.REVERSAL_EXCEEDS_ORIGINAL, facts)

        problem = (await reverse(client, row, amount="99.00")).json()

        assert problem["detail"] == "99.00 USD were to be reversed, and only 2.50 USD can still be."
        assert (problem["transaction"]["status"], problem["transaction"]["amount"]) == ("refused", "99.00")

    async def test_what_moved_nothing_is_not_reversed(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        row = await posted(client, wallet, {**BET, "type": "BET_ROLLBACK"})

        response = await reverse(client, row)

        assert response.json()["errors"][0]["field"] == "transaction_id"
        assert len(wallet.asked) == 1

    async def test_a_key_is_required(self, client: httpx2.AsyncClient) -> None:
        for what in ("reversal", "release"):
            response = await client.post(
                f"{POST}/{NOBODY}/{what}", json={"reason": "why"}, headers=bearer(Role.FINANCE)
            )
            assert (response.status_code, response.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")

    @pytest.mark.parametrize("what", ["reversal", "release", "dispute", "dispute/resolution"])
    async def test_what_is_not_there_is_not_corrected(self, client: httpx2.AsyncClient, what: str) -> None:
        response = await client.post(f"{POST}/{NOBODY}/{what}", json={"reason": "why"}, headers=FINANCE)

        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"amount": "0.00", "reason": "why"}, "amount"),
            ({"amount": "1.001", "reason": "why"}, "amount"),
            ({"amount": 1, "reason": "why"}, "amount"),
            ({"amount": "1.00"}, "reason"),
            ({"reason": "a\nb"}, "reason"),
            ({"reason": "why", "currency": "USD"}, "currency"),
        ],
    )
    async def test_each_wrong_field_is_named(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, body: dict[str, Any], field: str
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)

        for what in ("reversal", "release"):
            row = change(wallet, row, kind=Kind.GAME_PAYOUT)
            response = await client.post(f"{POST}/{row.command_id}/{what}", json=body, headers=FINANCE)
            assert [error["field"] for error in response.json()["errors"]] == [field]
        assert len(wallet.asked) == 1


class TestHeldPayouts:
    async def test_a_held_payout_says_so_wherever_it_is_read(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, {**BET, "type": "GAME_PAYOUT"})
        one = await client.get(f"{POST}/{row.command_id}", headers=bearer(Role.GAME_SERVER))
        assert one.json()["transaction"]["held"] is False

        change(wallet, row, credit=Account.RESERVED)

        one = await client.get(f"{POST}/{row.command_id}", headers=bearer(Role.GAME_SERVER))
        page = await client.get(f"/api/v1/users/{PLAYER}/transactions", headers=bearer(Role.PLAYER))
        assert one.json()["transaction"]["held"] is True
        assert page.json()["transactions"][0]["held"] is True

    @pytest.mark.parametrize(("amount", "expected"), [({}, 1000), ({"amount": "4.00"}, 400)])
    async def test_a_payout_is_released_under_its_reference(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, amount: dict[str, str], expected: int
    ) -> None:
        row = await posted(client, wallet, {**BET, "type": "GAME_PAYOUT"})

        response = await client.post(
            f"{POST}/{row.command_id}/release", json={"reason": "looked at", **amount}, headers=FINANCE
        )

        command = wallet.asked[-1]
        assert (command.kind, command.amount_minor) == ("PAYOUT_RELEASE", expected)
        assert (command.reference_id, command.round_id) == ("game_77", "r-9")
        assert (command.reason, command.actor) == ("looked at", "the-finance")
        assert response.json()["transaction"]["type"] == "PAYOUT_RELEASE"

    async def test_what_is_no_payout_is_not_released(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        row = await posted(client, wallet, DEPOSIT)

        response = await client.post(f"{POST}/{row.command_id}/release", json={"reason": "why"}, headers=FINANCE)

        assert response.json()["errors"][0]["field"] == "transaction_id"

    async def test_what_waits_is_listed_and_whether_there_is_more(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, {**BET, "type": "GAME_PAYOUT"})
        read = ReadTransaction(**{**dict(row), "credit": Account.RESERVED})
        wallet.held = [HeldPayout(held_minor=amount, transaction=read) for amount in (700, 800)]

        one = (await client.get("/api/v1/held-payouts?limit=1", headers=FINANCE)).json()
        all_of_them = (await client.get("/api/v1/held-payouts", headers=FINANCE)).json()

        assert ([each["held"] for each in one["held_payouts"]], one["more"]) == (["7.00"], True)
        assert ([each["held"] for each in all_of_them["held_payouts"]], all_of_them["more"]) == (
            ["7.00", "8.00"],
            False,
        )
        assert one["held_payouts"][0]["transaction"]["id"] == str(row.command_id)


class TestDisputes:
    @pytest.mark.parametrize(("path", "kind"), [("dispute", "DISPUTE"), ("dispute/resolution", "DISPUTE_RESOLUTION")])
    async def test_a_dispute_is_a_row_of_its_own(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, path: str, kind: str
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)

        response = await client.post(
            f"{POST}/{row.command_id}/{path}", json={"reason": "not mine"}, headers=bearer(Role.SUPPORT)
        )

        command = wallet.asked[-1]
        assert (command.kind, command.reference_id, command.amount_minor) == (kind, str(row.command_id), 0)
        assert (command.currency, command.reason, command.actor) == ("USD", "not mine", "the-support")
        transaction = response.json()["transaction"]
        assert (response.status_code, transaction["type"], transaction["amount"]) == (201, kind, "0.00")
        assert transaction["stated_reason"] == "not mine"

    async def test_it_shows_in_every_reading_and_a_replay_is_what_it_was(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        headers = {**bearer(Role.ADMIN), "Idempotency-Key": "1"}
        first = await client.post(POST, json=DEPOSIT, headers=headers)
        (row,) = wallet.rows.values()
        wallet.disputes[row.command_id] = Dispute(
            state=DisputeStatus.OPEN, reason="not mine", actor="ann", since=MOMENT, transaction_id=NOBODY
        )

        for response, read in (
            (await client.get(f"{POST}/{row.command_id}", headers=headers), "transaction"),
            (await client.get(f"/api/v1/users/{PLAYER}/transactions", headers=headers), "transactions"),
        ):
            found = response.json()[read]
            transaction = found[0] if isinstance(found, list) else found
            assert transaction["status"] == "disputed"
            assert transaction["dispute"] == {
                "state": "open",
                "reason": "not mine",
                "actor": "ann",
                "since": "2026-11-24T10:00:00.000000Z",
                "transaction_id": str(NOBODY),
            }
        assert (await client.post(POST, json=DEPOSIT, headers=headers)).content == first.content

    async def test_once_it_is_resolved_the_status_is_what_it_was(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)
        wallet.disputes[row.command_id] = Dispute(
            state=DisputeStatus.RESOLVED, reason="it was", actor="ann", since=MOMENT, transaction_id=NOBODY
        )

        found = (await client.get(f"{POST}/{row.command_id}", headers=FINANCE)).json()["transaction"]

        assert (found["status"], found["dispute"]["state"]) == ("posted", "resolved")

    @pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": 7}])
    async def test_a_reason_is_required(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, body: dict[str, Any]
    ) -> None:
        row = await posted(client, wallet, DEPOSIT)

        response = await client.post(f"{POST}/{row.command_id}/dispute", json=body, headers=bearer(Role.SUPPORT))

        assert [error["field"] for error in response.json()["errors"]] == ["reason"]
