"""Kafka in: replies from the wallet. `link` asks and is answered, `presence` knows whether asking makes sense."""

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter, TopicPartition
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from gateway.handlers.link import KafkaWalletLink
from shared.broker import BrokerOptions, tail
from shared.contracts import topics
from shared.progress import Progress

MAX_RECORDS = 1000


def router(options: BrokerOptions, partition: int, *, link: KafkaWalletLink, progress: Progress) -> KafkaRouter:
    """The subscriber of this process's partition of the reply topic."""
    kafka = KafkaRouter()
    replies = TopicPartition(options.topic(topics.WALLET_REPLIES), partition)

    subscriber: BatchSubscriber = kafka.subscriber(partitions=[replies], **tail(options, max_records=MAX_RECORDS))

    @subscriber
    async def wallet_replies(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        with progress.batch():
            link.take(batch)

    return kafka
