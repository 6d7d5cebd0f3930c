"""The alert rules: each names metrics that there are, and says how bad it is, what it is, and what to do."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.errors import InvalidInput, TooLarge, Unauthenticated
from shared.telemetry import Metrics
from tests.deploy.conftest import ROOT

RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
CASES = ROOT / "tests/deploy/alerts"
NAME = re.compile(r"\blangsense_[a-z_]+\b")
RULE = re.compile(r"^ {6}- (?=alert|record)", re.MULTILINE)
ALERT = re.compile(r"alert: (\w+)")


def names() -> set[str]:
    """What Prometheus scrapes, in every form in which a family may be asked for."""
    families = text_string_to_metric_families(Metrics().exposition().decode())
    found = {family.name: family.type for family in families if family.name.startswith("langsense_")}
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {name + end for name, kind in found.items() for end in ends.get(kind, ("",))}


def rules(file: Path) -> list[str]:
    """Each rule's text."""
    return RULE.split(file.read_text())[1:]


def test_there_are_rules() -> None:
    assert [file.name for file in RULES if file.name == "payments.yml"]
    assert all(rules(file) for file in RULES)


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_metric_that_a_rule_names_is_there(file: Path) -> None:
    recorded = set(re.findall(r"record: (\S+)", file.read_text()))
    used = set(re.findall(r"\blangsense:[a-z0-9_:]+", file.read_text()))
    assert set(NAME.findall(file.read_text())) <= names()
    assert used <= recorded


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_do(file: Path) -> None:
    for rule in rules(file):
        if ALERT.match(rule):
            assert re.search(r"severity: (critical|warning)\n", rule), rule
            assert re.search(r'summary: ".+"\n', rule), rule
            assert re.search(r"runbook_url: docs/runbook\.md#[a-z-]+\s*$", rule), rule


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_case_is_of_an_alert_and_of_metrics_that_are_there(file: Path) -> None:
    case = CASES / f"{file.stem}_test.yml"
    text = case.read_text()
    (named,) = re.findall(r"rule_files:\n  - (\S+)", text)
    assert (case.parent / named).resolve() == file
    alerts = {found[1] for rule in rules(file) if (found := ALERT.match(rule))}
    assert set(re.findall(r"alertname: (\w+)", text)) <= alerts
    assert set(NAME.findall(text)) <= names()


def test_what_is_counted_of_refused_webhooks_are_errors_that_there_are() -> None:
    text = (ROOT / "deploy/prometheus/rules/payments.yml").read_text()
    (outcomes,) = re.findall(r'outcome=~"([A-Z_|]+)"', text)
    assert set(outcomes.split("|")) == {InvalidInput.code, TooLarge.code, Unauthenticated.code}
