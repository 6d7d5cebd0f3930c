"""Grafana's dashboards, as JSON, from a short list of what each shows.

python -m ops.vigilance.dashboards deploy/grafana/dashboards
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ops.vigilance.alarms import ALARMS

SCHEMA_VERSION = 41
_WIDTH, _HEIGHT, _STAT_HEIGHT, _COLUMNS = 12, 8, 4, 24
_SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """A graph (`stat` False) or one number: what it asks Prometheus, the unit, and how a line is named."""

    title: str
    expression: str
    unit: str = "short"
    legend: str = ""
    stat: bool = False


def _stat(title: str, expression: str, unit: str = "short") -> Panel:
    return Panel(title, expression, unit, stat=True)


def _quantile(share: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({share:g}, sum by (le{by and ', ' + by}) (rate({metric}_bucket[$__rate_interval])))"


def _each(metric: str) -> str:
    return f"rate({metric}[$__rate_interval])"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


DASHBOARDS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "business": (
        "Business",
        (
            _stat(
                "Deposits completed, 24 h",
                'sum(increase(langsense_payments_total{direction="deposit",status="completed"}[24h]))',
            ),
            _stat(
                "Withdrawals completed, 24 h",
                'sum(increase(langsense_payments_total{direction="withdrawal",status="completed"}[24h]))',
            ),
            _stat("Refused for a limit, last hours", "max(langsense_limit_refusals)"),
            _stat("Limits set aside today", "max(langsense_limit_overrides)"),
            Panel("Reports late", "max by (every) (langsense_reports_late_seconds)", "s", "{{every}}"),
            Panel(
                "Reports sent, and tries that failed, a day",
                "sum by (every, outcome) (increase(langsense_report_runs_total[1d]))",
                "short",
                "{{every}} {{outcome}}",
            ),
            Panel(
                "Making and sending a report", _quantile(0.99, "langsense_report_seconds", "every"), "s", "{{every}}"
            ),
            Panel("Decisions a second, by kind", _rate("langsense_wallet_decisions_total", "kind"), "ops", "{{kind}}"),
            Panel(
                "Refusals a second, by reason",
                'sum by (reason) (rate(langsense_wallet_decisions_total{status="refused"}[$__rate_interval]))',
                "ops",
                "{{reason}}",
            ),
            Panel(
                "Bets and payouts a second",
                'sum by (kind) (rate(langsense_wallet_decisions_total{kind=~"GAME_.*"}[$__rate_interval]))',
                "ops",
                "{{kind}}",
            ),
            Panel(
                "Payments a minute, by state",
                "60 * " + _rate("langsense_payments_total", "direction, status"),
                "short",
                "{{direction}} {{status}}",
            ),
        ),
    ),
    "ledger": (
        "Ledger",
        (
            _stat("Checksums failed", "max(langsense_checksums_failed)"),
            _stat("Verification errors", "max(langsense_verification_errors)"),
            _stat("Balance discrepancies", "max(langsense_reconciliation_discrepancies)"),
            _stat("Lanes not sealed", "max(langsense_unsealable_lanes)"),
            Panel("Command to commit", _quantile(0.99, "langsense_command_decided_seconds"), "s", "99 %"),
            Panel(
                "Accepted to answered, by kind", _quantile(0.99, "langsense_command_seconds", "kind"), "s", "{{kind}}"
            ),
            Panel(
                "Events published a second", f"sum({_each('langsense_ledger_events_published_total')})", "ops", "events"
            ),
            Panel(
                "Events published again a second",
                f"sum({_each('langsense_ledger_events_republished_total')})",
                "ops",
                "events",
            ),
            Panel("Duplicates dropped", _rate("langsense_duplicates_total", "topic"), "ops", "{{topic}}"),
            Panel(
                "Rows looked at again",
                "sum(rate(langsense_integrity_rows_checked_total[$__rate_interval]))",
                "ops",
                "rows",
            ),
            Panel(
                "Checkpoints sealed",
                "sum(rate(langsense_checkpoints_sealed_total[$__rate_interval]))",
                "ops",
                "checkpoints",
            ),
        ),
    ),
    "payments": (
        "Payments",
        (
            _stat("Queued", 'max(langsense_payments_waiting{what="queue"})'),
            _stat("Wait for review", 'max(langsense_payments_waiting{what="review"})'),
            _stat("Oldest unknown outcome", "max(langsense_payments_oldest_unknown_seconds)", "s"),
            _stat("Settlement delay", "max(langsense_settlement_delay_seconds)", "s"),
            _stat("Oldest exception", "max(langsense_settlement_exceptions_oldest_seconds)", "s"),
            Panel(
                "Failed, of those that ended lately",
                "max by (direction, provider) (langsense_payments_failed_ratio)",
                "percentunit",
                "{{provider}} {{direction}}",
            ),
            Panel(
                "Payments a minute",
                "60 * " + _rate("langsense_payments_total", "provider, direction, status"),
                "short",
                "{{provider}} {{direction}} {{status}}",
            ),
            Panel(
                "Webhooks a minute",
                "60 * " + _rate("langsense_webhooks_total", "source, outcome"),
                "short",
                "{{source}} {{outcome}}",
            ),
        ),
    ),
    "fraud": (
        "Fraud",
        (
            _stat("Flags not resolved", "max(langsense_fraud_flags_unresolved)"),
            _stat("Flagged and playing", "max(langsense_fraud_flags_playing)"),
            _stat("Flags of the day", "max(langsense_fraud_flags_of_day)"),
            _stat("Rules that failed", "max(langsense_fraud_rules_failed)"),
            Panel("Players by level", "max by (level) (langsense_fraud_players)", "short", "{{level}}"),
            Panel("From decision to score", _quantile(0.99, "langsense_fraud_detection_seconds"), "s", "99 %"),
            Panel("Precision by rule", "max by (rule) (langsense_fraud_rule_precision)", "percentunit", "{{rule}}"),
            Panel("Rules that never hold", "max(langsense_fraud_rules_silent)", "short", "rules"),
            Panel("Rules that hold too often", "max(langsense_fraud_rules_noisy)", "short", "rules"),
            Panel("Scores a second", f"sum({_each('langsense_fraud_scores_total')})", "ops", "scores"),
            Panel("Flags a second", f"sum({_each('langsense_fraud_flags_raised_total')})", "ops", "flags"),
        ),
    ),
    "services": (
        "Services",
        (
            Panel("Requests a second", _rate("langsense_http_request_seconds_count", "job"), "reqps", "{{job}}"),
            Panel(
                "Requests that fail here",
                'sum by (job) (rate(langsense_http_request_seconds_count{status=~"5.."}[$__rate_interval]))',
                "reqps",
                "{{job}}",
            ),
            Panel("Request duration, 99 %", _quantile(0.99, "langsense_http_request_seconds", "job"), "s", "{{job}}"),
            Panel(
                "Batch duration, 99 %",
                _quantile(0.99, "langsense_batch_seconds", "job, topic"),
                "s",
                "{{job}} {{topic}}",
            ),
            Panel(
                "Records that wait",
                "max by (job, topic) (langsense_consumer_lag_records)",
                "short",
                "{{job}} {{topic}}",
            ),
            Panel(
                "Oldest record that waits",
                "max by (job, topic) (langsense_consumer_lag_seconds)",
                "s",
                "{{job}} {{topic}}",
            ),
            Panel(
                "Rebalances",
                "sum by (job) (increase(langsense_consumer_rebalances_total[$__rate_interval]))",
                "short",
                "{{job}}",
            ),
            Panel(
                "Records parked",
                "sum by (job, topic, code) (increase(langsense_records_parked_total[$__rate_interval]))",
                "short",
                "{{job}} {{topic}} {{code}}",
            ),
            Panel("Oldest event in an outbox", "max by (job) (langsense_outbox_oldest_seconds)", "s", "{{job}}"),
            Panel(
                "Database connections taken",
                "max by (job) (langsense_database_connections_in_use) / max by (job) (langsense_database_connections)",
                "percentunit",
                "{{job}}",
            ),
            Panel(
                "Event loop late, 99 %", _quantile(0.99, "langsense_event_loop_delay_seconds", "job"), "s", "{{job}}"
            ),
            Panel(
                "Rows fetched to fill a gap",
                "sum by (job) (rate(langsense_inbox_rows_fetched_total[$__rate_interval]))",
                "ops",
                "{{job}}",
            ),
        ),
    ),
}


def made(name: str) -> str:
    """A dashboard's JSON."""
    title, panels = DASHBOARDS[name]
    x = y = row = 0
    placed = []
    for number, panel in enumerate(panels, start=1):
        width, height = (_COLUMNS // 4, _STAT_HEIGHT) if panel.stat else (_WIDTH, _HEIGHT)
        if x + width > _COLUMNS or (row and row != height):
            x, y = 0, y + row
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": width, "h": height}))
        x, row = x + width, height
    board = {
        "uid": f"langsense-{name}",
        "title": f"LangSense: {title}",
        "tags": ["langsense"],
        "timezone": "utc",
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}]},
        "panels": placed,
    }
    return json.dumps(board, indent=2) + "\n"


def _panel(number: int, panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.stat:
        above = next((each.above for each in ALARMS if each.metric in panel.expression), None)
        if above is not None:
            steps = [{"color": "green", "value": None}, {"color": "red", "value": above + 1}]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "title": panel.title,
        "type": "stat" if panel.stat else "timeseries",
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": "A", "datasource": _SOURCE, "expr": panel.expression, "legendFormat": panel.legend or "__auto"}
        ],
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for _name in DASHBOARDS:
        (folder / f"{_name}.json").write_text(made(_name))
