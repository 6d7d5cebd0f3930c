"""A batch: commands decided one after another on one moving state, each once, each chained to the row before."""

import hmac
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.commands import Command
from shared.contracts.kinds import Account, Kind, Reason, Status
from shared.errors import CommandIdReused
from shared.money import MAX_BALANCE_MINOR
from shared.signing import GENESIS, ChainedRow, ChainKeys
from tests.wallet_service import model
from tests.wallet_service.strategies import REGIMES, Regime, Timed, house, regimes, rules, streams, timed_streams
from tests.wallet_service.support import CHAIN_KEYS, NOW, RULES, MemoryWallet, command
from wallet_service.domain.needs import AccountKey, Answer, DecisionKey, HoldKey, JournalRow, MovementKey, Placed, needs
from wallet_service.domain.state import Hold, PlayerAccount

LANE = 3


def outcomes(answers: list[Answer]) -> list[tuple[str, str | None]]:
    return [(answer.row.content.status, answer.row.content.reason) for answer in answers]


def decided_one_by_one(stream: list[Timed], regime: Regime) -> MemoryWallet:
    wallet = MemoryWallet(rules=rules(regime))
    for at, each in stream:
        wallet.one(each, LANE, at)
    return wallet


def outcome(row: ChainedRow) -> model.Outcome:
    """What a row says, as the model says it."""
    facts = orjson.loads(row.facts) if row.facts else {}
    used = (facts["limit_minor"], facts["used_minor"], facts["remaining_minor"]) if "used_minor" in facts else None
    return model.Outcome(row.status, row.reason, row.amount_minor, row.cash_minor, row.reserved_minor, used)


def tables(wallet: MemoryWallet) -> tuple[Any, ...]:
    house = {key: amount for key, amount in wallet.house.items() if amount}
    held = {key: amount for key, amount in wallet.held.items() if amount}
    state = wallet.limits, wallet.openings, wallet.disputes, held
    return wallet.rows, wallet.lanes, wallet.accounts, wallet.holds, wallet.cancellations, house, state


class TestOneState:
    """Commands of one batch see each other."""

    def test_two_bets_cannot_spend_the_same_money(self) -> None:
        wallet = MemoryWallet()
        wallet.one(command(Kind.DEPOSIT, 1000))
        bets = [command(Kind.GAME_BET, 700, reference_id=name) for name in ("a", "b")]
        assert outcomes(wallet.take(bets)) == [("posted", None), ("refused", "INSUFFICIENT_FUNDS")]

    def test_a_deposit_pays_for_the_bet_behind_it_and_not_for_the_one_in_front(self) -> None:
        wallet = MemoryWallet()
        answers = wallet.take([command(Kind.GAME_BET), command(Kind.DEPOSIT), command(Kind.GAME_BET)])
        assert [status for status, _ in outcomes(answers)] == ["refused", "posted", "posted"]

    def test_a_rollback_refuses_the_bet_behind_it(self) -> None:
        wallet = MemoryWallet()
        answers = wallet.take(
            [command(Kind.DEPOSIT), command(Kind.BET_ROLLBACK), command(Kind.GAME_BET), command(Kind.GAME_PAYOUT)]
        )
        assert outcomes(answers) == [
            ("posted", None),
            ("posted", Reason.ORIGINAL_NOT_SEEN),
            ("refused", Reason.ROUND_CANCELLED),
            ("refused", Reason.ROUND_CANCELLED),
        ]

    def test_a_hold_is_captured_by_the_command_behind_it(self) -> None:
        wallet = MemoryWallet()
        answers = wallet.take([command(Kind.DEPOSIT), command(Kind.WITHDRAWAL_HOLD), command(Kind.WITHDRAWAL_CAPTURE)])
        assert [status for status, _ in outcomes(answers)] == ["posted"] * 3
        assert wallet.holds == {HoldKey(0, 42, "game_77"): Hold("USD", 0, NOW + RULES.hold_for)}

    def test_players_currencies_rounds_and_lanes_do_not_meet(self) -> None:
        wallet = MemoryWallet()
        wallet.take_placed([Placed(lane, command(Kind.DEPOSIT, 1000)) for lane in (0, 1)])
        answers = wallet.take(
            [
                command(Kind.BET_ROLLBACK, round_id="r1"),
                command(Kind.GAME_BET, 400, round_id="r2"),
                command(Kind.GAME_BET, 400),
                command(Kind.GAME_BET, 1, user_id=43),
                command(Kind.GAME_BET, 1, currency="EUR"),
            ]
        )
        assert [status for status, _ in outcomes(answers)] == ["posted", "posted", "posted", "refused", "refused"]
        assert [status for status, _ in outcomes(wallet.take([command(Kind.GAME_BET, round_id="r1")], lane=1))] == [
            "posted"
        ]

    def test_a_refusal_makes_no_account(self) -> None:
        wallet = MemoryWallet()
        wallet.take([command(Kind.GAME_BET), command(Kind.WITHDRAWAL_CAPTURE), command(Kind.BET_ROLLBACK)])
        assert wallet.accounts == {}
        assert not wallet.house

    def test_a_rollback_of_a_refused_bet_finds_nothing(self) -> None:
        wallet = MemoryWallet()
        wallet.one(command(Kind.GAME_BET))
        answer = wallet.one(command(Kind.BET_ROLLBACK))
        assert outcomes([answer]) == [("posted", "ORIGINAL_NOT_SEEN")]
        assert answer.row.content.amount_minor == 0

    def test_a_reference_that_was_bet_on_in_two_currencies_is_not_taken_back_as_one_amount(self) -> None:
        wallet = MemoryWallet()
        wallet.take([command(Kind.DEPOSIT, 1000), command(Kind.DEPOSIT, 10, currency="EUR")])
        wallet.take([command(Kind.GAME_BET, 1000), command(Kind.GAME_BET, 10, currency="EUR")])
        answers = wallet.take([command(Kind.BET_ROLLBACK, 1010, currency=each) for each in ("EUR", "USD")])
        assert outcomes(answers) == [("refused", "CURRENCY_MISMATCH")] * 2


