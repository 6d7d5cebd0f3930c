"""Brokers on this machine: what each keeps, and what it needs to run at all."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from ops import infrastructure
from ops.infrastructure import Broker, InfrastructureError, broker_server, brokers
from ops.infrastructure.brokers import TansuBroker
from tests.ops.infrastructure.support import make_topic, needs_java, publish, read_all, topics


@needs_java
@pytest.mark.slow
@pytest.mark.integration
def test_kafka_keeps_its_records_through_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = broker_server("kafka", tmp_path)
    try:
        first = server.start()
        assert (first.kind, first.idempotent_producer) == ("kafka", True)
        make_topic(first)
        publish(first, b"before the stop")
        server.stop()
        assert server.start() == first
        publish(first, b"before the kill")
        server.kill()
        assert server.start() == first
        assert read_all(first, 2) == [b"before the stop", b"before the kill"]
    finally:
        server.close()


@pytest.mark.integration
def test_kafka_makes_no_topic_by_itself(kafka_server: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers})
    asked = admin.list_topics("never-made", timeout=10).topics["never-made"]
    assert asked.error is not None
    assert "never-made" not in topics(kafka_server)


@pytest.mark.integration
def test_the_wheels_broker_works_and_forgets(tmp_path: Path) -> None:
    server = broker_server("wheel", tmp_path)
    try:
        first = server.start()
        assert (first.kind, first.idempotent_producer) == ("tansu", False)
        make_topic(first)
        publish(first, b"for now")
        assert read_all(first, 1) == [b"for now"]
        server.kill()
        assert server.start() == first
        assert topics(first) == set()
    finally:
        server.close()


def test_without_java_auto_is_the_wheel_and_kafka_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert isinstance(broker_server("auto", tmp_path), TansuBroker)
    with pytest.raises(InfrastructureError, match="needs Java 17 or newer"):
        broker_server("kafka", tmp_path).start()


@pytest.mark.parametrize(
    ("version", "enough"), [("1.8.0_402", False), ("11.0.22", False), ("17.0.15", True), ("25", True)]
)
def test_java_is_asked_for_its_version(
    version: str, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert infrastructure.java_17_or_newer() == (java if enough else None)


class FakeMaven:
    """Maven, where every dependency is one small jar."""

    def __init__(self, *, repo_cache: Path, timeout: float) -> None:
        self._repository = repo_cache
        self.resolver = self
        self.artifact = self

    def create_dependency(self, coordinate: str) -> str:
        return coordinate

    def resolve(self, coordinates: list[str] | None = None) -> object:
        if coordinates:
            return [self], []
        self._repository.mkdir()
        (self._repository / "kafka.jar").write_bytes(b"a jar")
        return self._repository / "kafka.jar"


def test_jars_that_were_not_tested_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSENSE_CACHE", str(tmp_path))
    monkeypatch.setattr(brokers, "MavenContext", FakeMaven)
    with pytest.raises(InfrastructureError, match="have digest"):
        brokers.kafka_jars()
    assert list(tmp_path.iterdir()) == []


def test_jars_are_fetched_once_and_a_quicker_run_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = tmp_path / f"kafka-{infrastructure.KAFKA_VERSION}"

    def digest(_: Path) -> str:
        """What the other run does while ours checks its own."""
        jars.mkdir()
        (jars / "kafka.jar").write_bytes(b"a jar")
        return brokers.KAFKA_DIGEST

    monkeypatch.setenv("LANGSENSE_CACHE", str(tmp_path))
    monkeypatch.setattr(brokers, "MavenContext", FakeMaven)
    monkeypatch.setattr(brokers, "_digest", digest)
    assert brokers.kafka_jars() == jars
    monkeypatch.delattr(brokers, "MavenContext")
    assert brokers.kafka_jars() == jars
    assert list(tmp_path.iterdir()) == [jars]
