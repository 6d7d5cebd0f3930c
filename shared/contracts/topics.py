"""Every topic: its name, its key, who writes it. The names stand here and nowhere else."""

from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is declared on the broker.

    `partitions` of None means: as many as there are lanes.
    """

    name: str
    key: str
    written_by: str
    read_by: str
    retention_ms: int
    partitions: int | None = None


WALLET_COMMANDS = "wallet.commands.v1"
WALLET_REPLIES = "wallet.replies.v1"
LEDGER_EVENTS = "ledger.events.v1"
LEDGER_CHECKPOINTS = "ledger.checkpoints.v1"
GAME_ROUNDS = "game.rounds.v1"
PAYMENTS_EVENTS = "payments.events.v1"
COMPLIANCE_EVENTS = "compliance.events.v1"
FRAUD_EVENTS = "fraud.events.v1"
METRICS_EVENTS = "metrics.events.v1"

PARKED_SUFFIX = ".parked"

_SOURCES = (
    Topic(WALLET_COMMANDS, "user_id", "gateway, payments, compliance, fraud, game servers", "wallet", 7 * DAY_MS),
    Topic(WALLET_REPLIES, "reply address", "wallet", "gateways", DAY_MS // 24),
    Topic(LEDGER_EVENTS, "user_id", "wallet", "fraud, metrics, payments, compliance, anyone", 7 * DAY_MS),
    Topic(LEDGER_CHECKPOINTS, "lane", "wallet", "verifiers", 365 * DAY_MS, partitions=1),
    Topic(GAME_ROUNDS, "user_id", "game servers", "fraud", 7 * DAY_MS),
    Topic(PAYMENTS_EVENTS, "user_id", "payments", "anyone", 7 * DAY_MS),
    Topic(COMPLIANCE_EVENTS, "user_id", "compliance", "anyone", 7 * DAY_MS),
    Topic(FRAUD_EVENTS, "user_id", "fraud", "anyone", 7 * DAY_MS),
    # About no player: its key is 0.
    Topic(METRICS_EVENTS, "0", "metrics", "anyone", 30 * DAY_MS, partitions=1),
)


def parked(topic: str) -> str:
    """The topic that takes what could not be processed from `topic`."""
    return topic + PARKED_SUFFIX


def _parked_topic(source: Topic) -> Topic:
    return Topic(
        parked(source.name),
        key=source.key,
        written_by=f"whoever could not process {source.name}",
        read_by="langsense parked",
        retention_ms=30 * DAY_MS,
        partitions=1,
    )


_PARKABLE = (WALLET_COMMANDS, LEDGER_EVENTS, GAME_ROUNDS, PAYMENTS_EVENTS, COMPLIANCE_EVENTS, FRAUD_EVENTS)

TOPICS: tuple[Topic, ...] = _SOURCES + tuple(_parked_topic(topic) for topic in _SOURCES if topic.name in _PARKABLE)