class TestRepetitions:
    """The command id is the guard: one id, one decision."""

    def test_a_repetition_has_the_first_decision_and_changes_nothing(self) -> None:
        wallet = MemoryWallet()
        deposit = command(Kind.DEPOSIT)
        first, again = wallet.take([deposit, deposit])
        later = wallet.one(deposit, now=NOW + timedelta(days=400))
        assert [first.replayed, again.replayed, later.replayed] == [False, True, True]
        assert first.row is again.row
        assert later.row == first.row
        assert len(wallet.rows) == 1
        assert wallet.accounts[AccountKey(0, 42, "USD")][:2] == (1000, 0)

    def test_a_refusal_stays_refused_when_the_money_has_come(self) -> None:
        wallet = MemoryWallet()
        bet = command(Kind.GAME_BET)
        assert outcomes(wallet.take([bet, command(Kind.DEPOSIT), bet])) == [
            ("refused", "INSUFFICIENT_FUNDS"),
            ("posted", None),
            ("refused", "INSUFFICIENT_FUNDS"),
        ]

    def test_a_decision_outlives_its_commands_expiry(self) -> None:
        wallet = MemoryWallet()
        deposit = command(Kind.DEPOSIT, expires_at=NOW + timedelta(seconds=5))
        wallet.one(deposit)
        assert wallet.one(deposit, now=NOW + timedelta(seconds=9)).row.content.status == "posted"

    def test_a_rollback_that_moved_nothing_is_repeated_with_the_amount_it_asked(self) -> None:
        wallet = MemoryWallet()
        rollback = command(Kind.BET_ROLLBACK, 700)
        assert wallet.one(rollback).row.content.amount_minor == 0
        assert wallet.one(rollback).replayed
        with pytest.raises(CommandIdReused, match="another amount"):
            wallet.one(rollback.model_copy(update={"amount_minor": 701}))

    CHANGES = (
        ("kind", {"kind": Kind.CHARGEBACK}),
        ("user_id", {"user_id": 43}),
        ("amount", {"amount_minor": 1001}),
        ("currency", {"currency": "EUR"}),
        ("reference_id", {"reference_id": "other"}),
        ("reference_id", {"reference_id": None}),
        ("round_id", {"round_id": "other"}),
        ("provider", {"provider": "other"}),
        ("reason", {"reason": "other"}),
    )

    @pytest.mark.parametrize(("field", "change"), CHANGES)
    @pytest.mark.parametrize("same_batch", [True, False])
    def test_an_id_that_comes_with_other_content_names_the_field(
        self, field: str, change: dict[str, Any], same_batch: bool
    ) -> None:
        wallet = MemoryWallet()
        deposit = command(Kind.DEPOSIT, reference_id="p-1")
        other = deposit.model_copy(update=change)
        if same_batch:
            with pytest.raises(CommandIdReused) as caught:
                wallet.take([deposit, other])
        else:
            wallet.one(deposit)
            with pytest.raises(CommandIdReused) as caught:
                wallet.one(other)
            assert len(wallet.rows) == 1
        assert caught.value.field == field

    def test_a_repetition_may_differ_in_its_times_and_its_actor(self) -> None:
        wallet = MemoryWallet()
        credit = command(Kind.ADJUSTMENT_CREDIT)
        wallet.one(credit)
        again = credit.model_copy(
            update={"occurred_at": NOW + timedelta(1), "expires_at": NOW - timedelta(1), "actor": "bob"}
        )
        assert wallet.one(again).replayed
        assert wallet.rows[0].content.actor == "ann"


