"""How fast a player bets."""

from datetime import UTC, datetime, timedelta, timezone

from fraud_service.domain.velocity import Bucket, PlayerMinute, Velocity, fold, velocity, window_start
from shared.contracts.kinds import Kind, Reason
from shared.testing import MOMENT, FakeLedger

NOW = datetime(2026, 11, 24, 10, 30, 42, tzinfo=UTC)


def minutes_ago(count: int) -> datetime:
    return NOW.replace(second=0) - timedelta(minutes=count)


def test_posted_bets_are_counted_by_player_and_minute(ledger: FakeLedger) -> None:
    rows = [
        ledger.add(Kind.GAME_BET, 1, at=MOMENT),
        ledger.add(Kind.GAME_BET, 1, at=MOMENT + timedelta(seconds=59, microseconds=999_999)),
        ledger.add(Kind.GAME_BET, 1, at=MOMENT + timedelta(seconds=60)),
        ledger.add(Kind.GAME_BET, 2, at=MOMENT),
    ]
    assert fold(rows).bets == {
        PlayerMinute(1, MOMENT): 2,
        PlayerMinute(1, MOMENT + timedelta(minutes=1)): 1,
        PlayerMinute(2, MOMENT): 1,
    }


def test_only_posted_bets_count(ledger: FakeLedger) -> None:
    rows = [ledger.add(kind, 1) for kind in Kind if kind is not Kind.GAME_BET]
    rows.append(ledger.add(Kind.GAME_BET, 1, reason=Reason.INSUFFICIENT_FUNDS))
    assert fold(rows).bets == {}


def test_every_player_of_a_row_is_known_with_its_lane(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.DEPOSIT, 1), ledger.add(Kind.GAME_BET, 2, reason=Reason.EXPIRED)]
    assert fold(rows).lanes == {1: rows[0].lane, 2: rows[1].lane}


def test_the_minute_is_when_the_wallet_decided_and_not_what_the_client_claims(ledger: FakeLedger) -> None:
    row = ledger.add(Kind.GAME_BET, 1, at=MOMENT).model_copy(update={"occurred_at": MOMENT - timedelta(hours=1)})
    assert fold([row]).bets == {PlayerMinute(1, MOMENT): 1}


def test_the_minute_is_the_same_in_every_time_zone(ledger: FakeLedger) -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    row = ledger.add(Kind.GAME_BET, 1).model_copy(update={"created_at": MOMENT.astimezone(nepal)})
    (counted,) = fold([row]).bets
    assert counted == PlayerMinute(1, MOMENT)
    assert counted.minute.tzinfo is UTC


def test_the_latest_row_says_how_far_time_has_come(ledger: FakeLedger) -> None:
    rows = [ledger.add(Kind.DEPOSIT, 1, at=MOMENT + timedelta(minutes=m)) for m in (0, 5, 2)]
    assert fold(rows).latest == MOMENT + timedelta(minutes=5)


def test_a_window_of_one_minute_is_the_current_calendar_minute() -> None:
    assert window_start(NOW, 1) == minutes_ago(0)
    assert window_start(NOW, 60) == minutes_ago(59)


def test_the_last_minute_and_the_peak_are_found() -> None:
    buckets = [Bucket(minutes_ago(30), 12), Bucket(minutes_ago(1), 3), Bucket(minutes_ago(0), 4)]
    assert velocity(buckets, NOW, 10) == Velocity(bets_last_minute=4, peak_per_minute=12, above_threshold=True)


def test_a_peak_at_the_threshold_is_not_above_it() -> None:
    assert not velocity([Bucket(minutes_ago(3), 10)], NOW, 10).above_threshold
    assert velocity([Bucket(minutes_ago(3), 11)], NOW, 10).above_threshold


def test_no_bets_are_no_speed() -> None:
    assert velocity([], NOW, 10) == Velocity(bets_last_minute=0, peak_per_minute=0, above_threshold=False)
