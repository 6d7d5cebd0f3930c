"""How two sets of rules are compared."""

from fraud_service.domain.backtests import Verdict, compare


def verdict(*, active: bool, draft: bool) -> Verdict:
    return Verdict(0, 0, active, draft, {"USD": 100, "EUR": 7}, frozenset())


def test_both_are_held_against_what_people_resolved() -> None:
    verdicts = {
        1: verdict(active=True, draft=True),
        2: verdict(active=True, draft=False),
        3: verdict(active=False, draft=True),
        4: verdict(active=False, draft=True),
        5: verdict(active=False, draft=False),
    }
    found = compare(verdicts, confirmed=[1, 3, 5, 99], dismissed=[2])
    assert (found["newly"], found["no_longer"], found["overlap"]) == ([3, 4], [2], [1])
    assert found["at_stake_minor"] == {"EUR": 14, "USD": 200}
    assert found["active"] == {"flagged": [1, 2], "precision_ppm": 500_000, "recall_ppm": 333_333}
    assert found["draft"] == {"flagged": [1, 3, 4], "precision_ppm": 1_000_000, "recall_ppm": 666_666}


def test_nothing_is_measured_where_nothing_was_resolved() -> None:
    found = compare({1: verdict(active=True, draft=True)}, confirmed=[], dismissed=[])
    assert (found["active"]["precision_ppm"], found["active"]["recall_ppm"]) == (None, None)
