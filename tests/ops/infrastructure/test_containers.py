"""Servers in containers: they keep what they must until they are closed, and go when their parent goes."""

import subprocess
from pathlib import Path

import pytest

from ops.infrastructure import broker_server, docker_answers, postgres_server
from ops.infrastructure.containers import ContainerKafka, ContainerPostgres
from ops.infrastructure.processes import wait_until
from tests.ops.infrastructure.support import killed_parent, make_topic, publish, read_all, sql

needs_docker = pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers, or testcontainers is missing")


def exists(container: str) -> bool:
    command = ["docker", "container", "inspect", container]
    return not subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def published() -> str:
    command = ["docker", "ps", "--filter", "name=langsense-", "--format", "{{.Ports}}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


@needs_docker
@pytest.mark.integration
def test_postgres_in_a_container_keeps_its_data_until_it_is_closed(tmp_path: Path) -> None:
    server = postgres_server(tmp_path, prefer_docker=True, durable=False)
    assert isinstance(server, ContainerPostgres)
    try:
        first = server.start()
        assert first.origin == "testcontainers"
        assert f"127.0.0.1:{first.port}->5432/tcp" in published()
        assert sql(first, "SHOW shared_buffers") == "256MB"
        sql(first, "CREATE TABLE kept (what text)")
        server.stop()
        server.start()
        sql(first, "INSERT INTO kept VALUES ('kill')")
        server.kill()
        assert server.start() == first
        assert sql(first, "SELECT what FROM kept") == "kill"
        assert exists(server.box.name)
    finally:
        server.close()
    assert not exists(server.box.name)


@pytest.mark.slow
@needs_docker
@pytest.mark.integration
def test_kafka_in_a_container_keeps_its_records_until_it_is_closed(tmp_path: Path) -> None:
    server = broker_server("kafka", tmp_path, prefer_docker=True)
    assert isinstance(server, ContainerKafka)
    try:
        first = server.start()
        assert (first.kind, first.origin) == ("kafka", "testcontainers")
        assert f"{first.bootstrap_servers}->9092/tcp" in published()
        make_topic(first)
        publish(first, b"before the kill")
        server.kill()
        assert server.start() == first
        publish(first, b"before the stop")
        server.stop()
        assert server.start() == first
        assert read_all(first, 2) == [b"before the kill", b"before the stop"]
        assert exists(server.box.name)
    finally:
        server.close()
    assert not exists(server.box.name)


@needs_docker
@pytest.mark.integration
def test_a_killed_parent_takes_its_container_along(tmp_path: Path) -> None:
    container, _ = killed_parent("postgres", tmp_path, "docker")
    wait_until(lambda: not exists(container), what="the container's end", timeout=60)


def test_a_docker_engine_elsewhere_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert not docker_answers()
