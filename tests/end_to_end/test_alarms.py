"""Every alarm on a running platform: its cause raises it, and when that is put right it clears by itself."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops import places
from ops.vigilance import dashboards, rules
from ops.vigilance.alarms import ALARMS, Severity
from ops.vigilance.check import EXIT_CODES, GATEWAY_PREFIX
from tests.end_to_end import support
from tests.end_to_end.alarms import ledger, payments, play, services
from tests.end_to_end.alarms.stage import PLAYER, Cause, Stage
from tests.end_to_end.support import asking, known
from tests.ops.vigilance.test_files import named

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

QUICK = {
    **{"ALARM_WINDOW_S": "30", "GAUGES_EVERY_S": "1"},
    **{"CHECKPOINT_EVERY_S": "5", "AUDIT_CHECKPOINT_EVERY_S": "5", "INTEGRITY_ROWS_PER_S": "100000"},
    **{"PAYMENT_REVIEW_FROM": '{"EUR": "2"}', "REPORTS_EVERY": '["day"]', "REPORT_AT": "00:00"},
}
CAUSES = (ledger.CAUSES, play.CAUSES, payments.CAUSES, services.CAUSES)
NOT_CAUSED = {
    "RequestsFailing": "a rate, which Prometheus alone makes from one look to the next: see rules_test.yml",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The one platform, with alarms that are quick, and a player on it who is known."""
    data = tmp_path_factory.mktemp("up") / "data"
    reports = services.folder_of_reports(data)
    reports.touch()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (QUICK | {"REPORT_FOLDER": str(reports)}).items():
            patch.setenv(name, value)
        with support.running(data) as platform, asking(platform, PLAYER) as ask:
            found = Stage(platform, ask, platform.administrator())
            known(ask, PLAYER, "570100200", "EUR")
            yield found


def test_every_alarm_has_its_cause_here_or_a_reason_why_not() -> None:
    caused = [name for causes in CAUSES for cause in causes for name in cause.raises]
    every = {alarm.name for alarm in ALARMS} | {seen.name for seen in rules.OUTSIDE}
    assert len(caused) == len(set(caused))
    assert set(caused) | NOT_CAUSED.keys() == every
    assert not set(caused) & NOT_CAUSED.keys()


@pytest.mark.parametrize("causes", CAUSES, ids=["ledger", "play", "payments", "services"])
def test_alarms_are_raised_by_their_causes_and_clear_when_those_are_put_right(
    stage: Stage, causes: Sequence[Cause]
) -> None:
    expected = {name: severity for cause in causes for name, severity in cause.raises.items()}
    with ExitStack() as lasting:
        for cause in causes:
            lasting.enter_context(cause.lasting(stage))
            stage.until_raised(cause.raises)
    stage.until_clear(expected)


def test_the_command_says_the_same_and_exits_by_the_worst(stage: Stage) -> None:
    queued = payments.CAUSES[-1]
    with queued.lasting(stage):
        stage.until_raised(queued.raises)
        done = stage.platform.run("check", "--json")
        said = {each["name"]: each["severity"] for each in json.loads(done.stdout) if each["raised"]}
        assert done.returncode == max(EXIT_CODES[Severity(severity)] for severity in said.values())
        assert queued.raises.items() <= said.items()
    stage.until_clear(queued.raises)


def test_every_metric_of_rules_and_dashboards_is_one_that_the_platform_has(stage: Stage) -> None:
    found = places.find(stage.platform.data)
    texts = [
        httpx2.get(f"{url.removesuffix(GATEWAY_PREFIX)}/metrics", trust_env=False).text
        for url in (found.gateway_url, *found.service_urls.values())
    ]
    there = {family.name for text in texts for family in text_string_to_metric_families(text)}
    files = [*_files("prometheus", "rules.yml"), *_files("grafana/dashboards", "*.json")]
    assert len(files) == len(dashboards.DASHBOARDS) + 1
    groups = {f"langsense_{alarm.group}" for alarm in ALARMS} | {"langsense_processes"}
    assert {name for file in files for name in named(file.read_text())} - groups - there == set()


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted((Path(__file__).parents[2] / "deploy" / folder).glob(pattern))
