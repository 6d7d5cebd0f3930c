"""Prometheus' rules, and their tests for `promtool test rules`, from the list of alarms.

python -m ops.vigilance.rules rules > deploy/prometheus/rules.yml
python -m ops.vigilance.rules tests > deploy/prometheus/rules_test.yml
"""

import json
import sys
from collections.abc import Iterator

from ops.vigilance.alarms import ALARMS, Alarm, Severity

RUNBOOK = "docs/runbook.md"
SCRAPE_S = 60
# What no process says of itself.
_ABSENT = (
    ("ServiceDown", Severity.CRITICAL, "up == 0", 60, "A service does not answer.", "a-service-does-not-keep-up"),
    (
        "RequestsFailing",
        Severity.CRITICAL,
        'sum by (job) (rate(langsense_http_request_seconds_count{status=~"5.."}[5m])) '
        "/ sum by (job) (rate(langsense_http_request_seconds_count[5m])) > 0.01",
        300,
        "More than 1 % of a service's requests fail on its own side.",
        "a-service-does-not-keep-up",
    ),
)


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
    for name, severity, expression, for_s, summary, anchor in _ABSENT:
        lines += _rule(name, expression, for_s, severity, summary, anchor)
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
    return "\n".join(lines) + "\n"


def _test(alarm: Alarm) -> Iterator[str]:
    """One minute a sample: well, then too high for longer than it takes, then well again."""
    raised = alarm.for_s // SCRAPE_S + (70 if alarm.within else 5)
    well = 0 if alarm.within or alarm.over else alarm.above
    high = alarm.above + 1
    values = f"{well:g}x5 {high:g}x{raised} {well:g}x90"
    if alarm.within:
        # A counter that goes up by that much a minute, and then stands.
        values = f"0x5 0+{high:g}x{raised} {high * raised:g}x90"
    labels = dict.fromkeys(alarm.by, "one") | dict(_labels(alarm.labels))
    yield f"  - name: {alarm.name}"
    yield "    interval: 1m"
    yield "    input_series:"
    yield f"      - {{series: {json.dumps(alarm.metric + _braces(labels))}, values: {json.dumps(values)}}}"
    if alarm.over:
        whole = f"1x{raised + 100}"
        yield f"      - {{series: {json.dumps(alarm.over + _braces(labels))}, values: {json.dumps(whole)}}}"
    yield "    alert_rule_test:"
    end = 5 + raised
    told = {name: labels[name] for name in alarm.by} | {"severity": alarm.severity.value}
    firing = f"{{exp_labels: {json.dumps(told)}, exp_annotations: {json.dumps(_annotations(alarm))}}}"
    yield f"      - {{eval_time: 4m, alertname: {alarm.name}, exp_alerts: []}}"
    yield f"      - {{eval_time: {end}m, alertname: {alarm.name}, exp_alerts: [{firing}]}}"
    yield f"      - {{eval_time: {end + 80}m, alertname: {alarm.name}, exp_alerts: []}}"


def _annotations(alarm: Alarm) -> dict[str, str]:
    return {"summary": alarm.summary, "runbook_url": f"{RUNBOOK}#{alarm.anchor}"}


def _braces(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _labels(selector: str) -> Iterator[tuple[str, str]]:
    """Labels that a selector takes: of alternatives the first."""
    for part in filter(None, selector.split(",")):
        name, value = part.replace("=~", "=").split("=", 1)
        yield name, value.strip('"').split("|")[0]


if __name__ == "__main__":
    sys.stdout.write({"rules": rules, "tests": tests}[sys.argv[1]]())
