"""KYC as a whole: submitted, settled, encrypted, read, erased; with a wallet that is made up."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from compliance_service.domain import encryption
from compliance_service.domain.encryption import KycKeys, Place
from compliance_service.domain.kyc import MOVES, Case, Move, State, Tier, acknowledged, has_expired, judge, with_tier
from shared import jurisdictions
from shared.contracts.kyc import KycSubmission
from shared.errors import IntegrityViolation
from tests.compliance_service.support import INDEX_KEYS, KEYS, NEWER, NOW, PLANTED, VALUES, Later, Setup
from tests.support import as_administrator


class TestMoves:
    def test_the_whole_table(self) -> None:
        ends = {
            State.NONE: {Move.SUBMIT},
            State.SUBMITTED: set(Move),
            State.VERIFIED: set(Move),
            State.REVIEW: set(Move),
            State.REJECTED: set(Move) - {Move.EXPIRE},
            State.EXPIRED: {Move.SUBMIT, Move.REJECT, Move.ERASE},
            State.ERASED: {Move.SUBMIT},
        }
        assert {state: set(MOVES[state]) for state in State} == ends
        assert all(MOVES[state][move].value == move.value for state in State for move in MOVES[state])


class TestTiers:
    def test_one_command_at_a_time_is_under_way(self) -> None:
        pack, first = jurisdictions.load("default"), uuid4()
        case = with_tier(Case(1, State.REJECTED, 1, Tier("VERIFIED")), pack, first, NOW)
        assert case.tier == Tier("VERIFIED", "UNVERIFIED", first, NOW)
        assert with_tier(replace(case, state=State.REVIEW), pack, uuid4(), NOW).tier.command_id == first
        # Verified again before the wallet answered: what it answers first is still of the first command.
        after = acknowledged(replace(case, state=State.VERIFIED), granted=True)
        assert with_tier(after, pack, first, NOW).tier == Tier("UNVERIFIED", "VERIFIED", first, NOW)
        assert acknowledged(case, granted=False).tier == Tier("VERIFIED")


class TestRules:
    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({}, None),
            ({"birth_date": "2008-11-24"}, None),
            ({"birth_date": "2008-11-25"}, "UNDER_AGE"),
            ({"document_expires_on": "2026-11-24"}, None),
            ({"document_expires_on": "2026-11-23"}, "DOCUMENT_EXPIRED"),
            ({"country": "KP"}, "COUNTRY_REFUSED"),
        ],
    )
    def test_each_has_its_code(self, fields: dict[str, Any], code: str | None) -> None:
        submission = KycSubmission.model_validate(PLANTED | fields)
        verdict = judge(submission, jurisdictions.load("default"), NOW.date(), held_by_another=False)
        assert (verdict and verdict.why.code) == code

    def test_a_country_that_the_pack_does_not_have_is_reviewed(self) -> None:
        submission = KycSubmission.model_validate(PLANTED | {"country": "FR"})
        verdict = judge(submission, jurisdictions.load("uk"), NOW.date(), held_by_another=False)
        assert verdict is not None
        assert (verdict.move, verdict.why.code) == (Move.REVIEW, "COUNTRY_UNSUPPORTED")

    def test_a_documents_last_day_is_good(self) -> None:
        assert not has_expired(date(2026, 11, 24), NOW.date())
        assert has_expired(date(2026, 11, 23), NOW.date())


class TestEncryption:
    def test_a_cell_decrypts_in_its_place_alone(self) -> None:
        key, place = encryption.new_data_key(), Place("kyc", "name", 1, 1)
        sealed = encryption.seal(key, place, "Zebulon")
        assert encryption.unseal(key, place, sealed) == "Zebulon"
        for change in ({"table": "x"}, {"column": "city"}, {"user_id": 2}, {"version": 2}):
            with pytest.raises(IntegrityViolation):
                encryption.unseal(key, place._replace(**change), sealed)
        with pytest.raises(IntegrityViolation):
            encryption.unseal(encryption.new_data_key(), place, sealed)

    def test_a_data_key_is_its_players_alone(self) -> None:
        keys = KycKeys(KEYS, INDEX_KEYS)
        wrapped = keys.wrap(1, encryption.new_data_key())
        with pytest.raises(IntegrityViolation):
            keys.unwrap(2, wrapped)


@pytest.mark.integration
class TestSubmissions:
    async def test_what_no_rule_speaks_against_is_verified_and_has_its_tier(self, kyc: Setup) -> None:
        response = await kyc.submit()
        assert response.status_code == 200, response.text
        found = response.json()
        assert (found["state"], found["document"]) == ("verified", {"number": "…16"})
        assert found["tier"] == {"name": "VERIFIED", "acknowledged": True}
        assert [command.reference_id for command in kyc.wallet.asked] == ["VERIFIED"]
        assert await kyc.events() == ["compliance.kyc.submitted.v1", "compliance.kyc.verified.v1"]

    async def test_a_document_of_another_player_is_reviewed(self, kyc: Setup) -> None:
        await kyc.submit(1)
        found = (await kyc.submit(2, document_number="9256-65416")).json()
        assert (found["state"], found["reason"]["code"]) == ("review", "DOCUMENT_HELD")
        assert found["tier"]["name"] == "UNVERIFIED"

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"birth_date": "2030-03-19"}, "birth_date"),
            ({"country": "ZZ"}, "submission.country"),
            ({"phone": "+44 1"}, "submission.phone"),
            ({"country": "ES", "document_type": "ID_CARD", "document_number": "54362315Z"}, "submission"),
        ],
    )
    async def test_wrong_input_is_named_and_not_repeated(self, kyc: Setup, fields: dict[str, Any], field: str) -> None:
        response = await kyc.submit(**fields)
        assert response.status_code == 422
        assert [error["field"] for error in response.json()["errors"]] == [field]
        assert not [value for value in fields.values() if len(value) > 2 and value in response.text]

    async def test_a_tier_that_the_wallet_did_not_acknowledge_is_asked_for_again(self, kyc: Setup) -> None:
        kyc.wallet.away = True
        assert (await kyc.submit()).json()["tier"] == {"name": "VERIFIED", "acknowledged": False}
        await kyc.decide("reject")
        kyc.wallet.away = False
        for _ in range(3):
            kyc.now += timedelta(minutes=1)
            await kyc.worker.tiers()
        assert [command.reference_id for command in kyc.wallet.asked] == ["VERIFIED", "UNVERIFIED"]
        assert (await kyc.client.get("/users/1/kyc")).json()["tier"] == {"name": "UNVERIFIED", "acknowledged": True}


@pytest.mark.integration
class TestSecrecy:
    async def test_no_value_is_in_a_log_an_event_an_error_or_a_table(
        self, kyc: Setup, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        said = [(await kyc.submit()).text, (await kyc.submit(2)).text]
        said.append((await kyc.submit(3, country="ZZ", phone="496 0321", birth_date="19870319")).text)
        said.append((await kyc.decide("reject", "the name Zebulon Quillfeather is odd")).text)
        said.append((await kyc.decide("review", "as I said")).text)
        said.append((await kyc.client.get("/users/1/kyc")).text)
        said += [await kyc.dump(), capsys.readouterr().out, caplog.text]
        assert not [value for value in VALUES if any(value in text for text in said)]

    async def test_reading_in_clear_is_on_record(self, kyc: Setup) -> None:
        await kyc.submit()
        found = await kyc.client.post("/users/1/kyc/reading", json={"actor": "officer", "request_id": "r-2"})
        assert found.json()["fields"]["document_number"] == "925665416"
        assert (await kyc.actions())[-1] == "KYC_READ"

    async def test_swapped_cells_do_not_decrypt(self, kyc: Setup) -> None:
        await kyc.submit(1)
        await kyc.submit(2, document_number="925665417")
        await as_administrator(
            kyc.database,
            "UPDATE compliance.kyc a SET name = b.name FROM compliance.kyc b WHERE a.user_id = 1 AND b.user_id = 2",
        )
        response = await kyc.client.get("/users/1/kyc")
        assert (response.status_code, response.json()["code"]) == (500, "INTEGRITY_VIOLATION")

    async def test_data_keys_are_wrapped_anew_and_values_stay(self, kyc: Setup) -> None:
        await kyc.submit()
        before = await as_administrator(kyc.database, "SELECT name FROM compliance.kyc")
        kyc.keys.take(NEWER, INDEX_KEYS)
        assert [await kyc.worker.rewrap(), await kyc.worker.rewrap()] == [1, 0]
        assert await as_administrator(kyc.database, "SELECT name FROM compliance.kyc") == before
        kyc.keys.take("e2:" + "33" * 32, INDEX_KEYS)
        assert (await kyc.client.get("/users/1/kyc")).json()["document"] == {"number": "…16"}

    async def test_erasure_destroys_the_data_key_and_keeps_the_state(self, kyc: Setup) -> None:
        await kyc.submit()
        response = await kyc.client.post(
            "/users/1/kyc/erasure", json={"erasure": {"reason": "asked for"}, "actor": "officer"}
        )
        found = response.json()
        assert (found["state"], found["document"], found["tier"]["name"]) == ("erased", None, "UNVERIFIED")
        assert not await as_administrator(kyc.database, "SELECT * FROM compliance.kyc_data_keys")
        assert (await kyc.events())[-1] == "compliance.kyc.erased.v1"
        assert (await kyc.submit(2)).json()["state"] == "verified"


@pytest.mark.integration
class TestExpiry:
    async def test_a_document_expires_once_over_two_looks(self, kyc: Setup) -> None:
        await kyc.submit()
        kyc.now = datetime(2031, 7, 21, 23, tzinfo=UTC)
        await kyc.worker.expiry()
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "verified"
        kyc.now = datetime(2031, 7, 22, tzinfo=UTC)
        assert [await kyc.worker.expiry(), await kyc.worker.expiry()] == [1, 0]
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "expired"
        assert (await kyc.events()).count("compliance.kyc.expired.v1") == 1


@pytest.mark.integration
class TestWebhooks:
    @pytest.fixture
    async def submission_id(self, kyc: Setup) -> str:
        kyc.worker = kyc.worker_with(Later())
        kyc.client = kyc.client_with(kyc.worker)
        found = (await kyc.submit()).json()
        assert found["state"] == "submitted"
        return str(found["submission_id"])

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    async def test_any_order_has_the_same_end(self, kyc: Setup, submission_id: str, order: tuple[int, ...]) -> None:
        sent = [("review", 1), ("rejected", 2), ("verified", 3)]
        for index in order:
            result, minute = sent[index]
            for _ in range(2):
                response = await kyc.webhook(submission_id, result, NOW + timedelta(minutes=minute), f"e{index}")
                assert response.status_code == 200, response.text
        assert response.json() == {"duplicate": True}
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "verified"

    async def test_what_staff_decided_stays(self, kyc: Setup, submission_id: str) -> None:
        await kyc.decide("reject")
        await kyc.webhook(submission_id, "verified", NOW, "e1")
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "rejected"

    async def test_forged_stale_and_oversized_ones_change_nothing(self, kyc: Setup, submission_id: str) -> None:
        body = orjson.dumps(
            {"event_id": "e", "submission_id": submission_id, "result": "verified", "occurred_at": NOW.isoformat()}
        )
        answers = [
            await kyc.post_webhook(body, secret="x" * 40),
            await kyc.post_webhook(body, age_s=301),
            await kyc.post_webhook(body + b" " * 17_000),
            await kyc.post_webhook(b"{}"),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 400, 400]
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "submitted"
        assert not await as_administrator(kyc.database, "SELECT * FROM compliance.kyc_webhooks")
        assert b'langsense_webhooks_total{outcome="UNAUTHENTICATED",source="kyc"} 2.0' in kyc.metrics.exposition()
