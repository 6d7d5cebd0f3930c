"""Backtests: what other rules would have flagged. The fold and the score are the live ones; nothing acts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fraud_service.domain.features import Features, fold
from fraud_service.domain.observations import Observation, What
from fraud_service.domain.readings import Parameters
from fraud_service.domain.scoring import Level, Levels, RuleSet, Score, score
from fraud_service.domain.snoozes import Snooze, asleep

PPM = 1_000_000


class Verdict(NamedTuple):
    """A player under the active rules and under the draft: its last scores, and whether it was ever flagged.

    `moved`: deposits and withdrawals of the period, in minor units, per currency. `failed`: rules that failed.
    """

    active_score: int
    draft_score: int
    active: bool
    draft: bool
    moved: Mapping[str, int]
    failed: frozenset[str]


class Trial:
    """One player's replay, event by event in the order of time."""

    def __init__(
        self,
        active: RuleSet,
        draft: RuleSet,
        parameters: Parameters,
        levels: Levels,
        snoozes: Sequence[Snooze] = (),
    ) -> None:
        self._active = active
        self._draft = draft
        self._parameters = parameters
        self._levels = levels
        self._snoozes = snoozes
        self._features = Features()
        self._moved: Counter[str] = Counter()
        self.verdict = Verdict(0, 0, False, False, {}, frozenset())

    def take(self, seen: Observation) -> None:
        """Fold one event, and score under both."""
        self._features = fold(self._features, (seen,))
        if seen.what in (What.DEPOSIT, What.WITHDRAWAL):
            self._moved[seen.currency] += seen.amount_minor
        active, draft = self._score(self._active), self._score(self._draft)
        failed = {failure.rule for failure in (*active.failures, *draft.failures)}
        self.verdict = Verdict(
            active_score=active.score,
            draft_score=draft.score,
            active=self.verdict.active or active.level is Level.FRAUDULENT,
            draft=self.verdict.draft or draft.level is Level.FRAUDULENT,
            moved=self._moved,
            failed=self.verdict.failed | failed,
        )

    def _score(self, rules: RuleSet) -> Score:
        now = self._features.latest
        return score(self._features, rules, self._parameters, self._levels, now, asleep(self._snoozes, now))


def compare(verdicts: Mapping[int, Verdict], confirmed: Iterable[int], dismissed: Iterable[int]) -> dict[str, Any]:
    """Both sets of rules side by side. Precision and recall are in millionths, None where nothing was resolved."""
    active = {user_id for user_id, verdict in verdicts.items() if verdict.active}
    draft = {user_id for user_id, verdict in verdicts.items() if verdict.draft}
    bad, fine = verdicts.keys() & set(confirmed), verdicts.keys() & set(dismissed)
    at_stake: Counter[str] = Counter()
    for user_id in draft - active:
        at_stake.update(verdicts[user_id].moved)
    return {
        "players": len(verdicts),
        "active": {"flagged": sorted(active), **_measured(active, bad, fine)},
        "draft": {"flagged": sorted(draft), **_measured(draft, bad, fine)},
        "newly": sorted(draft - active),
        "no_longer": sorted(active - draft),
        "overlap": sorted(draft & active),
        "at_stake_minor": dict(sorted(at_stake.items())),
        "failed_rules": sorted({rule for verdict in verdicts.values() for rule in verdict.failed}),
    }


def _measured(flagged: set[int], confirmed: set[int], dismissed: set[int]) -> dict[str, int | None]:
    hits, wrong = len(flagged & confirmed), len(flagged & dismissed)
    return {
        "precision_ppm": hits * PPM // (hits + wrong) if hits + wrong else None,
        "recall_ppm": hits * PPM // len(confirmed) if confirmed else None,
    }
