"""Alarms by what services say: each raised above its value, and never at it."""

import io

import pytest
from rich.console import Console

from ops.vigilance.alarms import ALARMS, Alarm, Combine, Severity
from ops.vigilance.check import Finding, Sample, findings, shown, worst


def sample(metric: str, value: float, service: str = "wallet", **labels: str) -> Sample:
    return Sample(service, metric, {"job": service, **labels}, value)


def alarm(name: str) -> Alarm:
    return next(each for each in ALARMS if each.name == name)


def test_what_is_at_the_bound_is_well_and_what_is_above_is_not() -> None:
    checksums = alarm("ChecksumsFailed")
    for value, raised in ((0, False), (1, True)):
        (found,) = findings(checksums, [sample("langsense_checksums_failed", value)])
        assert (found.value, found.raised) == (value, raised)


def test_what_nobody_counted_yet_is_well() -> None:
    (found,) = findings(alarm("RecordsParked"), [])
    assert (found.value, found.raised) == (0, False)


def test_several_processes_are_one_by_their_highest_or_their_sum() -> None:
    said = [sample("langsense_x", 2, "wallet"), sample("langsense_x", 3, "fraud"), sample("langsense_y", 9)]
    one = Alarm("X", "group", Severity.INFO, "x", "langsense_x", 0, "anchor")
    assert [found.value for found in findings(one, said)] == [3]
    assert [found.value for found in findings(one._replace(combine=Combine.SUM), said)] == [5]


def test_labels_narrow_and_share_out() -> None:
    said = [
        sample("langsense_payments_failed_ratio", 0.5, direction="deposit", provider="stripe"),
        sample("langsense_payments_failed_ratio", 0.01, direction="deposit", provider="sandbox"),
        sample("langsense_payments_failed_ratio", 1, direction="withdrawal", provider="paypal"),
    ]
    found = findings(alarm("DepositsFailing"), said)
    assert [(each.of, each.value, each.raised) for each in found] == [("stripe", 0.5, True), ("sandbox", 0.01, False)]


def test_alternatives_of_a_label_are_told_from_others() -> None:
    levels = {"SUSPICIOUS": 7, "RISKY": 2, "FRAUDULENT": 1, "XRISKY": 50}
    said = [sample("langsense_fraud_players", count, level=level) for level, count in levels.items()]
    assert [found.value for found in findings(alarm("HighRiskPlayers"), said)] == [3]
    assert [found.value for found in findings(alarm("FraudScoresAbove75"), said)] == [1]


def test_a_share_is_of_its_own_process_and_of_none_where_there_is_nothing_to_share() -> None:
    said = [
        sample("langsense_database_connections_in_use", 5, "wallet"),
        sample("langsense_database_connections", 5, "wallet"),
        sample("langsense_database_connections_in_use", 1, "fraud"),
        sample("langsense_database_connections", 10, "fraud"),
        sample("langsense_database_connections_in_use", 0, "gateway"),
        sample("langsense_database_connections", 0, "gateway"),
    ]
    found = findings(alarm("DatabasePoolFull"), said)
    assert {each.of: (each.value, each.raised) for each in found} == {"wallet": (1, True), "fraud": (0.1, False)}


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        ([], 0),
        ([Severity.INFO], 0),
        ([Severity.INFO, Severity.WARNING], 1),
        ([Severity.CRITICAL, Severity.WARNING], 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst(raised: list[Severity], code: int) -> None:
    well = Finding("well", Severity.CRITICAL, "", 0, 0, "", "")
    assert worst([well, *(well._replace(severity=severity, value=1) for severity in raised)]) == code


def test_a_narrow_terminal_shows_the_whole_name_of_each_alarm_and_what_is_raised_means_once() -> None:
    paper = io.StringIO()
    found = [
        Finding(each.name, each.severity, of, 1, 0, each.summary, each.anchor) for each in ALARMS for of in ("a", "b")
    ]
    Console(file=paper, width=80).print(shown(found))
    text = paper.getvalue()
    for each in ALARMS:
        assert text.count(f" {each.name} ") == 2
        assert text.count(f"\n{each.name}: ") == 1
        assert f"docs/runbook.md#{each.anchor}" in text
