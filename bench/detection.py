"""How well the rules tell planted fraudsters from honest players, and how fast they score: `make bench` prints it."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.scenarios import CURRENCY, DEPOSIT_LIMIT_MINOR, Player, players
from fraud_service.domain.features import Features, fold
from fraud_service.domain.readings import Parameters
from fraud_service.domain.rules import compiled
from fraud_service.domain.scoring import Levels, RuleSet, score
from fraud_service.handlers.rulebook import initial_rules

HONEST = int(os.environ.get("HONEST", "20000"))
PLANTED_EACH = int(os.environ.get("PLANTED", "300"))
SEED = 20_261_124
PARAMETERS = Parameters(deposit_limits={CURRENCY: DEPOSIT_LIMIT_MINOR})
LEVELS = Levels()


@dataclass(slots=True)
class Found:
    """What became of one label's players: the highest score of each, and how many each rule spoke of."""

    highest: list[int] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def above(self, score: int) -> int:
        """How many were once above a score."""
        return sum(highest > score for highest in self.highest)


def rule_set() -> RuleSet:
    """The rules that a new platform starts with."""
    return RuleSet(1, tuple(compiled(number, body) for number, body in enumerate(initial_rules(), start=1)))


def detect(drawn: Iterable[Player]) -> dict[str, Found]:
    """Score every player after each of its sessions."""
    rules = rule_set()
    found: dict[str, Found] = defaultdict(Found)
    for player in drawn:
        features, highest, spoke = Features(), 0, set()
        for session in player.sessions:
            features = fold(features, session)
            now = score(features, rules, PARAMETERS, LEVELS, features.latest)
            highest = max(highest, now.score)
            spoke |= {reason.rule for reason in now.reasons}
        of = found[player.label]
        of.highest.append(highest)
        for rule in spoke:
            of.rules[rule] += 1
    return found


def main() -> None:
    """Print precision and recall per pattern, and the rate of scores."""
    started = time.perf_counter()
    drawn = list(players(SEED, honest_count=HONEST, planted_each=PLANTED_EACH))
    drawn_s = time.perf_counter() - started
    started = time.perf_counter()
    found = detect(drawn)
    took_s = time.perf_counter() - started
    honest = found["honest"]
    table = Table(title=f"Fraud detection: {HONEST} honest players, {PLANTED_EACH} planted of each pattern")
    for column in ("pattern", "recall (above 75)", "precision (above 75)", "missed"):
        table.add_column(column)
    for label, of in found.items():
        if label != "honest":
            hits, false = of.above(75), honest.above(75)
            precision = hits / (hits + false) if hits + false else 0.0
            table.add_row(label, f"{hits / len(of.highest):.1%}", f"{precision:.1%}", str(len(of.highest) - hits))
    console = Console()
    console.print(table)
    share = honest.above(50) / len(honest.highest)
    console.print(f"honest players ever above 50: {share:.2%}; above 75: {honest.above(75) / len(honest.highest):.2%}")
    events = sum(len(session) for player in drawn for session in player.sessions)
    scores = sum(len(player.sessions) for player in drawn)
    console.print(
        f"{events} events in {scores} sessions drawn in {drawn_s:.0f} s, folded and scored in {took_s:.0f} s: "
        f"{events / took_s:,.0f} events/s, one score per session"
    )


if __name__ == "__main__":
    main()
