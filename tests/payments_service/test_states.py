"""The life of a payment: every state beside every event, and any order of the same news."""

from itertools import permutations

import pytest

from payments_service.domain import states
from payments_service.domain.ports import Outcome
from payments_service.domain.states import Event, State

# Each row a state, each column an event, in their own order: the state after it, `-` where it is illegal.
EVENTS = "send refuse pending processing completed failed cancelled unknown refunded charged_back reinstated came_back"
TABLE = """
created      pending failed -          -          -         -      cancelled -       -        -            -          -
pending      pending -      pending    processing completed failed cancelled unknown refunded charged_back reinstated -
processing   -       -      processing processing completed failed cancelled unknown refunded charged_back reinstated -
completed    -       -      -          -          completed -      -         -       refunded charged_back reinstated -
failed       -       -      -          -          completed failed -         -       refunded charged_back reinstated -
cancelled    -       -      -          -          completed failed cancelled -       refunded charged_back reinstated -
unknown      unknown -      pending    processing completed failed cancelled unknown refunded charged_back reinstated -
refunded     -       -      -          -          -         -      -         -       refunded charged_back reinstated completed
charged_back -       -      -          -          -         -      -         -       -        charged_back reinstated -
reinstated   -       -      -          -          -         -      -         -       -        -            reinstated -
"""  # noqa: E501 - a row is a row
CELLS = [
    (State(row.split()[0]), event, None if cell == "-" else State(cell))
    for row in TABLE.strip().splitlines()
    for event, cell in zip(map(Event, EVENTS.split()), row.split()[1:], strict=True)
]


def test_every_state_and_event_is_here() -> None:
    assert {(state, event) for state, event, _ in CELLS} == {(state, event) for state in State for event in Event}


@pytest.mark.parametrize(("state", "event", "expected"), CELLS, ids=lambda value: str(value))
def test_a_state_and_an_event(state: State, event: Event, expected: State | None) -> None:
    assert states.after(state, event) is expected


NEWS = [outcome for outcome in Outcome if outcome is not Outcome.UNKNOWN]


def end_of(state: State, news: tuple[Outcome, ...]) -> State:
    for outcome in news:
        state = states.after(state, states.said(outcome)) or state
    return state


@pytest.mark.parametrize("first", [State.PENDING, State.PROCESSING, State.UNKNOWN])
def test_any_order_of_the_same_news_has_the_same_end(first: State) -> None:
    for length in range(1, 4):
        for order in permutations(NEWS, length):
            ends = {end_of(first, other) for other in permutations(order)}
            # Where nothing has ended, only how far it had got is a matter of order.
            assert len(ends) == 1, (order, ends)


def test_news_that_comes_twice_changes_nothing_more() -> None:
    for state in State:
        for outcome in NEWS:
            once = end_of(state, (outcome,))
            assert end_of(once, (outcome,)) is once
