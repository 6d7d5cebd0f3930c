"""Prometheus metrics: every name, with its meaning, in one list. One registry an application, none global."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as _generate_latest

from shared.tracing import OFF, Tracing

_LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)


class Metrics:
    """The metrics of one application. Labels hold no user ids and nothing that a client chooses.

    Its `tracing` goes with them to wherever something is measured.
    """

    def __init__(self, tracing: Tracing = OFF) -> None:
        self.tracing = tracing
        self.registry = registry = CollectorRegistry()
        self.http_requests_s = Histogram(
            "langsense_http_request_seconds",
            "Duration of HTTP requests.",
            ("method", "route", "status"),
            registry=registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        self.batch_s = Histogram(
            "langsense_batch_seconds",
            "Duration of one batch, from its records in hand to its commit.",
            ("topic",),
            registry=registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        self.batch_records = Histogram(
            "langsense_batch_records",
            "Records in one batch.",
            ("topic",),
            registry=registry,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
        )
        self.lag_records = Gauge(
            "langsense_consumer_lag_records", "Records not yet processed.", ("topic",), registry=registry
        )
        self.parked = Counter(
            "langsense_records_parked", "Records that could not be processed.", ("topic", "code"), registry=registry
        )
        self.duplicates = Counter(
            "langsense_duplicates", "Records that had been processed before.", ("topic",), registry=registry
        )
        self.decisions = Counter(
            "langsense_wallet_decisions", "Decisions by the wallet.", ("kind", "status", "reason"), registry=registry
        )
        self.published = Counter("langsense_ledger_events_published", "Ledger events published.", registry=registry)
        self.republished = Counter(
            "langsense_ledger_events_republished",
            "Ledger events published again from the journal, after a crash or a fault of the broker.",
            registry=registry,
        )
        self.healed = Counter(
            "langsense_inbox_rows_fetched", "Ledger rows fetched from the journal to fill a gap.", registry=registry
        )
        self.command_s = Histogram(
            "langsense_command_seconds",
            "From a command accepted by the gateway to its decision known there.",
            ("kind", "outcome"),
            registry=registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        self._add_lately(registry)
        self._add_vitals(registry)
        self._add_payments(registry)
        self._add_reports(registry)
        self._add_limits(registry)
        self._add_proofs(registry)
        self._add_fraud(registry)

    def _add_lately(self, registry: CollectorRegistry) -> None:
        """What was counted within ALARM_WINDOW_S, for alarms that clear."""
        self.parked_lately = Gauge(
            "langsense_records_parked_lately",
            "Records that could not be processed lately.",
            ("topic", "code"),
            registry=registry,
        )
        self.webhooks_lately = Gauge(
            "langsense_webhooks_lately",
            "Webhooks of lately, by what became of them.",
            ("source", "outcome"),
            registry=registry,
        )

    def _add_vitals(self, registry: CollectorRegistry) -> None:
        """How a process itself does: what it waits for, what waits for it, and what it tells of itself."""
        self.spans = Counter(
            "langsense_spans",
            "Spans of traces, by what became of them: ended, then exported or failed.",
            ("outcome",),
            registry=registry,
        )
        self.tracing.counted_by(self.spans)
        self.lag_s = Gauge(
            "langsense_consumer_lag_seconds",
            "Age of the oldest record that is not yet processed; 0 where there is none.",
            ("topic",),
            registry=registry,
        )
        self.rebalances = Counter(
            "langsense_consumer_rebalances",
            "Times that partitions were shared out anew.",
            ("topic",),
            registry=registry,
        )
        self.outbox_age_s = Gauge(
            "langsense_outbox_oldest_seconds",
            "Age of the oldest event that is not yet published; 0 where there is none.",
            registry=registry,
        )
        self.decided_s = Histogram(
            "langsense_command_decided_seconds",
            "From a command written to the broker to its decision committed.",
            registry=registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        self.loop_delay_s = Histogram(
            "langsense_event_loop_delay_seconds",
            "How much later than asked the event loop woke a task.",
            registry=registry,
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
        )
        self.pool_in_use = Gauge(
            "langsense_database_connections_in_use", "Connections of the pool that are taken.", registry=registry
        )
        self.pool_size = Gauge(
            "langsense_database_connections", "Connections that the pool may have.", registry=registry
        )

    def _add_fraud(self, registry: CollectorRegistry) -> None:
        """What fraud detection does."""
        self.detection_s = Histogram(
            "langsense_fraud_detection_seconds",
            "From the wallet's decision to the player's score that counts it.",
            registry=registry,
            buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60),
        )
        self.fraud_scores = Counter("langsense_fraud_scores", "Scores made.", registry=registry)
        self.fraud_flags = Counter("langsense_fraud_flags_raised", "Flags raised.", registry=registry)
        self.fraud_blocks = Counter(
            "langsense_fraud_blocks",
            "The wallet's decisions on blocks of flags, by what became of the block.",
            ("kind", "state"),
            registry=registry,
        )
        self.rules_disabled = Counter(
            "langsense_fraud_rules_disabled",
            "Rules that failed and were taken out of force.",
            ("rule",),
            registry=registry,
        )

        self._add_fraud_monitoring(registry)

    def _add_fraud_monitoring(self, registry: CollectorRegistry) -> None:
        """How well fraud detection does, looked at every GAUGES_EVERY_S."""
        self.fraud_unresolved = Gauge(
            "langsense_fraud_flags_unresolved", "Flags that are not resolved.", registry=registry
        )
        self.fraud_players = Gauge(
            "langsense_fraud_players",
            "Players of a level, by their score as it was at their last event, of those that had one this week.",
            ("level",),
            registry=registry,
        )
        self.fraud_flags_of_day = Gauge(
            "langsense_fraud_flags_of_day", "Flags raised within the last 24 hours.", registry=registry
        )
        self.fraud_playing = Gauge(
            "langsense_fraud_flags_playing",
            "Flags that are not resolved, and whose player has bet since: of the thousand with the highest scores.",
            registry=registry,
        )
        self.fraud_failed_rules = Gauge(
            "langsense_fraud_rules_failed",
            "Rules of which a version failed, and no other one is in force.",
            registry=registry,
        )
        self.fraud_silent_rules = Gauge(
            "langsense_fraud_rules_silent", "Rules in force that never held lately.", registry=registry
        )
        self.fraud_noisy_rules = Gauge(
            "langsense_fraud_rules_noisy", "Rules in force that hold too often to say anything.", registry=registry
        )
        self.fraud_precision = Gauge(
            "langsense_fraud_rule_precision",
            "Of the resolved flags that a rule was a reason of, the share that was confirmed.",
            ("rule",),
            registry=registry,
        )

    def _add_payments(self, registry: CollectorRegistry) -> None:
        """How payments go, and what waits."""
        self.webhooks = Counter(
            "langsense_webhooks", "Webhooks, by what became of them.", ("source", "outcome"), registry=registry
        )
        self.payments = Counter(
            "langsense_payments",
            "Payments that came into a state.",
            ("direction", "provider", "status"),
            registry=registry,
        )
        self.payments_failed_ratio = Gauge(
            "langsense_payments_failed_ratio",
            "Of the payments that ended within ALARM_WINDOW_S, the share that failed.",
            ("direction", "provider"),
            registry=registry,
        )
        self.payments_waiting = Gauge(
            "langsense_payments_waiting",
            "Payments that wait: for payments to be available, for review or completion, or for an unknown outcome.",
            ("what",),
            registry=registry,
        )
        self.payments_unknown_age_s = Gauge(
            "langsense_payments_oldest_unknown_seconds", "Age of the oldest unknown outcome.", registry=registry
        )
        self.settlement_delay_s = Gauge(
            "langsense_settlement_delay_seconds",
            "How long ago the report of the oldest batch that waits for one was due.",
            registry=registry,
        )
        self.exceptions_age_s = Gauge(
            "langsense_settlement_exceptions_oldest_seconds",
            "Age of the oldest exception of settlement that is open; 0 where there is none.",
            registry=registry,
        )

    def _add_reports(self, registry: CollectorRegistry) -> None:
        """How the reports that are made by themselves fare."""
        self.report_runs = Counter(
            "langsense_report_runs",
            "Tries to make and send a scheduled report.",
            ("every", "outcome"),
            registry=registry,
        )
        self.report_s = Histogram(
            "langsense_report_seconds",
            "Duration of one try, from its claim to its end.",
            ("every",),
            registry=registry,
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
        )
        self.reports_late_s = Gauge(
            "langsense_reports_late_seconds",
            "How long ago the oldest scheduled report was due that is not sent; 0 where there is none.",
            ("every",),
            registry=registry,
        )

    def _add_limits(self, registry: CollectorRegistry) -> None:
        """How the limits of play are met and set aside, looked at every GAUGES_EVERY_S."""
        self.limit_refusals = Gauge(
            "langsense_limit_refusals", "Commands refused for a limit in this hour and the last.", registry=registry
        )
        self.limit_overrides = Gauge(
            "langsense_limit_overrides", "Limits and cooldowns that staff set aside today.", registry=registry
        )

    def _add_proofs(self, registry: CollectorRegistry) -> None:
        """What is done to prove the ledger and the audit log."""
        self.checkpoints = Counter("langsense_checkpoints_sealed", "Checkpoints sealed here.", registry=registry)
        self.unsealable_lanes = Gauge(
            "langsense_unsealable_lanes",
            "Lanes whose rows, or whose checkpoints outside, are not as they must be: not sealed until somebody looks.",
            registry=registry,
        )
        self.unsealable_audit_log = Gauge(
            "langsense_unsealable_audit_log",
            "1: the audit log, or its checkpoints outside, are not as they must be: not sealed until somebody looks.",
            registry=registry,
        )
        self.reconciliations = Counter(
            "langsense_reconciliations_finished", "Reconciliations finished here.", ("cause",), registry=registry
        )
        self.discrepancies = Gauge(
            "langsense_reconciliation_discrepancies",
            "What the last reconciliation found, wherever it was carried out.",
            registry=registry,
        )
        self.patrolled = Counter(
            "langsense_integrity_rows_checked", "Ledger rows held to their checksum again.", registry=registry
        )
        self.checksums_failed = Gauge(
            "langsense_checksums_failed",
            "Ledger rows whose checksum is not theirs, as the last look at each lane found them.",
            registry=registry,
        )
        self.verification_errors = Gauge(
            "langsense_verification_errors",
            "Ledger rows that could not be verified: missing, out of order, or under a key that is not known here.",
            registry=registry,
        )

    def exposition(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return _generate_latest(self.registry)
