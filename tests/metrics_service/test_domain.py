"""Daily figures."""

from datetime import UTC, date, datetime, timedelta, timezone

from metrics_service.domain import KindFigures, Line, Total, TotalKey, figures, fold
from shared.contracts.kinds import Kind, Reason
from shared.testing import FakeLedger
from tests.support import LANES

DAY = date(2026, 11, 24)


def key(lane: int, kind: Kind, status: str = "posted", reason: str = "", day: date = DAY) -> TotalKey:
    return TotalKey(lane, day, "USD", kind, status, reason)


def test_rows_of_one_lane_day_currency_kind_status_and_reason_are_added_up(ledger: FakeLedger) -> None:
    rows = [
        ledger.add(Kind.GAME_BET, 1, 700),
        ledger.add(Kind.GAME_BET, 1, 300),
        ledger.add(Kind.GAME_BET, 1, 50, reason=Reason.INSUFFICIENT_FUNDS),
        ledger.add(Kind.GAME_BET, 1, 60, reason=Reason.EXPIRED),
        ledger.add(Kind.GAME_PAYOUT, 1, 2000),
    ]
    lane = rows[0].lane
    assert fold(rows) == {
        key(lane, Kind.GAME_BET): Total(2, 1000),
        key(lane, Kind.GAME_BET, "refused", "INSUFFICIENT_FUNDS"): Total(1, 50),
        key(lane, Kind.GAME_BET, "refused", "EXPIRED"): Total(1, 60),
        key(lane, Kind.GAME_PAYOUT): Total(1, 2000),
    }


def test_lanes_and_currencies_are_kept_apart(ledger: FakeLedger) -> None:
    rows = [
        ledger.add(Kind.DEPOSIT, user_id, 10, currency=currency)
        for user_id in range(1, 21)
        for currency in ("USD", "JPY")
    ]
    totals = fold(rows)
    assert {key.lane for key in totals} == set(range(LANES))
    assert all(key.currency in {"USD", "JPY"} for key in totals)
    assert sum(total.rows for total in totals.values()) == len(rows)


def test_the_day_is_the_utc_day_on_which_the_wallet_decided(ledger: FakeLedger) -> None:
    before_midnight = datetime(2026, 11, 24, 23, 59, 59, 999999, tzinfo=UTC)
    same_moment_in_tokyo = before_midnight.astimezone(timezone(timedelta(hours=9)))
    row = ledger.add(Kind.DEPOSIT, 1, at=before_midnight)
    claims_otherwise = row.model_copy(update={"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)})
    abroad = row.model_copy(update={"created_at": same_moment_in_tokyo})
    next_day = ledger.add(Kind.DEPOSIT, 1, at=before_midnight + timedelta(microseconds=1))
    assert {key.day for key in fold([row, claims_otherwise, abroad])} == {DAY}
    assert {key.day for key in fold([next_day])} == {date(2026, 11, 25)}


def test_a_currency_shows_its_kinds_its_revenue_and_its_refusals() -> None:
    found = figures(
        [
            Line("USD", "GAME_BET", "posted", "", 10, 10_000),
            Line("USD", "GAME_BET", "refused", "INSUFFICIENT_FUNDS", 3, 900),
            Line("USD", "WITHDRAWAL", "refused", "INSUFFICIENT_FUNDS", 2, 500),
            Line("USD", "GAME_PAYOUT", "posted", "", 4, 6_000),
            Line("USD", "BET_ROLLBACK", "posted", "", 1, 1_000),
            Line("USD", "PAYOUT_ROLLBACK", "posted", "", 1, 200),
            Line("USD", "DEPOSIT", "posted", "", 1, 50_000),
            Line("JPY", "GAME_BET", "posted", "", 1, 7),
        ]
    )
    assert set(found) == {"USD", "JPY"}
    dollars = found["USD"]
    assert dollars.ggr_minor == 10_000 - 1_000 - 6_000 + 200
    assert dollars.kinds["GAME_BET"] == KindFigures(posted=10, refused=3, amount_minor=10_000)
    assert dollars.kinds["WITHDRAWAL"] == KindFigures(posted=0, refused=2, amount_minor=0)
    assert dollars.refusals == {"INSUFFICIENT_FUNDS": 5}
    assert found["JPY"].ggr_minor == 7


def test_a_rollback_that_moved_nothing_counts_as_posted_with_no_amount() -> None:
    found = figures([Line("USD", "BET_ROLLBACK", "posted", "ORIGINAL_NOT_SEEN", 2, 0)])
    assert found["USD"].kinds["BET_ROLLBACK"] == KindFigures(posted=2, refused=0, amount_minor=0)
    assert found["USD"].refusals == {}


def test_no_rows_are_no_figures() -> None:
    assert fold([]) == {}
    assert figures([]) == {}