class TestNeeds:
    """What is loaded for a batch: all that its decisions look at, nothing twice."""

    def test_each_key_once_and_lanes_in_ascending_order(self) -> None:
        bet = command(Kind.GAME_BET)
        needed = needs([Placed(2, bet), Placed(0, bet), Placed(2, bet)])
        assert needed.lanes == [0, 2]
        assert needed.decisions == [DecisionKey(2, bet.command_id), DecisionKey(0, bet.command_id)]
        assert needed.players == [(2, 42), (0, 42)]

    def test_a_payout_asks_whether_it_or_its_bet_was_cancelled(self) -> None:
        needed = needs([Placed(0, command(Kind.GAME_PAYOUT))])
        assert needed.cancellations == [
            MovementKey(0, 42, Kind.GAME_BET, "game_77", ""),
            MovementKey(0, 42, Kind.GAME_PAYOUT, "game_77", ""),
        ]
        assert needed.movements == []

    def test_a_rollback_asks_what_was_posted(self) -> None:
        needed = needs([Placed(0, command(Kind.PAYOUT_ROLLBACK, round_id="r"))])
        assert needed.movements == [MovementKey(0, 42, Kind.GAME_PAYOUT, "game_77", "r")]

    def test_a_capture_asks_for_its_hold(self) -> None:
        assert needs([Placed(0, command(Kind.WITHDRAWAL_CAPTURE))]).holds == [HoldKey(0, 42, "game_77")]


class TestChain:
    """Every row is chained to the one in front, lane by lane."""

    def test_positions_count_each_lane_without_a_gap(self) -> None:
        wallet = MemoryWallet()
        for count in range(3):
            wallet.take_placed([Placed(lane, command(Kind.DEPOSIT)) for lane in (0, 1, 1)][count % 2 :])
        by_lane = defaultdict(list)
        for row in wallet.rows:
            by_lane[row.content.lane].append(row.content.position)
        assert by_lane == {0: [1, 2], 1: [1, 2, 3, 4, 5, 6]}
        assert {lane: state.position for lane, state in wallet.lanes.items()} == {0: 2, 1: 6}

    def test_each_checksum_is_what_the_documents_say(self) -> None:
        wallet = MemoryWallet()
        wallet.take([command(Kind.DEPOSIT), command(Kind.GAME_BET, 5000, round_id="r-9")])
        wallet.one(command(Kind.ADJUSTMENT_CREDIT, 1))
        head = GENESIS
        for row in wallet.rows:
            assert row.checksum == _checksum_by_hand(head, row)
            head = row.checksum
        assert wallet.lanes[0].head == head

    def test_new_rows_are_signed_with_the_newest_key(self) -> None:
        wallet = MemoryWallet(ChainKeys.parse(CHAIN_KEYS.split(",")[1]))
        wallet.one(command(Kind.DEPOSIT))
        wallet.keys = ChainKeys.parse(CHAIN_KEYS)
        wallet.one(command(Kind.DEPOSIT))
        assert [row.content.key_id for row in wallet.rows] == ["k1", "k2"]
        assert wallet.rows[1].checksum == wallet.keys.checksum(wallet.rows[0].checksum, wallet.rows[1].content)


