"""What the demo shows: progress while it runs, then figures, then the proof."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ops.demo.casino import Result, percentile
from ops.proof import Check

REFRESH_S = 0.5


class Display:
    """A live display on a terminal; elsewhere a line every few seconds."""

    def __init__(self, console: Console, duration_s: float) -> None:
        self._console = console
        self._duration_s = duration_s

    async def watch(self, result: Result) -> None:
        """Until cancelled."""
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(10)
                self._console.print(f"{result.sent} requests, {result.rate():.0f}/s")
        bar = Progress(TextColumn("playing"), BarColumn(bar_width=50), TimeRemainingColumn(), console=self._console)
        task = bar.add_task("playing", total=self._duration_s)
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            while True:
                await asyncio.sleep(REFRESH_S)
                bar.advance(task, REFRESH_S)
                live.update(Group(bar, _latencies(result)))


def _latencies(result: Result) -> Table:
    table = Table("channel", "answers", "p50 ms", "p95 ms", "p99 ms", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for channel, values in sorted(result.latencies_s.items()):
        shares = (f"{percentile(values, share) * 1000:.1f}" for share in (0.5, 0.95, 0.99))
        table.add_row(channel, str(len(values)), *shares)
    return table


def show(console: Console, result: Result, checks: Sequence[Check]) -> None:
    """Print the figures and the proof."""
    table = Table("kind", "posted", "refused", "why", title="Commands by kind and outcome", title_justify="left")
    for kind, outcomes in sorted(_by_kind(result).items()):
        refused = {outcome: count for outcome, count in outcomes.items() if outcome != "posted"}
        why = ", ".join(f"{outcome} {count}" for outcome, count in sorted(refused.items()))
        table.add_row(kind, str(outcomes["posted"]), str(sum(refused.values()) or ""), why)
    for column in table.columns[1:3]:
        column.justify = "right"
    console.print(table)
    console.print(f"{result.sent} requests in {result.seconds:.0f} s: {result.rate():.0f}/s; from request to decision:")
    console.print(_latencies(result))
    if result.paid:
        said = ", ".join(
            f"{direction} {outcome} {count}" for (direction, outcome), count in sorted(result.paid.items())
        )
        console.print(f"{result.paid.total()} payments through the sandbox, as they were answered: {said}")
    show_checks(console, checks)


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print what holds and what does not."""
    table = Table("", "the proof", "looked at", title_justify="left")
    for check in checks:
        table.add_row("[green]✓[/]" if check.holds else "[red]✗[/]", check.name, check.looked_at)
    console.print(table)
    for check in checks:
        for finding in check.findings:
            console.print(f"[red]{check.name}:[/] {finding}", highlight=False)


def as_json(result: Result, checks: Sequence[Check]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "requests": result.sent,
        "seconds": round(result.seconds, 3),
        "rate_per_s": round(result.rate(), 1),
        "kinds": {kind: dict(outcomes) for kind, outcomes in sorted(_by_kind(result).items())},
        "latency_ms": {
            channel: {
                name: round(percentile(values, share) * 1000, 2)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            }
            for channel, values in sorted(result.latencies_s.items())
        },
        "retried_requests": result.retried,
        "payments": {" ".join(name): count for name, count in sorted(result.paid.items())},
        "proof": [
            {"check": check.name, "holds": check.holds, "looked_at": check.looked_at, "findings": check.findings}
            for check in checks
        ],
        "holds": all(check.holds for check in checks),
    }


def _by_kind(result: Result) -> dict[str, Counter[str]]:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, kind, outcome), count in result.outcomes.items():
        kinds[kind][outcome] += count
    return kinds
