"""Rules and dashboards as they are kept: made from the list of alarms, about metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.vigilance import dashboards, rules
from ops.vigilance.alarms import ALARMS
from shared.telemetry import Metrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana" / "dashboards"
_METRIC = re.compile(r"\blangsense_[a-z0-9_]+")
_SUFFIXES = ("_bucket", "_count", "_sum", "_total")


def families() -> set[str]:
    return {family.name for family in Metrics().registry.collect()}


def named(text: str) -> Iterator[str]:
    """The families of the metrics that a text names."""
    for name in _METRIC.findall(text):
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")
        yield name.removesuffix(suffix)


def test_the_rules_and_their_tests_are_those_of_the_alarms() -> None:
    assert (PROMETHEUS / "rules.yml").read_text() == rules.rules()
    assert (PROMETHEUS / "rules_test.yml").read_text() == rules.tests()


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_a_dashboard_is_the_one_that_is_described(name: str) -> None:
    kept = (GRAFANA / f"{name}.json").read_text()
    assert kept == dashboards.made(name)
    places = [panel["gridPos"] for panel in json.loads(kept)["panels"]]
    covered = [(x, y) for place in places for x in _span(place, "x", "w") for y in _span(place, "y", "h")]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


def _span(place: dict[str, int], start: str, length: str) -> range:
    return range(place[start], place[start] + place[length])


def test_there_is_no_dashboard_beside_those_that_are_described() -> None:
    assert {path.stem for path in GRAFANA.iterdir()} == set(dashboards.DASHBOARDS)


def test_every_metric_that_is_named_is_one_that_services_have() -> None:
    texts = [rules.rules(), *(dashboards.made(name) for name in dashboards.DASHBOARDS)]
    wanted = {family for text in texts for family in named(text.replace("langsense_" + "ledger\n", ""))}
    groups = {f"langsense_{alarm.group}" for alarm in ALARMS} | {"langsense_processes"}
    assert wanted - groups - families() == set()


def test_every_alarm_leads_to_a_heading_of_the_runbook() -> None:
    text = (ROOT / rules.RUNBOOK).read_text()
    headings = {_anchor(line) for line in text.splitlines() if line.startswith("#")}
    assert {alarm.anchor for alarm in ALARMS} - headings == set()


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lstrip("# ").lower()).replace(" ", "-")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
@pytest.mark.parametrize(
    "arguments",
    [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"], ["check", "config", "prometheus.yml"]],
    ids=" ".join,
)
def test_prometheus_takes_them(arguments: list[str]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
