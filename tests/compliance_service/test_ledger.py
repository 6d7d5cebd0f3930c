"""What the service takes from the ledger's rows: entries of the audit log, each once, and the figures of its audits."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service import tables
from compliance_service.domain.audit import of_ledger
from compliance_service.domain.watching import Thresholds
from compliance_service.handlers.ledger import applying
from compliance_service.repository.audit import AuditLog, Sought
from compliance_service.repository.figures import ComplianceAudits
from compliance_service.settings import Settings
from shared import clock
from shared.contracts import actors
from shared.contracts.audit import Figures
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason, Status
from shared.inbox import LedgerInbox
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.support import Recorder, record

HOUR = timedelta(hours=1)
PLAYER, OTHER = 42, 43


class Rows:
    """Makes rows of one lane, an hour apart."""

    def __init__(self) -> None:
        self.made: list[LedgerEvent] = []
        self._ledger = FakeLedger(1)

    def add(self, kind: Kind, user_id: int = PLAYER, amount_minor: int = 1000, **fields: Any) -> LedgerEvent:
        at = MOMENT + len(self.made) * HOUR
        row = self._ledger.add(kind, user_id, amount_minor, at=at).model_copy(update=fields)
        self.made.append(row)
        return row


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_an_override_says_what_held_before_and_what_holds_now(rows: Rows) -> None:
    facts = {"before": 50_000, "after": 90_000, "after_override": 90_000}
    row = rows.add(
        Kind.LIMIT_OVERRIDE,
        amount_minor=0,
        actor="ann",
        stated_reason="asked for",
        reference_id="DAILY_LOSS_LIMIT",
        facts=facts,
    )
    (entry,) = of_ledger([row])
    assert (entry.action, entry.user_id, entry.actor, entry.reason) == ("LIMIT_OVERRIDE", PLAYER, "ann", "asked for")
    assert entry.before == {"value": 50_000}
    assert entry.after is not None
    assert entry.after.items() >= {"value": 90_000, "override": 90_000, "reference_id": "DAILY_LOSS_LIMIT"}.items()


def test_what_a_player_does_to_its_own_limit_is_for_the_record_and_its_play_is_not(rows: Rows) -> None:
    rows.add(Kind.LIMIT_REQUEST)
    rows.add(Kind.GAME_BET)
    rows.add(Kind.EXCLUSION, status=Status.REFUSED, reason=Reason.EXCLUSION_SHORTENED)
    entries = list(of_ledger(rows.made))
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("LIMIT_REQUEST", f"player:{PLAYER}"),
        ("EXCLUSION", f"player:{PLAYER}"),
    ]
    assert entries[1].after is not None
    assert entries[1].after["refusal"] == "EXCLUSION_SHORTENED"


def test_what_payments_move_is_no_act_of_staff_and_what_needs_a_reason_is_whoever_names_itself(rows: Rows) -> None:
    for kind in (Kind.DEPOSIT, Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE):
        rows.add(kind, actor=actors.PAYMENTS)
    for kind in (Kind.ADJUSTMENT_CREDIT, Kind.REVERSAL, Kind.KYC_TIER):
        rows.add(kind, actor=actors.PAYMENTS)
    rows.add(Kind.DEPOSIT, actor="ann")
    assert [(entry.action, entry.actor) for entry in of_ledger(rows.made)] == [
        ("ADJUSTMENT_CREDIT", actors.PAYMENTS),
        ("REVERSAL", actors.PAYMENTS),
        ("KYC_TIER", actors.PAYMENTS),
        ("DEPOSIT", "ann"),
    ]


def test_thresholds_tell_large_deposits_from_those_just_under() -> None:
    thresholds = Thresholds({"USD": 1000}, percent=80, count=3, within_h=72)
    assert [thresholds.of("USD", amount) for amount in (799, 800, 999, 1000)] == [None, False, False, True]
    assert thresholds.of("EUR", 10**9) is None


@pytest.mark.integration
class TestFigures:
    """As they are counted from rows that come in batches, and twice."""

    @pytest.fixture
    def inbox(self, engine: AsyncEngine, settings: Settings) -> LedgerInbox:
        return LedgerInbox(
            engine=engine,
            table=tables.inbox,
            journal=FakeLedger(1),
            publisher=Recorder(),
            apply=applying(settings, clock.utc_now),
            metrics=Metrics(),
        )

    async def taken(
        self, inbox: LedgerInbox, engine: AsyncEngine, made: Sequence[LedgerEvent], at_once: int
    ) -> Figures:
        for first in range(0, len(made), at_once):
            batch = [record(row.model_dump_json().encode()) for row in made[first : first + at_once]]
            await inbox.take(batch)
            await inbox.take(batch)
        audits = ComplianceAudits(engine, Thresholds({"USD": 1_000_000}, 80, 3, 72), "UNVERIFIED")
        return await audits.figures(MOMENT, datetime(2027, 1, 1, tzinfo=UTC))

    async def test_each_row_is_recorded_once(self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows) -> None:
        for _ in range(5):
            rows.add(Kind.ADJUSTMENT_CREDIT, actor="ann", command_id=uuid4())
        await self.taken(inbox, engine, rows.made, 2)
        found = await AuditLog(engine).page(Sought(), before=None, limit=100)
        assert [row.request_id for row in reversed(found)] == [str(row.command_id) for row in rows.made]

    @pytest.mark.parametrize("at_once", [1, 100])
    async def test_a_bet_in_spite_of_an_exclusion_is_a_breach(
        self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows, at_once: int
    ) -> None:
        rows.add(Kind.GAME_BET)
        rows.add(Kind.EXCLUSION, reference_id="PERMANENT", facts={"until": "for ever"})
        rows.add(Kind.GAME_BET, OTHER)
        rows.add(Kind.GAME_BET, status=Status.REFUSED, reason=Reason.SELF_EXCLUDED)
        rows.add(Kind.GAME_PAYOUT)
        breaches = [rows.add(Kind.GAME_BET), rows.add(Kind.DEPOSIT)]
        rows.add(Kind.EXCLUSION_END, reference_id="PERMANENT")
        rows.add(Kind.GAME_BET)
        found = await self.taken(inbox, engine, rows.made, at_once)
        assert [(each.position, each.kind, each.excluded_at) for each in found.breaches] == [
            (row.position, row.kind, 2) for row in breaches
        ]
        assert (found.breach_count, found.exclusions_in_force) == (2, {})

    async def test_an_exclusion_that_is_over_bars_nothing(
        self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows
    ) -> None:
        until = (MOMENT + HOUR).isoformat()
        rows.add(Kind.EXCLUSION, reference_id="TEMPORARY", facts={"until": until})
        rows.add(Kind.GAME_BET)
        found = await self.taken(inbox, engine, rows.made, 10)
        assert (found.breach_count, found.exclusions_in_force) == (0, {})

    async def test_players_are_counted_by_tier_and_exclusions_in_force_by_type(
        self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows
    ) -> None:
        rows.add(Kind.KYC_TIER, reference_id="VERIFIED")
        rows.add(Kind.EXCLUSION, reference_id="PERMANENT", facts={"until": "for ever"})
        rows.add(Kind.DEPOSIT, OTHER)
        found = await self.taken(inbox, engine, rows.made, 1)
        assert (found.players, found.verified, found.tiers) == (2, 1, {"UNVERIFIED": 1, "VERIFIED": 1})
        assert found.exclusions_in_force == {"PERMANENT": 1}
        assert found.positions == {"0": 3}

    async def test_raises_are_held_to_their_wait(self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows) -> None:
        limit: dict[str, Any] = {"reference_id": "DAILY_LOSS_LIMIT"}
        late = (MOMENT + 24 * HOUR).isoformat()
        rows.add(Kind.LIMIT_REQUEST, facts={"pending": 9, "pending_from": late}, **limit)
        rows.add(Kind.LIMIT_REQUEST, OTHER, facts={"after_own": 5}, **limit)
        rows.add(Kind.LIMIT_CONFIRMATION, facts={"after_own": 9}, **limit)
        found = await self.taken(inbox, engine, rows.made, 10)
        assert found.limit_changes == {"LIMIT_CONFIRMATION": 1, "LIMIT_REQUEST": 2}
        assert found.raises_requested == 1
        assert (found.waits.confirmed, found.waits.early, found.waits.shortest_s) == (1, 1, 7200)

    async def test_large_deposits_and_several_just_under_are_told(
        self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows
    ) -> None:
        rows.add(Kind.DEPOSIT, OTHER, 1_000_000)
        for amount in (900_000, 799_999, 900_000, 999_999):
            rows.add(Kind.DEPOSIT, PLAYER, amount)
        rows.add(Kind.DEPOSIT, OTHER, 900_000)
        found = await self.taken(inbox, engine, rows.made, 10)
        assert [(each.user_id, each.amount) for each in found.large_deposits.listed] == [(OTHER, 1_000_000)]
        (structured,) = found.structured_deposits.listed
        assert (structured.user_id, structured.deposits, structured.amount) == (PLAYER, 3, 2_799_999)

    async def test_deposits_far_apart_are_not_structured(
        self, inbox: LedgerInbox, engine: AsyncEngine, rows: Rows
    ) -> None:
        for day in (0, 3, 6, 9):
            rows.add(Kind.DEPOSIT, PLAYER, 900_000, created_at=MOMENT + day * 25 * HOUR)
        found = await self.taken(inbox, engine, rows.made, 10)
        assert found.structured_deposits.count == 0
