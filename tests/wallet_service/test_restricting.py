"""Exclusions and tiers: each command in each state, and what a restricted player may still do."""

from datetime import datetime, timedelta

import pytest

from shared.contracts.commands import Command
from shared.contracts.exclusions import ExclusionType
from shared.contracts.kinds import Kind, Reason
from shared.jurisdictions import load, names
from tests.wallet_service.support import FAR_LIMITS, NOW, MemoryWallet, command
from wallet_service.domain.restrictions import Block
from wallet_service.settings import LimitSettings

DAY = timedelta(days=1)


def wallet_of(jurisdiction: str = "none") -> MemoryWallet:
    return MemoryWallet(rules=LimitSettings(**FAR_LIMITS | {"jurisdiction": jurisdiction}).rules())


def reasons(wallet: MemoryWallet, *commands: Command, at: datetime = NOW) -> list[str | None]:
    return [answer.row.content.reason for answer in wallet.take(commands, now=at)]


def exclusion(until: datetime | None, kind: str = "TEMPORARY") -> Command:
    return command(Kind.EXCLUSION, reference_id="PERMANENT" if until is None else kind, until=until)


STATES: dict[str, datetime | None] = {"for a day": NOW + DAY, "for ever": None}


class TestAnExclusion:
    @pytest.mark.parametrize(
        ("state", "asked", "reason"),
        [
            (None, NOW + DAY, None),
            (None, None, None),
            (None, NOW, Reason.EXCLUSION_SHORTENED),
            ("for a day", NOW + DAY, None),
            ("for a day", NOW + 2 * DAY, None),
            ("for a day", None, None),
            ("for a day", NOW + DAY / 2, Reason.EXCLUSION_SHORTENED),
            ("for ever", NOW + 9999 * DAY, Reason.EXCLUSION_SHORTENED),
            ("for ever", None, None),
        ],
    )
    def test_it_is_extended_freely_and_never_shortened(
        self, state: str | None, asked: datetime | None, reason: Reason | None
    ) -> None:
        wallet = wallet_of()
        if state is not None:
            assert reasons(wallet, exclusion(STATES[state])) == [None]
        assert reasons(wallet, exclusion(asked)) == [reason]

    @pytest.mark.parametrize(
        ("state", "jurisdiction", "reason"),
        [
            (None, "default", Reason.NOT_EXCLUDED),
            ("for a day", "default", None),
            ("for ever", "default", Reason.EXCLUSION_PERMANENT),
            ("for ever", "uk", Reason.EXCLUSION_PERMANENT),
            ("for ever", "malta", None),
        ],
    )
    def test_it_ends_early_where_the_jurisdiction_lets_it(
        self, state: str | None, jurisdiction: str, reason: Reason | None
    ) -> None:
        wallet = wallet_of(jurisdiction)
        if state is not None:
            assert reasons(wallet, exclusion(STATES[state])) == [None]
        assert reasons(wallet, command(Kind.EXCLUSION_END)) == [reason]

    def test_in_force_it_refuses_bets_and_deposits_and_nothing_else(self) -> None:
        wallet = wallet_of()
        opened = [
            command(Kind.DEPOSIT, 9000),
            command(Kind.GAME_BET, 500, reference_id="open"),
            command(Kind.GAME_BET, 500, reference_id="wrong"),
            command(Kind.WITHDRAWAL_HOLD, 300, reference_id="w"),
        ]
        assert reasons(wallet, *opened, exclusion(NOW + DAY)) == [None] * 5
        refused = [command(Kind.DEPOSIT), command(Kind.GAME_BET, reference_id="new")]
        assert reasons(wallet, *refused) == [Reason.SELF_EXCLUDED] * 2
        still = [
            command(Kind.GAME_PAYOUT, 900, reference_id="open"),
            command(Kind.BET_ROLLBACK, 500, reference_id="wrong"),
            command(Kind.WITHDRAWAL_CAPTURE, 100, reference_id="w"),
            command(Kind.WITHDRAWAL_RELEASE, 200, reference_id="w"),
            command(Kind.WITHDRAWAL, 1000),
            command(Kind.WITHDRAWAL_HOLD, 1000, reference_id="w2"),
            command(Kind.CHARGEBACK, 100),
            command(Kind.ADJUSTMENT_CREDIT, 100),
        ]
        assert reasons(wallet, *still) == [None] * len(still)

    def test_it_holds_for_the_bet_behind_it_in_the_same_batch_and_not_for_the_one_in_front(self) -> None:
        wallet = wallet_of()
        bets = [command(Kind.GAME_BET, 100, reference_id=name) for name in ("front", "behind")]
        wallet.one(command(Kind.DEPOSIT, 1000))
        assert reasons(wallet, bets[0], exclusion(NOW + DAY), bets[1]) == [None, None, Reason.SELF_EXCLUDED]

    def test_it_ends_by_itself_at_its_moment(self) -> None:
        wallet = wallet_of()
        reasons(wallet, exclusion(NOW + DAY))
        assert reasons(wallet, command(Kind.DEPOSIT), at=NOW + DAY - timedelta.resolution) == [Reason.SELF_EXCLUDED]
        assert reasons(wallet, command(Kind.DEPOSIT), at=NOW + DAY) == [None]

    def test_it_is_of_its_player_in_every_currency(self) -> None:
        wallet = wallet_of()
        reasons(wallet, exclusion(NOW + DAY))
        assert reasons(wallet, command(Kind.DEPOSIT, currency="EUR")) == [Reason.SELF_EXCLUDED]
        assert reasons(wallet, command(Kind.DEPOSIT, user_id=43)) == [None]

    def test_its_row_says_until_when_and_moves_nothing(self) -> None:
        row = wallet_of().one(exclusion(NOW + DAY)).row.content
        assert (row.amount_minor, row.currency, row.debit, row.credit) == (0, "XXX", "none", "none")
        assert row.facts == '{"until":"2026-11-25T10:00:00.000000Z"}'


