"""What is said of payments: the names that others hear, and the states that they stand for."""

from payments_service.domain.ports import Direction
from payments_service.domain.states import State
from shared.contracts.payments import PAYMENT_EVENT_TYPES, PaymentDirection, PaymentStatus
from shared.contracts.signals import KINDS


def test_the_contract_knows_every_state_and_direction_that_there_is() -> None:
    assert {status.value for status in PaymentStatus} == {state.value for state in State}
    assert {direction.value for direction in PaymentDirection} == {direction.value for direction in Direction}


def test_the_names_that_others_hear_are_said() -> None:
    assert {name for name in KINDS if name.startswith("payments.")} <= set(PAYMENT_EVENT_TYPES)
    for outcome in ("completed", "failed", "charged_back", "refunded", "reinstated"):
        assert f"payments.deposit.{outcome}.v1" in PAYMENT_EVENT_TYPES
    for outcome in ("completed", "failed", "cancelled"):
        assert f"payments.withdrawal.{outcome}.v1" in PAYMENT_EVENT_TYPES
