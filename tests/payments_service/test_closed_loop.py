"""The closed loop: what came from an instrument goes back to it first, to the minor unit."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_service.domain.closed_loop import MAX_PARTS, Part, Place, Refundable, Source, by_deposits, split
from shared.errors import InvalidInput
from shared.testing import MOMENT

CHOSEN = Place("paypal", "wallet", None)


def place(number: int) -> Place:
    return Place("stripe", "card", f"pm_{number}")


def at(days: int) -> datetime:
    return MOMENT + timedelta(days=days)


def test_the_oldest_comes_first_and_the_rest_goes_where_it_was_asked_to_go() -> None:
    sources = [Source(place(2), 500, at(2)), Source(place(1), 300, at(1)), Source(place(3), 0, at(0))]
    assert split(1000, sources, CHOSEN) == (
        Part(place(1), 300, returned=True),
        Part(place(2), 500, returned=True),
        Part(CHOSEN, 200, returned=False),
    )


def test_a_player_who_deposited_nothing_is_paid_as_it_asks() -> None:
    assert split(1, [], CHOSEN) == (Part(CHOSEN, 1, returned=False),)


def test_what_would_go_to_too_many_places_is_refused() -> None:
    sources = [Source(place(number), 1, at(number)) for number in range(MAX_PARTS + 1)]
    with pytest.raises(InvalidInput, match="parts"):
        split(MAX_PARTS + 1, sources, CHOSEN)


@given(
    amount=st.integers(1, 10**12),
    nets=st.lists(st.tuples(st.integers(-1000, 10**10), st.integers(0, 5)), max_size=MAX_PARTS - 1),
)
def test_every_minor_unit_goes_back_in_order_before_any_goes_elsewhere(
    amount: int, nets: list[tuple[int, int]]
) -> None:
    sources = [Source(place(number), net, at(day)) for number, (net, day) in enumerate(nets)]
    parts = split(amount, sources, CHOSEN)
    assert sum(part.amount_minor for part in parts) == amount
    assert all(part.amount_minor > 0 for part in parts)
    net = {source.place: max(source.net_minor, 0) for source in sources}
    back = {part.place: part.amount_minor for part in parts if part.returned}
    assert all(minor <= net[where] for where, minor in back.items())
    rest = [part for part in parts if not part.returned]
    assert sum(part.amount_minor for part in rest) == max(amount - sum(net.values()), 0)
    # Nothing younger has any before all that is older has all.
    since = {source.place: source.since for source in sources}
    for where in back:
        assert all(back.get(older, 0) == minor for older, minor in net.items() if minor and since[older] < since[where])


@given(
    net=st.integers(1, 1000),
    deposits=st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=8),
)
def test_what_goes_back_as_refunds_is_no_more_than_its_net_nor_than_is_left_of_any_deposit(
    net: int, deposits: list[tuple[int, bool]]
) -> None:
    refundable = [Refundable(UUID(int=number), left, refused) for number, (left, refused) in enumerate(deposits)]
    found = by_deposits(Source(place(1), net, at(0)), refundable)
    can_take = {each.deposit_id: each.left_minor for each in refundable if not each.refused}
    assert sum(source.net_minor for source in found) == min(net, sum(can_take.values()))
    back = {source.deposit_id: source.net_minor for source in found}
    assert len(back) == len(found)
    assert all(0 < minor <= can_take[deposit_id] for deposit_id, minor in back.items() if deposit_id is not None)
    # The oldest are whole before any younger has a part.
    taken = [back.get(deposit_id, 0) for deposit_id in can_take]
    last = max((number for number, minor in enumerate(taken) if minor), default=0)
    assert taken[:last] == list(can_take.values())[:last]
    parts = split(net, found, CHOSEN)
    assert {part.deposit_id: part.amount_minor for part in parts if part.returned} == back
