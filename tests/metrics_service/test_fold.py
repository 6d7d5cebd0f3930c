"""What rows count as, and what a batch of them adds."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from metrics_service.domain.fold import OwedKey, Player, Total, by_day, fold
from shared.contracts.kinds import Account, Kind, Reason
from shared.figures import rules
from shared.figures.facts import LARGEST_WINS
from shared.figures.rules import Owed
from shared.testing import MOMENT, FakeLedger
from tests.metrics_service.conftest import UTC as ZONE
from tests.support import LANES

DAY = MOMENT.date()


def test_rows_that_count_alike_are_added_up(ledger: FakeLedger) -> None:
    rows = [
        ledger.add(Kind.GAME_BET, 1, 700),
        ledger.add(Kind.GAME_BET, 1, 300),
        ledger.add(Kind.GAME_BET, 1, 50, reason=Reason.INSUFFICIENT_FUNDS),
        ledger.add(Kind.GAME_BET, 1, 60, reason=Reason.EXPIRED),
    ]
    found = {(key.kind, key.status, key.reason): total for key, total in fold(rows, ZONE).totals.items()}
    assert found == {
        ("GAME_BET", "posted", ""): Total(2, 1000),
        ("GAME_BET", "refused", "INSUFFICIENT_FUNDS"): Total(1, 50),
        ("GAME_BET", "refused", "EXPIRED"): Total(1, 60),
    }


def test_lanes_and_currencies_are_kept_apart(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.DEPOSIT, user, 10, currency=each) for user in range(1, 21) for each in ("USD", "JPY")]
    totals = fold(rows, ZONE).totals
    assert {key.lane for key in totals} == set(range(LANES))
    assert {key.currency for key in totals} == {"USD", "JPY"}
    assert sum(total.rows for total in totals.values()) == len(rows)


def test_hours_of_a_day_are_one_day(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.DEPOSIT, 1, 10, at=MOMENT + timedelta(hours=hours)) for hours in (0, 1, 1)]
    totals = fold(rows, ZONE).totals
    assert {key.hour: total.rows for key, total in totals.items()} == {10: 1, 11: 2}
    assert list(by_day(totals).values()) == [Total(3, 30)]


def test_a_day_is_the_one_on_which_the_wallet_decided_by_the_platforms_clock(ledger: FakeLedger) -> None:
    before_midnight = datetime(2026, 11, 24, 23, 59, 59, 999999, tzinfo=UTC)
    row = ledger.add(Kind.DEPOSIT, 1, at=before_midnight)
    claims_otherwise = row.model_copy(update={"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)})
    abroad = row.model_copy(update={"created_at": before_midnight.astimezone(timezone(timedelta(hours=9)))})
    assert fold([row, claims_otherwise, abroad], ZONE).days() == {DAY}
    assert fold([row], ZoneInfo("Asia/Kathmandu")).days() == {date(2026, 11, 25)}


@pytest.mark.parametrize(
    ("reference", "game"),
    [("game_77", "game_77"), ("game_77:spin-9", "game_77"), ("a/b#c", "a"), ("slots-1", "slots-1"), (None, "")],
)
def test_a_reference_names_its_game_up_to_what_ends_it(reference: str | None, game: str) -> None:
    assert rules.game_of(Kind.GAME_BET, reference) == game
    assert rules.game_of(Kind.WITHDRAWAL_HOLD, reference) == ""


def test_what_is_owed_follows_the_accounts_that_a_row_names(ledger: FakeLedger) -> None:
    held = ledger.add(Kind.GAME_PAYOUT, 1, 900).model_copy(update={"credit": Account.RESERVED})
    rows = [
        ledger.add(Kind.DEPOSIT, 1, 1000),
        ledger.add(Kind.GAME_BET, 1, 100),
        ledger.add(Kind.GAME_BET, 1, 7, reason=Reason.EXPIRED),
        ledger.add(Kind.WITHDRAWAL_HOLD, 1, 30),
        held,
    ]
    assert fold(rows, ZONE).owed == {OwedKey(held.lane, DAY, "USD"): Owed(870, 930)}


def test_who_bets_is_active_and_who_moves_money_first_is_new(ledger: FakeLedger) -> None:
    later = MOMENT + timedelta(days=1)
    rows = [
        ledger.add(Kind.DEPOSIT, 1, 1000),
        ledger.add(Kind.GAME_BET, 1, 100, at=later),
        ledger.add(Kind.GAME_BET, 2, 100, reason=Reason.INSUFFICIENT_FUNDS),
        ledger.add(Kind.EXCLUSION, 3, 0, currency="XXX"),
    ]
    found = fold(rows, ZONE)
    assert found.bettors == {(later.date(), Player(1, "USD"))}
    assert found.first_days == {Player(1, "USD"): DAY}


def test_a_reversal_counts_against_what_it_takes_back(ledger: FakeLedger) -> None:
    row = ledger.add(Kind.REVERSAL, 1, 100).model_copy(update={"facts": {"reversed_kind": "CHARGEBACK"}})
    unsaid = ledger.add(Kind.REVERSAL, 1, 100)
    assert [key.of_kind for key in fold([row, unsaid], ZONE).totals] == ["CHARGEBACK", ""]
    assert rules.signed("chargebacks", "REVERSAL", "CHARGEBACK") == -1
    assert rules.signed("chargebacks", "REVERSAL", "") == rules.signed("deposits", "REVERSAL", "CHARGEBACK") == 0


def test_only_the_largest_wins_are_kept_and_of_equal_ones_the_first(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.GAME_PAYOUT, 1, amount) for amount in [5, *range(1, 20), 19]]
    found = fold(rows, ZONE)
    assert len(found.wins) == LARGEST_WINS
    assert [(win.amount_minor, win.position) for win in found.wins[:3]] == [(19, 20), (19, 21), (18, 19)]


def test_the_cut_is_the_last_row_of_each_lane(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.DEPOSIT, user, 10) for user in range(1, 30)]
    last = {row.lane: row for row in rows}
    assert {lane: (cut.position, cut.head) for lane, cut in fold(rows, ZONE).cut.items()} == {
        lane: (row.position, row.checksum) for lane, row in last.items()
    }
