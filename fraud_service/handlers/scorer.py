"""Fold what was observed, score whom it is about, raise flags: in the transaction that takes the events."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain import flags as flagging
from fraud_service.domain.features import absorb
from fraud_service.domain.flags import Raise
from fraud_service.domain.observations import Observation
from fraud_service.domain.scoring import Failure, Level, RuleSet, score
from fraud_service.domain.snoozes import Snooze, asleep
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.repository import flags, players, rules, snoozes
from fraud_service.repository.players import Known, Scored
from fraud_service.settings import Settings
from shared import outbox
from shared.clock import Clock
from shared.contracts.fraud_events import ALERT_RAISED, SCORE_CHANGED, AlertRaised, AlertReason, ScoreChanged
from shared.outbox import OutboxEvent
from shared.telemetry import Metrics

Raised = Callable[[AsyncConnection, Sequence[tuple[UUID, Scored]]], Awaitable[None]]


class Scorer:
    """Scores players. `raised` is told of new flags, in the same transaction: what blocks a player hangs on it."""

    def __init__(
        self, settings: Settings, book: RuleBook, metrics: Metrics, clock: Clock, raised: Raised | None = None
    ) -> None:
        self._parameters = settings.parameters()
        self._levels = settings.levels()
        self._book = book
        self._metrics = metrics
        self._clock = clock
        self._raised = raised
        self._failures: dict[Failure, int] = {}

    async def apply(self, connection: AsyncConnection, observations: Iterable[Observation]) -> None:
        """Take observations in, whoever they are about."""
        seen: dict[int, list[Observation]] = defaultdict(list)
        for observation in observations:
            seen[observation.user_id].append(observation)
        if not seen:
            return
        known = await players.lock(connection, seen)
        slept = await snoozes.of_players(connection, seen)
        rule_set = self._book.rules
        scored = [
            self._scored(user_id, known[user_id], seen[user_id], slept.get(user_id, ()), rule_set)
            for user_id in sorted(seen)
        ]
        await self.save(connection, known, scored, rule_set)

    async def save(
        self, connection: AsyncConnection, known: Mapping[int, Known], scored: Sequence[Scored], rule_set: RuleSet
    ) -> None:
        """Write scores of players that are locked, with what hangs on them: history, flags, alerts, counts."""
        await players.save(connection, scored)
        changed = [s for s in scored if players.differs(known[s.user_id], s.score)]
        await players.remember(connection, changed)
        await outbox.put(connection, *(_changed(s) for s in changed if known[s.user_id].level is not s.score.level))
        await self._flag(connection, [s for s in scored if s.score.level is Level.FRAUDULENT])
        fired = Counter(r.version for s in scored for r in (*s.score.reasons, *s.score.shadow, *s.score.snoozed))
        versions = [rule.version for rule in (*rule_set.active, *rule_set.shadow)]
        await rules.count(connection, self._clock().date(), len(scored), {v: fired[v] for v in versions})
        self._metrics.fraud_scores.inc(len(scored))

    async def settle(self) -> None:
        """After the transaction: disable the rules that failed in it. Raises DatabaseUnavailable."""
        while self._failures:
            failure, user_id = next(iter(self._failures.items()))
            await self._book.disable(failure, user_id)
            self._failures.pop(failure, None)

    def rescored(self, user_id: int, known: Known, slept: Sequence[Snooze], rule_set: RuleSet) -> Scored:
        """A player under other rules, at the time of its latest event."""
        return self._scored(user_id, known, (), slept, rule_set)

    def _scored(
        self, user_id: int, known: Known, seen: Iterable[Observation], slept: Sequence[Snooze], rule_set: RuleSet
    ) -> Scored:
        features = known.features
        absorb(features, seen)
        now = features.latest
        found = score(features, rule_set, self._parameters, self._levels, now, asleep(slept, now))
        for failure in found.failures:
            self._failures.setdefault(failure, user_id)
        return Scored(user_id, features, found, rule_set.revision)

    async def _flag(self, connection: AsyncConnection, suspects: Sequence[Scored]) -> None:
        if not suspects:
            return
        standings = await flags.standings(connection, [s.user_id for s in suspects])
        what = {s.user_id: flagging.raising(s.score, standings.get(s.user_id)) for s in suspects}
        fresh = [s for s in suspects if what[s.user_id] is Raise.NEW]
        ids = await flags.raise_new(connection, fresh)
        await flags.keep_up(connection, [s for s in suspects if what[s.user_id] is Raise.KEEP_UP])
        raised = list(zip(ids, fresh, strict=True))
        await outbox.put(connection, *(_alert(flag_id, s) for flag_id, s in raised))
        if self._raised is not None and raised:
            await self._raised(connection, raised)
        self._metrics.fraud_flags.inc(len(raised))


def _alert(flag_id: UUID, scored: Scored) -> OutboxEvent:
    found = scored.score
    told = AlertRaised(
        flag_id=flag_id,
        user_id=scored.user_id,
        score=found.score,
        level=found.level.value,
        at=players.moment(found.at),
        reasons=[
            AlertReason(rule=r.rule, version=r.version, text=r.text, points_milli=r.points_milli) for r in found.reasons
        ],
    )
    return OutboxEvent(scored.user_id, ALERT_RAISED, told.body())


def _changed(scored: Scored) -> OutboxEvent:
    found = scored.score
    at = players.moment(found.at)
    told = ScoreChanged(user_id=scored.user_id, score=found.score, level=found.level.value, at=at)
    return OutboxEvent(scored.user_id, SCORE_CHANGED, told.body())
