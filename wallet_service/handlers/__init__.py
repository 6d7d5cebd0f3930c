"""Kafka in. `commands` decides batches, `relay` publishes what was decided, `messages` gives both their form.

Beside them `sealer` puts what was decided under signed checkpoints, `patrol` looks at it again and again, `expiry`
releases holds whose time is over, and `reconciler` holds the journal to the balances.
"""

from faststream.kafka import KafkaRouter

from shared.broker import BrokerOptions
from shared.contracts import topics
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics
from wallet_service.handlers.commands import Commands
from wallet_service.settings import Settings

GROUP = "wallet_service"


def router(
    options: BrokerOptions, settings: Settings, commands: Commands, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the command topic."""
    return batch_router(
        options,
        GROUP,
        topics.WALLET_COMMANDS,
        max_records=settings.wallet_batch_records,
        take=commands.take,
        progress=progress,
        metrics=metrics,
    )
