"""Declaring the topics on a cluster."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.broker.options import START_TIMEOUT_S, BrokerOptions
from shared.contracts.topics import TOPICS
from shared.errors import BrokerUnavailable


async def create_topics(options: BrokerOptions, lanes: int, *, replication: int) -> list[str]:
    """Declare every topic that is not there yet; returns those that were made.

    Raises BrokerUnavailable. Existing topics are left as they are: the number of lanes cannot change.
    """
    made = []
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            admin = AIOKafkaAdminClient(
                bootstrap_servers=options.bootstrap_servers.split(","), client_id=options.client_id
            )
            await admin.start()
            try:
                declared = [
                    NewTopic(
                        options.topic(topic.name),
                        num_partitions=topic.partitions or lanes,
                        replication_factor=replication,
                        topic_configs={"retention.ms": str(topic.retention_ms)},
                    )
                    for topic in TOPICS
                ]
                answer = await admin.create_topics(declared)
                for name, code, *_ in answer.topic_errors:
                    if code == 0:
                        made.append(name)
                    elif for_code(code) is not TopicAlreadyExistsError:
                        raise for_code(code)(f"topic {name}")
            finally:
                await admin.close()
    except (TimeoutError, OSError, KafkaError) as error:
        raise BrokerUnavailable(f"topics could not be declared at {options.bootstrap_servers}: {error}") from error
    return made
