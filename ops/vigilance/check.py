"""`langsense check`: every alarm once, by what each service says of itself now."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group
from rich.table import Table

from ops.places import Places
from ops.vigilance.alarms import ALARMS, Alarm, Combine, Severity

TIMEOUT_S = 5.0
GATEWAY_PREFIX = "/api/v1"
# What cron and others make of the worst of them.
EXIT_CODES: Mapping[Severity, int] = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_COLOURS: Mapping[Severity, str] = {Severity.INFO: "blue", Severity.WARNING: "yellow", Severity.CRITICAL: "red"}
_SELECTOR = re.compile(r'(\w+)(=~|=)"([^"]*)"')


class Sample(NamedTuple):
    """One value that a service says."""

    service: str
    metric: str
    labels: Mapping[str, str]
    value: float


class Said(NamedTuple):
    """What a service says of itself, and what is wrong where it does not, or is not ready."""

    samples: Sequence[Sample]
    problem: str | None


class Finding(NamedTuple):
    """An alarm beside its value. `of` are the labels that it is by."""

    name: str
    severity: Severity
    of: str
    value: float
    above: float
    summary: str
    anchor: str

    @property
    def raised(self) -> bool:
        """Whether it is above."""
        return self.value > self.above


async def look(found: Places) -> list[Finding]:
    """Ask every service, and hold what they say to the alarms."""
    urls = {"gateway": found.gateway_url + GATEWAY_PREFIX, **found.service_urls}
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        said = await asyncio.gather(*(_ask(client, service, url) for service, url in urls.items()))
    down = [
        Finding("ServiceDown", Severity.CRITICAL, service, 1, 0, one.problem or "", "a-service-does-not-keep-up")
        for service, one in zip(urls, said, strict=True)
        if one.problem is not None
    ]
    samples = [sample for one in said for sample in one.samples]
    return [*down, *(finding for alarm in ALARMS for finding in findings(alarm, samples))]


async def _ask(client: httpx2.AsyncClient, service: str, url: str) -> Said:
    samples: list[Sample] = []
    try:
        # What it says of itself may be why it is not ready.
        text = (await client.get(f"{url.removesuffix(GATEWAY_PREFIX)}/metrics")).text
        samples += _samples(service, text)
        ready = await client.get(f"{url}/health/ready")
    except httpx2.HTTPError as error:
        return Said(samples, f"{service} does not answer: {type(error).__name__}")
    problem = None
    if not ready.is_success:
        wrong = [f"{name}: {what}" for name, what in ready.json().get("checks", {}).items() if what != "ok"]
        problem = f"{service} is not ready: {'; '.join(wrong)}"
    return Said(samples, problem)


def _samples(service: str, text: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(service, sample.name, {**sample.labels, "job": service}, sample.value)


def findings(alarm: Alarm, samples: Sequence[Sample]) -> list[Finding]:
    """An alarm by what was said: one finding, or one for each value of the labels that it is by.

    What is counted by labels is 0 until there is something to count.
    """
    values = combined(alarm, alarm.metric, samples)
    if alarm.over is not None:
        whole = combined(alarm, alarm.over, samples)
        values = {of: value / whole[of] for of, value in values.items() if whole.get(of)}
    return [
        Finding(alarm.name, alarm.severity, ", ".join(of), value, alarm.above, alarm.summary, alarm.anchor)
        for of, value in (values or {(): 0.0}).items()
    ]


def combined(alarm: Alarm, metric: str, samples: Sequence[Sample]) -> dict[tuple[str, ...], float]:
    """The values of a metric, summed up or their highest, by the alarm's labels."""
    grouped: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for sample in samples:
        if sample.metric == metric and _selected(alarm.labels, sample.labels):
            grouped[tuple(sample.labels.get(name, "") for name in alarm.by)].append(sample.value)
    combine = sum if alarm.combine is Combine.SUM else max
    return {of: combine(values) for of, values in grouped.items()}


def _selected(selector: str, labels: Mapping[str, str]) -> bool:
    return all(
        re.fullmatch(value if how == "=~" else re.escape(value), labels.get(name, "")) is not None
        for name, how, value in _SELECTOR.findall(selector)
    )


def worst(found: Iterable[Finding]) -> int:
    """The exit code: 0 where nothing is raised that wants anybody today, 1 for warnings, 2 for what is critical."""
    return max((EXIT_CODES[each.severity] for each in found if each.raised), default=0)


def shown(found: Sequence[Finding]) -> Group:
    """The alarms as a person reads them, what is raised first; under them what it means."""
    ranked = sorted(found, key=lambda each: (not each.raised, -EXIT_CODES[each.severity]))
    table = Table("alarm", "of", "value", "above", "", title=None)
    # A name is what is looked for in the runbook: no terminal is too narrow for the whole of it.
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    for each in ranked:
        state = f"[{_COLOURS[each.severity]}]{each.severity}[/]" if each.raised else "[green]well[/]"
        table.add_row(each.name, each.of, f"{each.value:g}", f"{each.above:g}", state)
    # Of one alarm that is raised for several, once.
    meanings = dict.fromkeys(_meaning(each) for each in ranked if each.raised)
    return Group(table, *meanings)


def _meaning(finding: Finding) -> str:
    return f"[bold]{finding.name}[/]: {finding.summary} See docs/runbook.md#{finding.anchor}"
