"""Kafka in. `commands` decides batches, `relay` publishes what was decided, `messages` gives both their form.

Beside them `sealer` puts what was decided under signed checkpoints, `expiry` releases holds whose time is over, and
`reconciler` holds the journal to the balances.
"""

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.broker import BrokerOptions, batches
from shared.contracts import topics
from shared.progress import Progress
from shared.telemetry import Metrics
from wallet_service.handlers.commands import Commands
from wallet_service.settings import Settings

GROUP = "wallet_service"


def router(
    options: BrokerOptions, settings: Settings, commands: Commands, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the command topic."""
    kafka = KafkaRouter()

    subscriber: BatchSubscriber = kafka.subscriber(
        options.topic(topics.WALLET_COMMANDS), **batches(options, GROUP, max_records=settings.wallet_batch_records)
    )

    @subscriber
    async def wallet_commands(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        metrics.batch_records.labels(topics.WALLET_COMMANDS).observe(len(batch))
        with progress.batch(), metrics.batch_s.labels(topics.WALLET_COMMANDS).time():
            await commands.take(batch)

    return kafka