def block(until: datetime | None = None, reason: str = "collusion") -> Command:
    return command(Kind.FRAUD_BLOCK, until=until, reason=reason)


class TestABlock:
    def test_in_force_it_refuses_bets_deposits_and_new_withdrawals_and_nothing_else(self) -> None:
        wallet = wallet_of()
        deposit, disputed = command(Kind.DEPOSIT, 9000), command(Kind.DEPOSIT, 100)
        opened = [
            deposit,
            disputed,
            command(Kind.GAME_BET, 500, reference_id="open"),
            command(Kind.GAME_BET, 500, reference_id="wrong"),
            command(Kind.GAME_PAYOUT, 400, reference_id="paid"),
            command(Kind.LIMIT_OVERRIDE, 100, reference_id="MAX_PAYOUT_AMOUNT"),
            command(Kind.GAME_PAYOUT, 700, reference_id="held"),
            command(Kind.WITHDRAWAL_HOLD, 300, reference_id="w"),
        ]
        assert reasons(wallet, *opened, block()) == [None] * 9
        refused = [
            command(Kind.DEPOSIT),
            command(Kind.GAME_BET, reference_id="new"),
            command(Kind.WITHDRAWAL_HOLD, 100, reference_id="w2"),
            command(Kind.WITHDRAWAL, 100),
        ]
        still = [
            command(Kind.GAME_PAYOUT, 90, reference_id="open"),
            command(Kind.BET_ROLLBACK, 500, reference_id="wrong"),
            command(Kind.PAYOUT_ROLLBACK, 400, reference_id="paid"),
            command(Kind.PAYOUT_RELEASE, 700, reference_id="held"),
            command(Kind.WITHDRAWAL_CAPTURE, 100, reference_id="w"),
            command(Kind.WITHDRAWAL_RELEASE, 200, reference_id="w"),
            command(Kind.CHARGEBACK, 100),
            command(Kind.REFUND, 100),
            command(Kind.ADJUSTMENT_CREDIT, 100),
            command(Kind.ADJUSTMENT_DEBIT, 100),
            command(Kind.REVERSAL, 100, reference_id=str(deposit.command_id), provider="stripe"),
            command(Kind.DISPUTE, 0, reference_id=str(disputed.command_id)),
            command(Kind.DISPUTE_RESOLUTION, 0, reference_id=str(disputed.command_id)),
            command(Kind.LIMIT_OVERRIDE_REMOVAL, 0, reference_id="MAX_PAYOUT_AMOUNT"),
            command(Kind.LIMIT_REQUEST, 100, reference_id="DAILY_LOSS_LIMIT"),
            exclusion(NOW + DAY),
            command(Kind.EXCLUSION_END),
            command(Kind.FRAUD_BLOCK),
        ]
        for each in refused:
            assert reasons(wallet, each) == [Reason.FRAUD_BLOCKED], each.kind
        for each in still:
            assert reasons(wallet, each) == [None], each.kind

    @pytest.mark.parametrize(
        ("state", "asked", "reason"),
        [
            (None, NOW + DAY, None),
            (None, None, None),
            (None, NOW, Reason.BLOCK_SHORTENED),
            (NOW + DAY, NOW + DAY, None),
            (NOW + DAY, NOW + 2 * DAY, None),
            (NOW + DAY, None, None),
            (NOW + DAY, NOW + DAY / 2, Reason.BLOCK_SHORTENED),
        ],
    )
    def test_it_is_extended_freely_and_never_shortened(
        self, state: datetime | None, asked: datetime | None, reason: Reason | None
    ) -> None:
        wallet = wallet_of()
        if state is not None:
            assert reasons(wallet, block(state)) == [None]
        assert reasons(wallet, block(asked)) == [reason]

    def test_one_that_stands_until_it_is_lifted_is_given_no_end(self) -> None:
        assert reasons(wallet_of(), block(), block(NOW + 9999 * DAY)) == [None, Reason.BLOCK_SHORTENED]

    def test_it_holds_for_the_bet_behind_it_in_the_same_batch_and_not_for_the_one_in_front(self) -> None:
        wallet = wallet_of()
        bets = [command(Kind.GAME_BET, 100, reference_id=name) for name in ("front", "behind")]
        wallet.one(command(Kind.DEPOSIT, 1000))
        assert reasons(wallet, bets[0], block(), bets[1]) == [None, None, Reason.FRAUD_BLOCKED]

    def test_it_is_lifted_once_and_leaves_exclusion_and_tier_as_they_were(self) -> None:
        wallet = wallet_of()
        unblock = command(Kind.FRAUD_UNBLOCK)
        assert reasons(wallet, unblock, block(), exclusion(NOW + DAY)) == [Reason.NOT_BLOCKED, None, None]
        assert reasons(wallet, command(Kind.DEPOSIT)) == [Reason.SELF_EXCLUDED]
        assert reasons(wallet, command(Kind.EXCLUSION_END), command(Kind.DEPOSIT)) == [None, Reason.FRAUD_BLOCKED]
        lifted = [command(Kind.FRAUD_UNBLOCK), command(Kind.DEPOSIT), command(Kind.FRAUD_UNBLOCK)]
        assert reasons(wallet, *lifted) == [None, None, Reason.NOT_BLOCKED]

    def test_it_ends_by_itself_at_its_moment(self) -> None:
        wallet = wallet_of()
        reasons(wallet, block(NOW + DAY))
        assert reasons(wallet, command(Kind.DEPOSIT), at=NOW + DAY - timedelta.resolution) == [Reason.FRAUD_BLOCKED]
        assert reasons(wallet, command(Kind.DEPOSIT), at=NOW + DAY) == [None]

    def test_extended_it_keeps_its_beginning_and_begun_anew_it_does_not(self) -> None:
        wallet, later = wallet_of(), NOW + DAY / 2
        reasons(wallet, block(NOW + DAY))
        reasons(wallet, block(NOW + 2 * DAY, "and a stolen card"), at=later)
        assert wallet.restrictions[0, 42].block == Block(NOW, NOW + 2 * DAY, "and a stolen card")
        reasons(wallet, block(), at=NOW + 3 * DAY)
        assert wallet.restrictions[0, 42].block == Block(NOW + 3 * DAY, None, "collusion")

    def test_its_row_says_until_when_why_and_by_whom_and_what_it_refuses_does_not_say_why(self) -> None:
        wallet = wallet_of()
        row = wallet.one(block(NOW + DAY)).row.content
        assert (row.amount_minor, row.currency, row.debit, row.credit) == (0, "XXX", "none", "none")
        assert (row.stated_reason, row.actor) == ("collusion", "ann")
        assert row.facts == '{"until":"2026-11-25T10:00:00.000000Z"}'
        assert wallet.one(command(Kind.DEPOSIT)).row.content.facts == '{"until":"2026-11-25T10:00:00.000000Z"}'


