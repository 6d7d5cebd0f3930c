"""What changes a player's limit, and when: each command in each state, without a wallet around it."""

from datetime import timedelta
from typing import ClassVar

import pytest
from pydantic import ValidationError

from shared.contracts.kinds import LIMIT_KINDS, Kind, Reason, Status
from shared.contracts.limits import MAX_LIMIT_SECONDS
from tests.wallet_service.limits import DAILY_LOSS
from tests.wallet_service.support import NOW, RULES, command
from wallet_service.domain import limit_changes
from wallet_service.domain.decisions import Decide
from wallet_service.domain.limits import PlayerLimit, Standing
from wallet_service.domain.state import Concerned, PlayerAccount


class TestChangesOfALimit:
    """Each command in each state of a player's limit."""

    EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    NOTHING = PlayerLimit()
    OWN = PlayerLimit(own=500)
    OVERRIDDEN = PlayerLimit(override=700, own=500)
    WAITS = PlayerLimit(own=500, pending=1000, pending_from=LATER)
    READY = PlayerLimit(own=500, pending=1000, pending_from=EARLIER)
    RAISED = PlayerLimit(own=500, pending=1000, pending_from=NOW + RULES.raise_wait)

    # The command with amount 1000, but where another is said; the state before; the state after, or why not.
    TABLE: tuple[tuple[Kind, int, PlayerLimit, PlayerLimit | Reason], ...] = (
        (Kind.LIMIT_OVERRIDE, 1000, NOTHING, PlayerLimit(override=1000)),
        (Kind.LIMIT_OVERRIDE, 1000, OWN, PlayerLimit(override=1000, own=500)),
        (Kind.LIMIT_OVERRIDE, 0, OVERRIDDEN, PlayerLimit(override=0, own=500)),
        (Kind.LIMIT_OVERRIDE, 1000, WAITS, WAITS._replace(override=1000)),
        (Kind.LIMIT_OVERRIDE, 1000, READY, READY._replace(override=1000)),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, NOTHING, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, OWN, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, OVERRIDDEN, OWN),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, PlayerLimit(override=0), NOTHING),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, WAITS, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, READY, Reason.NO_OVERRIDE),
        (Kind.LIMIT_REQUEST, 1000, NOTHING, PlayerLimit(own=1000)),
        (Kind.LIMIT_REQUEST, 400, OWN, PlayerLimit(own=400)),
        (Kind.LIMIT_REQUEST, 500, OWN, OWN),
        (Kind.LIMIT_REQUEST, 501, OWN, RAISED._replace(pending=501)),
        (Kind.LIMIT_REQUEST, 1000, OVERRIDDEN, RAISED._replace(override=700)),
        # What waits is replaced, and waits anew; or is dropped.
        (Kind.LIMIT_REQUEST, 1000, WAITS, RAISED),
        (Kind.LIMIT_REQUEST, 500, WAITS, OWN),
        (Kind.LIMIT_REQUEST, 1000, READY, RAISED),
        (Kind.LIMIT_REQUEST, 0, READY, PlayerLimit(own=0)),
        (Kind.LIMIT_CONFIRMATION, 1000, NOTHING, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, OWN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, OVERRIDDEN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, WAITS, Reason.RAISE_WAITS),
        (Kind.LIMIT_CONFIRMATION, 999, WAITS, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, READY, PlayerLimit(own=1000)),
        (Kind.LIMIT_CONFIRMATION, 1001, READY, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, READY._replace(pending_from=NOW), PlayerLimit(own=1000)),
        (Kind.LIMIT_REVOCATION, 0, NOTHING, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, OWN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, OVERRIDDEN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, WAITS, OWN),
        (Kind.LIMIT_REVOCATION, 0, READY, OWN),
    )
    DECIDE: ClassVar[dict[Kind, Decide]] = {
        Kind.LIMIT_OVERRIDE: limit_changes.override,
        Kind.LIMIT_OVERRIDE_REMOVAL: limit_changes.remove_override,
        Kind.LIMIT_REQUEST: limit_changes.request,
        Kind.LIMIT_CONFIRMATION: limit_changes.confirm,
        Kind.LIMIT_REVOCATION: limit_changes.revoke,
    }

    def test_the_table_has_every_command_in_every_state(self) -> None:
        states = {self.NOTHING, self.OWN, self.OVERRIDDEN, self.WAITS, self.READY}
        tried = {(kind, before) for kind, _, before, _ in self.TABLE}
        assert tried >= {(kind, state) for kind in LIMIT_KINDS for state in states}

    @pytest.mark.parametrize(("kind", "amount", "before", "after"), TABLE)
    def test_each_command_in_each_state(
        self, kind: Kind, amount: int, before: PlayerLimit, after: PlayerLimit | Reason
    ) -> None:
        concerned = Concerned(PlayerAccount(), RULES, Standing(None), limit=before)
        decision = self.DECIDE[kind](command(kind, amount), concerned, NOW)
        if isinstance(after, Reason):
            assert (decision.status, decision.reason, decision.limit) == (Status.REFUSED, after, None)
        else:
            assert (decision.status, decision.reason, decision.limit) == (Status.POSTED, None, after)
        assert decision.amount_minor == 0
        assert decision.account == PlayerAccount()

    @pytest.mark.parametrize("kind", [Kind.LIMIT_OVERRIDE, Kind.LIMIT_REQUEST])
    def test_in_a_currency_that_is_not_allowed_nothing_is_set(self, kind: Kind) -> None:
        decision = self.DECIDE[kind](
            command(kind, currency="GBP"), Concerned(PlayerAccount(), RULES, Standing(None)), NOW
        )
        assert (decision.reason, decision.limit) == (Reason.CURRENCY_NOT_ALLOWED, None)

    def test_the_row_says_what_held_before_and_what_holds_now(self) -> None:
        rules = RULES._replace(operator={"USD": {DAILY_LOSS: 50_000}})
        concerned = Concerned(PlayerAccount(), rules, Standing(None), limit=self.OVERRIDDEN)
        facts = limit_changes.override(command(Kind.LIMIT_OVERRIDE, 300), concerned, NOW).facts
        assert facts == {
            **{"before": 500, "before_override": 700, "before_own": 500},
            **{"after": 300, "after_override": 300, "after_own": 500},
            "asked_minor": 300,
        }
        facts = limit_changes.request(command(Kind.LIMIT_REQUEST, 900), concerned, NOW).facts
        assert facts is not None
        assert (facts["after"], facts["pending"], facts["pending_from"]) == (500, 900, "2026-11-25T10:00:00.000000Z")

    def test_a_cooldown_is_at_most_thirty_days(self) -> None:
        name = "WITHDRAWAL_COOLDOWN_SECONDS"
        command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS, reference_id=name)
        with pytest.raises(ValidationError, match="at most 2592000 seconds"):
            command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS + 1, reference_id=name)
        command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS + 1, reference_id="DAILY_LOSS_LIMIT")
