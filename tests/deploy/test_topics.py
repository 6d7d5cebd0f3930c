"""The table of topics for a cluster's administrator: the same as the code's."""

import re
from pathlib import Path

from shared.contracts.topics import DAY_MS, TOPICS, Topic


def row(topic: Topic) -> str:
    """A topic's line in the table."""
    partitions = topic.partitions or "as many as lanes"
    hours = topic.retention_ms * 24 // DAY_MS
    retention = f"{hours // 24} days" if hours >= 24 else f"{hours} hour"
    return f"| `{topic.name}` | {partitions} | {retention} | {topic.key} | {topic.written_by} | {topic.read_by} |"


def test_the_table_is_what_migrate_declares(root: Path) -> None:
    readme = (root / "deploy" / "kafka" / "README.md").read_text()
    table = [line for line in readme.splitlines() if re.match(r"\| `\S+\.v\d", line)]
    assert table == [row(topic) for topic in TOPICS]