class TestATier:
    def test_it_says_what_may_be_deposited_in_all_and_whether_to_withdraw(self) -> None:
        wallet = wallet_of("default")
        assert reasons(wallet, command(Kind.DEPOSIT, 200_000)) == [None]
        assert reasons(wallet, command(Kind.DEPOSIT, 1)) == [Reason.KYC_REQUIRED]
        assert reasons(wallet, command(Kind.WITHDRAWAL, 1)) == [Reason.KYC_REQUIRED]
        assert reasons(wallet, command(Kind.WITHDRAWAL_HOLD, 1)) == [Reason.KYC_REQUIRED]
        assert reasons(wallet, command(Kind.KYC_TIER, reference_id="VERIFIED")) == [None]
        assert reasons(wallet, command(Kind.DEPOSIT, 1), command(Kind.WITHDRAWAL, 1)) == [None, None]

    def test_a_refused_deposit_says_what_is_left(self) -> None:
        wallet = wallet_of("default")
        reasons(wallet, command(Kind.DEPOSIT, 150_000))
        row = wallet.one(command(Kind.DEPOSIT, 60_000)).row.content
        assert row.facts == '{"limit_minor":200000,"remaining_minor":50000,"used_minor":150000}'

    def test_one_that_there_is_not_is_refused(self) -> None:
        assert reasons(wallet_of(), command(Kind.KYC_TIER, reference_id="GOLD")) == [Reason.TIER_UNKNOWN]

    def test_what_is_reversed_makes_room_for_another_deposit(self) -> None:
        wallet = wallet_of("default")
        deposit = command(Kind.DEPOSIT, 200_000)
        reversal = command(Kind.REVERSAL, 200_000, reference_id=str(deposit.command_id), provider="stripe")
        assert reasons(wallet, deposit, reversal, command(Kind.DEPOSIT, 200_000)) == [None] * 3


@pytest.mark.parametrize("name", names())
def test_every_pack_is_one_that_the_wallet_takes(name: str) -> None:
    rules, pack = LimitSettings(jurisdiction=name).rules(), load(name)
    assert rules.windows.mode == pack.windows
    assert rules.raise_wait == pack.raise_wait
    assert rules.tiers.by_name.keys() == pack.tiers.keys()
    assert rules.permanent_ends == (pack.exclusions[ExclusionType.PERMANENT].end_after_h is not None)