def _checksum_by_hand(head: bytes, row: JournalRow) -> bytes:
    def text(value: Any) -> str:
        return "" if value is None else str(value)

    def moment(value: Any) -> str:
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"

    it = row.content
    fields = [
        *("langsense.journal.v1", it.lane, it.position, it.command_id, it.kind, it.status, it.reason, it.user_id),
        *(it.amount_minor, it.currency, it.debit, it.credit, it.provider, it.reference_id, it.round_id),
        *(it.stated_reason, it.actor, it.cash_minor, it.reserved_minor, it.facts),
        *(moment(it.occurred_at), moment(it.created_at), it.key_id),
    ]
    message = head + "\n".join(map(text, fields)).encode()
    return hmac.new(bytes.fromhex("b2" * 32), message, "sha256").digest()


class TestAnyStream:
    """What holds of every stream of commands, however it comes."""

    @given(timed_streams(), regimes())
    def test_it_is_decided_as_the_independent_model_does(self, stream: list[Timed], regime: Regime) -> None:
        wallet = decided_one_by_one(stream, regime)
        players: dict[int, model.Wallet] = defaultdict(lambda: model.Wallet(house(regime)))
        for (at, each), row in zip(stream, wallet.rows, strict=True):
            assert outcome(row.content) == players[each.user_id].apply(each.model_dump(), at)

    @given(timed_streams())
    def test_at_the_top_of_what_a_balance_holds_too(self, stream: list[Timed]) -> None:
        wallet, player = MemoryWallet(rules=rules(REGIMES[0])), model.Wallet(house(REGIMES[0]))
        wallet.accounts[AccountKey(LANE, 42, "USD")] = PlayerAccount(MAX_BALANCE_MINOR - 500, MAX_BALANCE_MINOR - 500)
        player.cash["USD"] = player.reserved["USD"] = MAX_BALANCE_MINOR - 500
        for at, each in stream:
            mine = each.model_copy(update={"user_id": 42})
            assert outcome(wallet.one(mine, LANE, at).row.content) == player.apply(mine.model_dump(), at)

    @given(timed_streams(), regimes(), st.data())
    def test_however_it_is_cut_into_batches_the_rows_are_the_same(
        self, stream: list[Timed], regime: Regime, data: st.DataObject
    ) -> None:
        cut = MemoryWallet(rules=rules(regime))
        # A batch has one moment.
        for at, same in groupby(stream, key=lambda timed: timed.at):
            rest = [each for _, each in same]
            while rest:
                size = data.draw(st.integers(1, len(rest)))
                cut.take(rest[:size], LANE, at)
                rest = rest[size:]
        assert tables(cut) == tables(decided_one_by_one(stream, regime))

    @given(timed_streams(), regimes())
    def test_money_is_conserved_per_currency(self, stream: list[Timed], regime: Regime) -> None:
        wallet = decided_one_by_one(stream, regime)
        sums: Counter[str] = Counter()
        for player, account in wallet.accounts.items():
            sums[player.currency] += account.cash_minor + account.reserved_minor
        for house_account, balance in wallet.house.items():
            sums[house_account.currency] += balance
        assert not any(sums.values())

    @given(timed_streams(), regimes())
    def test_each_balance_is_the_fold_of_its_rows(self, stream: list[Timed], regime: Regime) -> None:
        wallet = decided_one_by_one(stream, regime)
        fold: Counter[tuple[str, ...]] = Counter()
        for it in (row.content for row in wallet.rows):
            if it.status == Status.POSTED:
                for account, amount in ((it.debit, -it.amount_minor), (it.credit, it.amount_minor)):
                    owner = str(it.user_id) if account in (Account.CASH, Account.RESERVED) else ""
                    provider = str(it.provider) if account == Account.CLEARING else ""
                    fold[owner, account, provider, it.currency] += amount
        kept: Counter[tuple[str, ...]] = Counter()
        for player, balances in wallet.accounts.items():
            kept[str(player.user_id), "cash", "", player.currency] = balances.cash_minor
            kept[str(player.user_id), "reserved", "", player.currency] = balances.reserved_minor
        for house_account, balance in wallet.house.items():
            name, _, provider = house_account.account.partition(":")
            kept["", name, provider, house_account.currency] = balance
        assert {key: each for key, each in kept.items() if each} == {key: each for key, each in fold.items() if each}

    @given(timed_streams(), regimes())
    def test_each_row_carries_the_balances_after_it(self, stream: list[Timed], regime: Regime) -> None:
        wallet = decided_one_by_one(stream, regime)
        last = {(row.content.user_id, row.content.currency): row.content for row in wallet.rows}
        for key, account in wallet.accounts.items():
            row = last[key.user_id, key.currency]
            assert (row.cash_minor, row.reserved_minor) == (account.cash_minor, account.reserved_minor)

    @given(timed_streams(), regimes())
    def test_what_is_reserved_is_what_open_holds_and_held_payouts_have(
        self, stream: list[Timed], regime: Regime
    ) -> None:
        wallet = decided_one_by_one(stream, regime)
        reserved: Counter[int] = Counter()
        for hold_key, hold in wallet.holds.items():
            reserved[hold_key.user_id] += hold.remaining_minor
        for movement_key, held in wallet.held.items():
            reserved[movement_key.user_id] += held
        for key, account in wallet.accounts.items():
            reserved[key.user_id] -= account.reserved_minor
        assert not any(reserved.values())

    @given(timed_streams(), regimes())
    def test_no_bet_and_no_withdrawal_takes_cash_below_zero(self, stream: list[Timed], regime: Regime) -> None:
        spends = {Kind.GAME_BET, Kind.WITHDRAWAL, Kind.WITHDRAWAL_HOLD, Kind.ADJUSTMENT_DEBIT, Kind.REVERSAL}
        for row in decided_one_by_one(stream, regime).rows:
            it = row.content
            if it.kind in spends and it.debit == Account.CASH and it.status == Status.POSTED:
                assert it.cash_minor >= 0
            assert it.reserved_minor >= 0

    @given(timed_streams(), regimes(), st.randoms(use_true_random=False))
    def test_repetitions_in_any_order_change_nothing(self, stream: list[Timed], regime: Regime, draw: Any) -> None:
        wallet = decided_one_by_one(stream, regime)
        before = tables(wallet)
        first = {row.content.command_id: row for row in wallet.rows}
        again = [each for _, each in stream] * 2
        draw.shuffle(again)
        answers = wallet.take(again, LANE, stream[-1].at + timedelta(hours=1))
        assert all(answer.replayed for answer in answers)
        assert [answer.row for answer in answers] == [first[each.command_id] for each in again]
        assert tables(wallet) == before

    @given(streams(), regimes(), st.randoms(use_true_random=False))
    def test_a_stream_with_repetitions_has_the_rows_of_its_first_occurrences(
        self, stream: list[Command], regime: Regime, draw: Any
    ) -> None:
        shuffled = stream * 3
        draw.shuffle(shuffled)
        firsts: dict[UUID, Command] = {}
        for each in shuffled:
            firsts.setdefault(each.command_id, each)
        wallet = MemoryWallet(rules=rules(regime))
        wallet.take(shuffled, LANE)
        assert tables(wallet) == tables(decided_one_by_one([Timed(NOW, each) for each in firsts.values()], regime))

    @given(timed_streams(), regimes())
    def test_every_command_has_one_row_and_the_chain_is_whole(self, stream: list[Timed], regime: Regime) -> None:
        wallet = decided_one_by_one(stream, regime)
        assert [row.content.command_id for row in wallet.rows] == [each.command_id for _, each in stream]
        head = GENESIS
        for position, row in enumerate(wallet.rows, start=1):
            assert row.content.position == position
            assert row.checksum == wallet.keys.checksum(head, row.content)
            head = row.checksum
