"""Prometheus' rules, and their tests for `promtool test rules`, from the list of alarms.

python -m ops.vigilance.rules rules > deploy/prometheus/rules.yml
python -m ops.vigilance.rules tests > deploy/prometheus/rules_test.yml
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ops.vigilance.alarms import ALARMS, Alarm, Severity

RUNBOOK = "docs/runbook.md"
SCRAPE_S = 60


class Outside(NamedTuple):
    """An alarm that no process can say of itself. `series` raise it from the fifth minute of a test to the 25th."""

    name: str
    severity: Severity
    expression: str
    for_s: int
    summary: str
    series: Mapping[str, str]


OUTSIDE = (
    Outside("ServiceDown", Severity.CRITICAL, "up == 0", 60, "A service does not answer.", {"up": "1x5 0x20 1x10"}),
    Outside(
        "RequestsFailing",
        Severity.CRITICAL,
        'sum by (job) (rate(langsense_http_request_seconds_count{status=~"5.."}[5m])) '
        "/ sum by (job) (rate(langsense_http_request_seconds_count[5m])) > 0.01",
        300,
        "More than 1 % of a service's requests fail on its own side.",
        {
            'langsense_http_request_seconds_count{status="200"}': "0+10x35",
            'langsense_http_request_seconds_count{status="500"}': "0x5 0+1x20 20x10",
        },
    ),
)
_ANCHOR = "a-service-does-not-keep-up"


def rules() -> str:
    """The rules, as YAML."""
    lines = ["# Made by `python -m ops.vigilance.rules rules`.", "groups:"]
    for group in dict.fromkeys(alarm.group for alarm in ALARMS):
        lines += [f"  - name: langsense_{group}", "    rules:"]
        for alarm in ALARMS:
            if alarm.group == group:
                expression = alarm.expression()
                lines += _rule(alarm.name, expression, alarm.for_s, alarm.severity, alarm.summary, alarm.anchor)
    lines += ["  - name: langsense_processes", "    rules:"]
    for seen in OUTSIDE:
        lines += _rule(seen.name, seen.expression, seen.for_s, seen.severity, seen.summary, _ANCHOR)
    return "\n".join(lines) + "\n"


def _rule(name: str, expression: str, for_s: int, severity: Severity, summary: str, anchor: str) -> Iterator[str]:
    yield f"      - alert: {name}"
    yield f"        expr: {json.dumps(expression)}"
    if for_s:
        yield f"        for: {for_s}s"
    yield f"        labels: {{severity: {severity}}}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(summary)}"
    yield f"          runbook_url: {RUNBOOK}#{anchor}"


def tests() -> str:
    """A test of each rule: raised while its value is too high, and not once it is well again."""
    lines = ["# Made by `python -m ops.vigilance.rules tests`.", "rule_files: [rules.yml]", "tests:"]
    for alarm in ALARMS:
        lines += _test(alarm)
    for seen in OUTSIDE:
        lines += _test_outside(seen)
    return "\n".join(lines) + "\n"


def _test(alarm: Alarm) -> Iterator[str]:
    """One minute a sample: well, then too high for longer than it takes, then well again."""
    raised = alarm.for_s // SCRAPE_S + 5
    well = 0 if alarm.over else alarm.above
    high = alarm.above + 1
    values = f"{well:g}x5 {high:g}x{raised} {well:g}x9"
    labels = dict.fromkeys(alarm.by, "one") | dict(_labels(alarm.labels))
    series = {alarm.metric + _braces(labels): values}
    if alarm.over:
        series[alarm.over + _braces(labels)] = f"1x{raised + 20}"
    told = {name: labels[name] for name in alarm.by} | {"severity": alarm.severity.value}
    yield from _raised_and_cleared(alarm.name, series, told, _annotations(alarm.summary, alarm.anchor), 5 + raised)


def _test_outside(seen: Outside) -> Iterator[str]:
    series = {
        name.replace("{", '{job="one", ') if "{" in name else f'{name}{{job="one"}}': values
        for name, values in seen.series.items()
    }
    told = {"job": "one", "severity": seen.severity.value}
    yield from _raised_and_cleared(seen.name, series, told, _annotations(seen.summary, _ANCHOR), 25)


def _raised_and_cleared(
    name: str, series: Mapping[str, str], told: Mapping[str, str], annotations: Mapping[str, str], end: int
) -> Iterator[str]:
    """Not in the fourth minute, at the end of what is wrong, and not a while after it."""
    yield f"  - name: {name}"
    yield "    interval: 1m"
    yield "    input_series:"
    for each, values in series.items():
        yield f"      - {{series: {json.dumps(each)}, values: {json.dumps(values)}}}"
    yield "    alert_rule_test:"
    firing = f"{{exp_labels: {json.dumps(told)}, exp_annotations: {json.dumps(annotations)}}}"
    yield f"      - {{eval_time: 4m, alertname: {name}, exp_alerts: []}}"
    yield f"      - {{eval_time: {end}m, alertname: {name}, exp_alerts: [{firing}]}}"
    yield f"      - {{eval_time: {end + 8}m, alertname: {name}, exp_alerts: []}}"


def _annotations(summary: str, anchor: str) -> dict[str, str]:
    return {"summary": summary, "runbook_url": f"{RUNBOOK}#{anchor}"}


def _braces(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _labels(selector: str) -> Iterator[tuple[str, str]]:
    """Labels that a selector takes: of alternatives the first."""
    for part in filter(None, selector.split(",")):
        name, value = part.replace("=~", "=").split("=", 1)
        yield name, value.strip('"').split("|")[0]


if __name__ == "__main__":
    sys.stdout.write({"rules": rules, "tests": tests}[sys.argv[1]]())
