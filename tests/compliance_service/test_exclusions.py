"""Exclusions as a whole: asked for, decided by a wallet that is made up, ended, expired; and what rules refuse."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain import exclusions as domain
from compliance_service.domain.exclusions import ACTIVE, MOVES, Actor, Asked, Exclusion, Step, decided, request, step
from compliance_service.repository import exclusions as repository
from compliance_service.settings import Settings
from shared import jurisdictions
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.exclusions import ExclusionState, ExclusionType
from shared.contracts.kinds import Kind
from shared.errors import ExclusionPermanent, ExclusionRefused, ExclusionShortened, Forbidden, ServiceUnavailable
from shared.money import NO_CURRENCY
from shared.testing import MOMENT
from tests.compliance_service.exclusion_support import PLAYER, FakeWallet, Setup

OTHER = 43
HOUR = timedelta(hours=1)
ITSELF, STAFF = Actor("player:42", by_staff=False), Actor("ann", by_staff=True)
DEFAULT, UK = jurisdictions.load("default"), jurisdictions.load("uk")
ALLOWED = {
    ("none", "request"): "requested",
    ("none", "acknowledge"): "in_force",
    ("requested", "acknowledge"): "in_force",
    ("requested", "refuse"): "refused",
    ("in_force", "request_end"): "end_requested",
    ("in_force", "replace"): "ended",
    ("in_force", "end"): "ended",
    ("in_force", "expire"): "expired",
    ("end_requested", "revoke_end"): "in_force",
    ("end_requested", "refuse_end"): "in_force",
    ("end_requested", "replace"): "ended",
    ("end_requested", "end"): "ended",
    ("end_requested", "expire"): "expired",
}


@pytest.fixture
async def setup(engine: AsyncEngine, settings: Settings) -> AsyncIterator[Setup]:
    made = Setup(engine, settings)
    yield made
    await made.client.aclose()


def an_exclusion(state: ExclusionState, **fields: Any) -> Exclusion:
    given: dict[str, Any] = {
        **{"id": uuid4(), "user_id": PLAYER, "type": ExclusionType.TEMPORARY, "time_out": False, "state": state},
        **{"reason": "enough", "actor": "player:42", "by_staff": False, "requested_at": MOMENT, "command_id": uuid4()},
        **{"until": MOMENT + 48 * HOUR, "since": MOMENT, "lane": 0, "position": 7},
    }
    return Exclusion(**given | fields)


def asked(kind: ExclusionType, hours: int | None, by: Actor = ITSELF) -> Asked:
    return Asked(uuid4(), kind, hours, "enough", by)


@pytest.mark.parametrize(("state", "taken"), list(product(ExclusionState, Step)))
def test_each_step_leads_where_the_table_says_and_nowhere_else(state: ExclusionState, taken: Step) -> None:
    change = step(an_exclusion(state), taken)
    expected = ALLOWED.get((state.value, taken.value))
    assert (change.after.state.value if change else None) == expected
    assert {state for state in ExclusionState if MOVES.get(state)} == {
        *(ExclusionState.NONE, ExclusionState.REQUESTED, ExclusionState.IN_FORCE, ExclusionState.END_REQUESTED)
    }


class TestRules:
    @pytest.mark.parametrize(
        ("kind", "hours", "code"),
        [
            ("TEMPORARY", 23, "EXCLUSION_TOO_SHORT"),
            ("TEMPORARY", 1009, "EXCLUSION_TOO_LONG"),
            ("EXTENDED", 4319, "EXCLUSION_TOO_SHORT"),
            ("EXTENDED", 43849, "EXCLUSION_TOO_LONG"),
            ("TEMPORARY", None, "VALIDATION_FAILED"),
            ("PERMANENT", 24, "VALIDATION_FAILED"),
            ("FOR_FUN", 24, "VALIDATION_FAILED"),
            ("TEMPORARY", 0, "VALIDATION_FAILED"),
        ],
    )
    @pytest.mark.integration
    async def test_what_is_wrong_is_named_with_its_field(
        self, setup: Setup, kind: str, hours: int | None, code: str
    ) -> None:
        response = await setup.ask(kind, hours)
        assert (response.status_code, response.json()["code"]) == (422, code)
        (error,) = response.json()["errors"]
        assert error["field"].split(".")[-1] == ("type" if kind == "FOR_FUN" else "duration_hours")
        assert setup.wallet.asked == []

    def test_a_type_that_the_pack_does_not_have_is_refused(self) -> None:
        permanent = {ExclusionType.PERMANENT: DEFAULT.exclusions[ExclusionType.PERMANENT]}
        less = DEFAULT.model_copy(update={"exclusions": permanent})
        with pytest.raises(Exception, match="has PERMANENT, and no TEMPORARY") as raised:
            request(PLAYER, asked(ExclusionType.TEMPORARY, 24), [], less, MOMENT)
        assert getattr(raised.value, "code", None) == "EXCLUSION_NOT_OFFERED"

    def test_it_is_extended_freely_and_never_shortened(self) -> None:
        active = an_exclusion(ExclusionState.END_REQUESTED, ends_at=MOMENT + 24 * HOUR)
        with pytest.raises(ExclusionShortened):
            request(PLAYER, asked(ExclusionType.TEMPORARY, 47), [active], DEFAULT, MOMENT)
        revoked, requested = request(PLAYER, asked(ExclusionType.TEMPORARY, 48), [active], DEFAULT, MOMENT)
        assert (revoked.after.state, revoked.after.ends_at) == (ExclusionState.IN_FORCE, None)
        assert requested.after.until == MOMENT + 48 * HOUR
        over = [an_exclusion(ExclusionState.IN_FORCE, until=MOMENT)]
        assert len(request(PLAYER, asked(ExclusionType.TEMPORARY, 24), over, DEFAULT, MOMENT)) == 1

    def test_what_is_about_to_end_is_not_extended_by_what_its_end_would_end(self) -> None:
        active = an_exclusion(ExclusionState.END_REQUESTED, ends_at=MOMENT + timedelta(seconds=4))
        with pytest.raises(ServiceUnavailable):
            request(PLAYER, asked(ExclusionType.PERMANENT, None), [active], DEFAULT, MOMENT)

    def test_nothing_is_longer_than_for_ever_but_staff_makes_it_its_own(self) -> None:
        own = an_exclusion(ExclusionState.IN_FORCE, type=ExclusionType.PERMANENT, until=None)
        for by, kind, hours in ((ITSELF, "PERMANENT", None), (STAFF, "EXTENDED", 4320)):
            with pytest.raises(ExclusionPermanent):
                request(PLAYER, asked(ExclusionType(kind), hours, by), [own], DEFAULT, MOMENT)
        (change,) = request(PLAYER, asked(ExclusionType.PERMANENT, None, STAFF), [own], DEFAULT, MOMENT)
        assert change.after.by_staff

    def test_staff_alone_ends_what_staff_began_however_it_was_extended(self) -> None:
        active = an_exclusion(ExclusionState.IN_FORCE, by_staff=True)
        (change,) = request(PLAYER, asked(ExclusionType.TEMPORARY, 48), [active], DEFAULT, MOMENT)
        assert change.after.by_staff
        with pytest.raises(Forbidden):
            domain.request_end(active, ITSELF, DEFAULT, MOMENT)
        ended = domain.request_end(active, STAFF, DEFAULT, MOMENT)
        assert ended is not None
        assert ended.after.ends_at == MOMENT + 24 * HOUR

    @pytest.mark.parametrize(
        ("pack", "kind", "time_out", "expected"),
        [
            ("default", "TEMPORARY", False, 24),
            ("default", "EXTENDED", False, 168),
            ("default", "PERMANENT", False, "EXCLUSION_PERMANENT"),
            ("malta", "PERMANENT", False, 168),
            ("uk", "TEMPORARY", False, "EXCLUSION_ENDS_LATER"),
            ("default", "TEMPORARY", True, "EXCLUSION_ENDS_LATER"),
        ],
    )
    def test_how_it_ends_early_is_the_packs(self, pack: str, kind: str, time_out: bool, expected: Any) -> None:
        until = None if kind == "PERMANENT" else MOMENT + 48 * HOUR
        active = an_exclusion(ExclusionState.IN_FORCE, type=ExclusionType(kind), until=until, time_out=time_out)
        if isinstance(expected, str):
            with pytest.raises(ExclusionRefused) as raised:
                domain.request_end(active, ITSELF, jurisdictions.load(pack), MOMENT)
            assert raised.value.code == expected
            return
        change = domain.request_end(active, ITSELF, jurisdictions.load(pack), MOMENT)
        assert change is not None
        assert change.after.ends_at == MOMENT + expected * HOUR


@pytest.mark.integration
class TestInForce:
    async def test_it_is_in_force_when_the_wallet_acknowledged_it(self, setup: Setup) -> None:
        found = (await setup.ask()).json()
        assert (found["state"], found["position"]) == ("in_force", 1)
        command = setup.wallet.asked[0]
        assert (command.kind, command.until) == (Kind.EXCLUSION, MOMENT + 24 * HOUR)
        assert await setup.told() == ["compliance.exclusion.requested.v1", "compliance.exclusion.started.v1"]
        assert await setup.column("SELECT action FROM audit_log") == ["EXCLUSION_REQUEST"]
        await setup.hear(*setup.wallet.rows)
        assert len(await setup.told()) == 2

    async def test_a_retry_is_the_same_exclusion_and_another_one_under_its_id_is_refused(self, setup: Setup) -> None:
        number = uuid4()
        first, again = await setup.ask(number=number), await setup.ask(number=number)
        assert first.json() == again.json()
        assert len(setup.wallet.asked) == 1
        other = await setup.ask(hours=25, number=number)
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        body = {"id": str(number), "exclusion": {"type": "PERMANENT", "reason": "x"}, "actor": "x", "by_staff": False}
        foreign = await setup.client.post(f"/users/{OTHER}/exclusions", json=body)
        assert foreign.json()["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert (await setup.client.get(f"/users/{OTHER}/exclusions/{number}")).status_code == 404

    @pytest.mark.parametrize("trouble", ["away", "silent"])
    async def test_without_a_decision_it_waits_and_is_asked_for_again_with_growing_pauses(
        self, setup: Setup, trouble: str
    ) -> None:
        setattr(setup.wallet, trouble, True)
        found = (await setup.ask()).json()
        assert found["state"] == "requested"
        looks = []
        for second in range(30):
            setup.now = MOMENT + timedelta(seconds=second)
            looks += [second] * await setup.worker.asking()
        assert looks == [3, 5, 9, 17]
        setattr(setup.wallet, trouble, False)
        setup.now = MOMENT + timedelta(seconds=33)
        assert await setup.worker.asking() == 1
        assert (await setup.get(found["id"]))["state"] == "in_force"
        setup.now += 10 * HOUR
        assert await setup.worker.asking() == 0

    async def test_what_the_wallet_refuses_says_why(self, setup: Setup) -> None:
        setup.wallet.until = MOMENT + 100 * HOUR
        found = (await setup.ask()).json()
        assert (found["state"], found["refusal"]) == ("refused", "EXCLUSION_SHORTENED")
        assert await setup.told() == ["compliance.exclusion.requested.v1"]

    async def test_an_extension_ends_what_it_extends(self, setup: Setup) -> None:
        first = (await setup.ask()).json()
        second = (await setup.ask("EXTENDED", 4320)).json()
        before = await setup.get(first["id"])
        assert (before["state"], before["replaced_by"]) == ("ended", second["id"])
        listed = (await setup.client.get(f"/users/{PLAYER}/exclusions?limit=1")).json()
        assert [each["exclusion"]["id"] for each in listed] == [second["id"]]
        more = (await setup.client.get(f"/users/{PLAYER}/exclusions?before={listed[0]['number']}")).json()
        assert [each["exclusion"]["id"] for each in more] == [first["id"]]

    async def test_it_expires_by_itself_and_that_is_told_once(self, setup: Setup) -> None:
        found = (await setup.ask()).json()
        setup.now += 24 * HOUR - timedelta(seconds=1)
        assert await setup.worker.expiry() == 0
        setup.now += timedelta(seconds=1)
        assert [await setup.worker.expiry(), await setup.worker.expiry()] == [1, 0]
        assert (await setup.get(found["id"]))["state"] == "expired"
        assert (await setup.told())[-1] == "compliance.exclusion.expired.v1"
        assert await setup.column("SELECT actor FROM audit_log WHERE action = 'EXCLUSION_EXPIRE'") == [
            "compliance_service"
        ]

    async def test_what_is_over_when_the_next_one_begins_has_expired_and_was_not_replaced(self, setup: Setup) -> None:
        first = (await setup.ask()).json()
        setup.now += 25 * HOUR
        assert (await setup.ask()).json()["state"] == "in_force"
        found = await setup.get(first["id"])
        assert (found["state"], found["replaced_by"]) == ("expired", None)
        assert found["ended_at"] == found["until"]

    async def test_a_time_out_is_short_and_a_temporary_exclusion_to_the_wallet(self, setup: Setup) -> None:
        body = {"id": str(uuid4()), "time_out": {"duration_hours": 1}}
        found = (await setup.post("time-outs", body)).json()
        assert (found["state"], found["time_out"], found["type"]) == ("in_force", True, "TEMPORARY")
        assert setup.wallet.asked[0].until == MOMENT + HOUR
        long = await setup.post("time-outs", {"id": str(uuid4()), "time_out": {"duration_hours": 1009}})
        assert long.json()["code"] == "EXCLUSION_TOO_LONG"


@pytest.mark.integration
class TestEnding:
    async def test_it_ends_after_its_wait_by_the_wallets_decision(self, setup: Setup) -> None:
        found = (await setup.ask(hours=48)).json()
        path = f"exclusions/{found['id']}/ending"
        ending = (await setup.post(path)).json()
        assert ending["state"] == "end_requested"
        assert (await setup.post(path)).json()["ends_at"] == ending["ends_at"]
        setup.now += 24 * HOUR - timedelta(seconds=1)
        assert await setup.worker.asking() == 0
        setup.now += timedelta(seconds=1)
        assert await setup.worker.asking() == 1
        assert setup.wallet.asked[-1].kind is Kind.EXCLUSION_END
        assert (await setup.get(found["id"]))["state"] == "end_requested"
        await setup.hear(*setup.wallet.rows)
        await setup.hear(*setup.wallet.rows)
        assert (await setup.get(found["id"]))["state"] == "ended"
        assert (await setup.told())[-2:] == ["compliance.exclusion.end-requested.v1", "compliance.exclusion.ended.v1"]
        setup.now += 24 * HOUR
        assert await setup.worker.asking() + await setup.worker.expiry() == 0

    async def test_an_end_that_is_given_up_does_not_come(self, setup: Setup) -> None:
        found = (await setup.ask(hours=48)).json()
        path = f"exclusions/{found['id']}/ending"
        await setup.post(path)
        assert (await setup.post(f"{path}/withdrawal")).json()["state"] == "in_force"
        again = await setup.post(f"{path}/withdrawal")
        assert (again.status_code, again.json()["code"]) == (422, "EXCLUSION_NOT_IN_FORCE")
        setup.now += 30 * HOUR
        assert await setup.worker.asking() == 0
        assert await setup.column("SELECT action FROM audit_log ORDER BY number") == [
            *("EXCLUSION_REQUEST", "EXCLUSION_REQUEST_END", "EXCLUSION_REVOKE_END")
        ]

    async def test_a_permanent_one_is_not_lifted(self, setup: Setup) -> None:
        found = (await setup.ask("PERMANENT", None)).json()
        response = await setup.post(f"exclusions/{found['id']}/ending", by_staff=True)
        assert (response.status_code, response.json()["code"]) == (422, "EXCLUSION_PERMANENT")
        assert response.json()["errors"][0]["field"] == "type"

    async def test_there_is_no_end_of_what_is_not_there(self, setup: Setup) -> None:
        assert (await setup.post(f"exclusions/{uuid4()}/ending")).status_code == 404


SUSPENSION: dict[str, Any] = {"suspension": {"reason": "chargebacks", "details": "three cards\nin one hour"}}


@pytest.mark.integration
class TestSuspension:
    async def test_it_excludes_for_ever_opens_an_incident_and_tells(self, setup: Setup) -> None:
        number = str(uuid4())
        made = (await setup.post("suspension", SUSPENSION | {"id": number}, by_staff=True)).json()
        assert (made["exclusion"]["type"], made["exclusion"]["state"]) == ("PERMANENT", "in_force")
        assert made["incident"]["details"] == "three cards\nin one hour"
        assert "compliance.player.suspended.v1" in await setup.told()
        assert not [body for body in await setup.column("SELECT body::text FROM outbox") if "cards" in body]
        assert await setup.column("SELECT action FROM audit_log ORDER BY number") == [
            *("EXCLUSION_REQUEST", "PLAYER_SUSPEND")
        ]
        again = (await setup.post("suspension", SUSPENSION | {"id": number}, by_staff=True)).json()
        assert again == made
        assert len(await setup.told()) == 3

    async def test_another_incident_of_who_is_suspended_keeps_the_exclusion(self, setup: Setup) -> None:
        first = (await setup.post("suspension", SUSPENSION | {"id": str(uuid4())}, by_staff=True)).json()
        second = (await setup.post("suspension", SUSPENSION | {"id": str(uuid4())}, by_staff=True)).json()
        assert second["exclusion"]["id"] == first["exclusion"]["id"]
        assert second["incident"]["id"] != first["incident"]["id"]
        assert len(setup.wallet.asked) == 1


@pytest.mark.integration
class TestOfOthers:
    """What others ask of the wallet directly, as the ledger tells it."""

    def command(self, kind: Kind, hours: int | None = None) -> Command:
        return Command(
            command_id=uuid4(),
            kind=kind,
            user_id=PLAYER,
            amount_minor=0,
            currency=NO_CURRENCY,
            reference_id="PERMANENT" if hours is None else "TEMPORARY",
            reason="seen",
            actor="risk-engine",
            occurred_at=MOMENT,
            until=None if hours is None else MOMENT + hours * HOUR,
        )

    async def test_they_are_kept_with_the_rest_and_are_staffs(self, setup: Setup) -> None:
        row = setup.wallet.decide(self.command(Kind.EXCLUSION, 50))
        await setup.hear(row)
        await setup.hear(row)
        (listed,) = (await setup.client.get(f"/users/{PLAYER}/exclusions")).json()
        found = listed["exclusion"]
        assert (found["state"], found["actor"], found["by_staff"]) == ("in_force", "risk-engine", True)
        assert (await setup.ask(hours=49)).json()["code"] == "EXCLUSION_SHORTENED"
        assert (await setup.post(f"exclusions/{found['id']}/ending")).status_code == 403

    async def test_a_type_that_is_not_known_yet_is_kept_as_what_it_comes_to(self, setup: Setup) -> None:
        row = setup.wallet.decide(self.command(Kind.EXCLUSION)).model_copy(update={"reference_id": "NEW"})
        await setup.hear(row)
        assert await setup.column("SELECT type FROM exclusions") == ["PERMANENT"]

    async def test_their_ends_end_whatever_is_in_force(self, setup: Setup) -> None:
        found = (await setup.ask(hours=48)).json()
        setup.wallet.decide(self.command(Kind.EXCLUSION_END))
        await setup.hear(*setup.wallet.rows)
        assert (await setup.get(found["id"]))["state"] == "ended"

    async def test_rows_that_come_late_change_nothing_of_what_came_after_them(self, setup: Setup) -> None:
        setup.wallet.decide(self.command(Kind.EXCLUSION, 25))
        setup.wallet.decide(self.command(Kind.EXCLUSION_END))
        found = (await setup.ask(hours=30)).json()
        await setup.hear(*setup.wallet.rows)
        assert (await setup.get(found["id"]))["state"] == "in_force"
        states = await setup.column("SELECT state FROM exclusions ORDER BY position")
        assert states == ["ended", "in_force"]


def test_whichever_order_rows_are_seen_in_one_exclusion_is_in_force() -> None:
    rows: Sequence[LedgerEvent] = _rows([30, 40, 50])
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2)):
        known: dict[UUID, Exclusion] = {}
        for index in order:
            known |= {change.after.id: change.after for change in decided(list(known.values()), rows[index])}
        active = [exclusion for exclusion in known.values() if exclusion.state in ACTIVE]
        assert [exclusion.position for exclusion in active] == [3], order


def _rows(hours: Sequence[int]) -> list[LedgerEvent]:
    setup: Any = type("Clock", (), {"now": MOMENT})
    wallet = FakeWallet(setup)
    made = TestOfOthers()
    return [wallet.row(made.command(Kind.EXCLUSION, each), None) for each in hours]


def test_the_longest_pause_is_bounded() -> None:
    assert repository.LONGEST_PAUSE_S <= 60
    assert UK.exclusions[ExclusionType.TEMPORARY].end_after_h is None
