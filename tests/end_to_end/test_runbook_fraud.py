"""The runbook's chapter on fraud does what it says: its commands run on a platform, in their order."""

import pytest

from tests.end_to_end.runbook import chapter, commands, run
from tests.end_to_end.support import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

# Nobody: what is known of players is shown by other tests.
PLAYER = "5800"


def test_its_commands_run_as_they_stand(platform: Platform) -> None:
    printed = run(platform, commands(chapter("Fraud")), PLAYER=PLAYER)
    assert "'VELOCITY_THRESHOLD': 10" in printed
    assert "| bet_velocity | peak_bets_per_minute > VELOCITY_THRESHOLD |" in printed
    assert f"nothing is known of {PLAYER}" in printed
    assert "nothing is parked" in printed
    # Of the backtest, and of scoring again.
    assert printed.count("event: finished") == 2
    assert '"state":"active"' in printed
    assert '"state":"retired"' in printed
