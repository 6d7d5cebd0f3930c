"""The life of a payment, in one table. What is not in it is recorded and ignored, never applied.

Among what a provider says of one payment, what stands later in its life wins, whatever came first: so any order of the
same news has the same end. A payment that failed and then turns out to be completed is completed: money has moved.
"""

from enum import StrEnum

from payments_service.domain.ports import Outcome


class State(StrEnum):
    """Where a payment stands with its provider."""

    CREATED = "created"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REINSTATED = "reinstated"


class Event(StrEnum):
    """What happens to a payment: what we do, and what its provider says, or staff in its place."""

    SEND = "send"
    REFUSE = "refuse"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REINSTATED = "reinstated"
    CAME_BACK = "came_back"


_MONEY_MOVED = {
    Event.COMPLETED: State.COMPLETED,
    Event.REFUNDED: State.REFUNDED,
    Event.CHARGED_BACK: State.CHARGED_BACK,
    Event.REINSTATED: State.REINSTATED,
}
_ENDED = {**_MONEY_MOVED, Event.FAILED: State.FAILED, Event.CANCELLED: State.CANCELLED}

TRANSITIONS: dict[State, dict[Event, State]] = {
    # Nothing has left us: whatever a provider says of it is not about this.
    State.CREATED: {Event.SEND: State.PENDING, Event.REFUSE: State.FAILED, Event.CANCELLED: State.CANCELLED},
    State.PENDING: {
        **_ENDED,
        Event.SEND: State.PENDING,
        Event.PENDING: State.PENDING,
        Event.PROCESSING: State.PROCESSING,
        Event.UNKNOWN: State.UNKNOWN,
    },
    State.PROCESSING: {
        **_ENDED,
        Event.PENDING: State.PROCESSING,
        Event.PROCESSING: State.PROCESSING,
        Event.UNKNOWN: State.UNKNOWN,
    },
    # The same request goes out again under the same key, and it stays unknown until there is an answer.
    State.UNKNOWN: {
        **_ENDED,
        Event.SEND: State.UNKNOWN,
        Event.PENDING: State.PENDING,
        Event.PROCESSING: State.PROCESSING,
        Event.UNKNOWN: State.UNKNOWN,
    },
    State.CANCELLED: {**_MONEY_MOVED, Event.CANCELLED: State.CANCELLED, Event.FAILED: State.FAILED},
    State.FAILED: {**_MONEY_MOVED, Event.FAILED: State.FAILED},
    State.COMPLETED: _MONEY_MOVED,
    State.REFUNDED: {
        Event.REFUNDED: State.REFUNDED,
        Event.CHARGED_BACK: State.CHARGED_BACK,
        Event.REINSTATED: State.REINSTATED,
        # What had gone back of it is with us again.
        Event.CAME_BACK: State.COMPLETED,
    },
    State.CHARGED_BACK: {Event.CHARGED_BACK: State.CHARGED_BACK, Event.REINSTATED: State.REINSTATED},
    # A dispute that was won: the money is back.
    State.REINSTATED: {Event.REINSTATED: State.REINSTATED},
}

# A provider may still say something of them.
OPEN = frozenset({State.PENDING, State.PROCESSING, State.UNKNOWN})
MOVED = frozenset({State.COMPLETED, State.REFUNDED, State.CHARGED_BACK, State.REINSTATED})


def after(state: State, event: Event) -> State | None:
    """The state after an event, or None where it is illegal."""
    return TRANSITIONS[state].get(event)


def said(outcome: Outcome) -> Event:
    """What a provider's answer is to a payment."""
    return Event(outcome.value)
