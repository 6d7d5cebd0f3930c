"""Every alarm, once: what it looks at, from which value on it is raised, how grave that is, and where to read on.

Prometheus' rules (`rules`), their tests and `langsense check` are made from this list, and mean the same. What an
alarm looks at is a gauge that says how things stand, so that one look is enough, and that clears by itself.
"""

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """INFO: for the day's list. WARNING: to be looked at today. CRITICAL: somebody is woken up."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Combine(StrEnum):
    """How the values of several processes are one: each has its own, or each has seen the same."""

    SUM = "sum"
    MAX = "max"


class Alarm(NamedTuple):
    """One thing that is watched.

    `labels` narrow the metric. `by` are labels of which each value is an alarm of its own. An alarm is raised where
    the value is above `above` for `for_s` seconds. `anchor` is a heading of the runbook.
    """

    name: str
    group: str
    severity: Severity
    summary: str
    metric: str
    above: float
    anchor: str
    combine: Combine = Combine.MAX
    labels: str = ""
    by: tuple[str, ...] = ()
    for_s: int = 0
    over: str | None = None

    def expression(self) -> str:
        """In PromQL."""
        value = self._combined(self.metric)
        if self.over is not None:
            value = f"{value} / {self._combined(self.over)}"
        return f"{value} > {self.above:g}"

    def _combined(self, metric: str) -> str:
        selected = f"{metric}{{{self.labels}}}" if self.labels else metric
        by = f" by ({', '.join(self.by)})" if self.by else ""
        return f"{self.combine}{by} ({selected})"


_CORRUPT = "database-corruption-detected"
_CHECKSUMS = "transaction-checksums-failing"
_FLAGS = "fraud-flags-not-detecting"
_DOWN = "payment-system-down"
_STUCK = "payment-withdrawal-failing"
_DIFFERS = "settlement-does-not-agree"
_LOCKED = "user-locked-out"
_REPORTS = "generate-financial-report"
_SERVICES = "a-service-does-not-keep-up"

ALARMS: tuple[Alarm, ...] = (
    Alarm(
        "ChecksumsFailed",
        "ledger",
        Severity.CRITICAL,
        "Rows of the ledger are not what was written.",
        "langsense_checksums_failed",
        0,
        _CHECKSUMS,
    ),
    Alarm(
        "VerificationErrors",
        "ledger",
        Severity.CRITICAL,
        "Rows of the ledger are missing, or cannot be verified with the keys that are here.",
        "langsense_verification_errors",
        0,
        _CHECKSUMS,
    ),
    Alarm(
        "BalanceDiscrepancies",
        "ledger",
        Severity.CRITICAL,
        "The last reconciliation found balances that the journal does not explain.",
        "langsense_reconciliation_discrepancies",
        0,
        _CORRUPT,
    ),
    Alarm(
        "LanesNotSealed",
        "ledger",
        Severity.CRITICAL,
        "Lanes are not sealed, because their rows or their checkpoints outside are not as they must be.",
        "langsense_unsealable_lanes",
        0,
        _CORRUPT,
    ),
    Alarm(
        "AuditLogNotSealed",
        "ledger",
        Severity.CRITICAL,
        "The audit log is not sealed, because it or its checkpoints outside are not as they must be.",
        "langsense_unsealable_audit_log",
        0,
        _CORRUPT,
    ),
    Alarm(
        "LimitViolations",
        "limits",
        Severity.INFO,
        "Many commands were refused for a limit within the hour: players who chase losses, or a limit set wrong.",
        "langsense_limit_refusals",
        100,
        _LOCKED,
    ),
    Alarm(
        "CooldownOverrides",
        "limits",
        Severity.INFO,
        "Staff set a player's limit or cooldown aside within the day: see the audit log for who and why.",
        "langsense_limit_overrides",
        0,
        _LOCKED,
    ),
    Alarm(
        "HighRiskPlayers",
        "fraud",
        Severity.INFO,
        "Players are RISKY or FRAUDULENT.",
        "langsense_fraud_players",
        0,
        _FLAGS,
        combine=Combine.SUM,
        labels='level=~"RISKY|FRAUDULENT"',
    ),
    Alarm(
        "FraudAnomalies",
        "fraud",
        Severity.INFO,
        "Flags were raised within the day.",
        "langsense_fraud_flags_of_day",
        0,
        _FLAGS,
    ),
    Alarm(
        "FraudScoresAbove75",
        "fraud",
        Severity.WARNING,
        "Players have a fraud score above 75.",
        "langsense_fraud_players",
        0,
        _FLAGS,
        labels='level="FRAUDULENT"',
    ),
    Alarm(
        "FraudFlagsUnresolved",
        "fraud",
        Severity.WARNING,
        "Flags wait for a decision, and have for a while.",
        "langsense_fraud_flags_unresolved",
        0,
        _FLAGS,
        for_s=86_400,
    ),
    Alarm(
        "FlaggedPlayersPlay",
        "fraud",
        Severity.CRITICAL,
        "Players whose flag is not resolved go on playing.",
        "langsense_fraud_flags_playing",
        0,
        _FLAGS,
        for_s=900,
    ),
    Alarm(
        "FraudRuleDisabled",
        "fraud",
        Severity.CRITICAL,
        "A fraud rule failed, took itself out of force, and nothing is in its place.",
        "langsense_fraud_rules_failed",
        0,
        _FLAGS,
    ),
    Alarm(
        "DepositsFailing",
        "payments",
        Severity.CRITICAL,
        "More than 1 % of the deposits that ended lately failed.",
        "langsense_payments_failed_ratio",
        0.01,
        _DOWN,
        labels='direction="deposit"',
        by=("provider",),
        for_s=300,
    ),
    Alarm(
        "WithdrawalsFailing",
        "payments",
        Severity.CRITICAL,
        "More than 1 % of the withdrawals that ended lately failed.",
        "langsense_payments_failed_ratio",
        0.01,
        _STUCK,
        labels='direction="withdrawal"',
        by=("provider",),
        for_s=300,
    ),
    Alarm(
        "SettlementDelayed",
        "payments",
        Severity.WARNING,
        "A day's batch has waited for its provider's report for more than a day.",
        "langsense_settlement_delay_seconds",
        86_400,
        _DIFFERS,
    ),
    Alarm(
        "SettlementExceptionsOpen",
        "payments",
        Severity.WARNING,
        "What does not agree in settlement has waited for somebody for more than a day.",
        "langsense_settlement_exceptions_oldest_seconds",
        86_400,
        _DIFFERS,
    ),
    Alarm(
        "WebhooksNotVerified",
        "payments",
        Severity.WARNING,
        "Webhooks came lately under signatures that are not their provider's.",
        "langsense_webhooks_lately",
        10,
        _STUCK,
        combine=Combine.SUM,
        labels='outcome=~"UNAUTHENTICATED|WEBHOOK_UNREADABLE|WEBHOOK_TOO_LARGE"',
        by=("source",),
    ),
    Alarm(
        "PaymentOutcomesUnknown",
        "payments",
        Severity.WARNING,
        "What became of a payment has been unknown for more than an hour.",
        "langsense_payments_oldest_unknown_seconds",
        3600,
        _STUCK,
    ),
    Alarm(
        "PaymentOutcomesUnknownForADay",
        "payments",
        Severity.CRITICAL,
        "What became of a payment has been unknown for a day: look it up at its provider, and complete it by hand.",
        "langsense_payments_oldest_unknown_seconds",
        86_400,
        _STUCK,
    ),
    Alarm(
        "PaymentsWaitForReview",
        "payments",
        Severity.WARNING,
        "Payments wait for somebody of staff to look at them.",
        "langsense_payments_waiting",
        50,
        _STUCK,
        labels='what="review"',
        for_s=3600,
    ),
    Alarm(
        "PaymentsContradicted",
        "payments",
        Severity.CRITICAL,
        "A provider told of other money than a payment asked for: nothing is credited, staff says what became of it.",
        "langsense_payments_waiting",
        0,
        _STUCK,
        labels='what="completion"',
    ),
    Alarm(
        "PaymentsQueued",
        "payments",
        Severity.WARNING,
        "Payments wait until their provider is available again.",
        "langsense_payments_waiting",
        0,
        _DOWN,
        labels='what="queue"',
        for_s=300,
    ),
    Alarm(
        "ReportLate",
        "reports",
        Severity.WARNING,
        "A scheduled report was due more than an hour ago, and is not sent.",
        "langsense_reports_late_seconds",
        3600,
        _REPORTS,
        by=("every",),
    ),
    Alarm(
        "ConsumerBehind",
        "services",
        Severity.WARNING,
        "Records wait for more than a minute.",
        "langsense_consumer_lag_seconds",
        60,
        _SERVICES,
        by=("topic",),
        for_s=60,
    ),
    Alarm(
        "RecordsParked",
        "services",
        Severity.WARNING,
        "Records could not be processed lately, and were parked: `langsense parked list`.",
        "langsense_records_parked_lately",
        0,
        _SERVICES,
        combine=Combine.SUM,
        by=("topic",),
    ),
    Alarm(
        "OutboxWaits",
        "services",
        Severity.WARNING,
        "Events of a service have waited for the broker for more than a minute.",
        "langsense_outbox_oldest_seconds",
        60,
        _SERVICES,
        for_s=60,
    ),
    Alarm(
        "DatabasePoolFull",
        "services",
        Severity.WARNING,
        "A service has hardly a database connection left.",
        "langsense_database_connections_in_use",
        0.9,
        _SERVICES,
        by=("job",),
        for_s=120,
        over="langsense_database_connections",
    ),
)
