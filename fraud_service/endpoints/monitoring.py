"""How well fraud detection does."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from fraud_service.domain.monitoring import Counted, noisy, silent
from fraud_service.repository.monitoring import Watched
from fraud_service.settings import Settings
from shared.clock import Clock
from shared.contracts.fraud import DetectionLag, MonitoringView, PlayingFlag, RuleFirings, RulePrecision
from shared.service import internal_only
from shared.telemetry import Metrics

LONGEST_DAYS = 90


def router(settings: Settings, watched: Watched, metrics: Metrics, clock: Clock) -> APIRouter:
    """The endpoint of monitoring."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.get(
        "/fraud/monitoring", summary="Flags whose player still plays, rules that say nothing, lag, precision"
    )
    async def get_monitoring(
        days: Annotated[int, Query(ge=1, le=LONGEST_DAYS)] = 7,
        noisy_above_permille: Annotated[int, Query(ge=0, le=999)] = 200,
    ) -> MonitoringView:
        now = clock()
        rules = await watched.counted(now.date() - timedelta(days=days - 1))
        playing = await watched.playing()
        precision = await watched.precision(now - timedelta(days=days))
        return MonitoringView(
            days=days,
            unresolved=await watched.unresolved(),
            playing=[PlayingFlag(**flag._asdict()) for flag in playing],
            silent_rules=_firings(silent(rules)),
            noisy_rules=_firings(noisy(rules, noisy_above_permille)),
            detection=detection_lag(metrics),
            precision=[RulePrecision(**found._asdict(), precision_permille=found.permille) for found in precision],
        )

    return endpoints


def detection_lag(metrics: Metrics) -> DetectionLag:
    """What this instance has measured since it started."""
    (family,) = metrics.detection_s.collect()
    buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
    return DetectionLag(events=int(buckets[-1][1]), p50_s=quantile(buckets, 0.5), p99_s=quantile(buckets, 0.99))


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """The upper bound, in seconds, of the bucket where this share of all lies; None where there is nothing.

    `buckets`: upper bounds and how many are at most that, rising; the last bound is infinity, and above the last
    finite bound that bound is the answer.
    """
    rising = list(buckets)
    if not rising or rising[-1][1] == 0:
        return None
    finite = [bound for bound, _ in rising[:-1]]
    found = next(bound for bound, so_many in rising if so_many >= share * rising[-1][1])
    return min(found, finite[-1])


def _firings(rules: Iterable[Counted]) -> list[RuleFirings]:
    return [RuleFirings(**rule._asdict(), fired_permille=rule.permille) for rule in rules]
