"""What every local server needs: a port, a process that does not outlive us, a bounded wait, readable errors."""

import errno
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

LOOPBACK = "127.0.0.1"

# Below Linux's and macOS's ephemeral ranges. A port inside them may be taken, while a server is down between a
# kill and its restart, by any outgoing connection: even by a client of that server, which then talks to itself.
PORTS: Sequence[int] = range(20_000, 32_768)

# A port or a log is looked at: no server tells when it is ready.
LOOK_EVERY_S = 0.05

# Waits for its standard input to close: the kernel does that when our process ends, however it ends. Then it
# runs the command that it was given, unless we said goodbye first.
WATCHDOG = 'read -r word; [ "$word" = goodbye ] || exec "$@"'

# Asks for an orderly end, and forces it after five seconds.
END = """
kill -"$1" "$2" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$2" 2>/dev/null || exit 0; sleep 0.5; done
kill -KILL "$2" 2>/dev/null
"""


class InfrastructureError(RuntimeError):
    """A local server cannot be started, or did not do what it was asked in time. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """An operating system account that a server runs as, when it must not run as root."""

    uid: int
    gid: int


def cache_dir() -> Path:
    """Where downloads are kept between runs: `LANGSENSE_CACHE`, or `langsense` in the user's cache directory."""
    if chosen := os.environ.get("LANGSENSE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "langsense"


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now. Raises InfrastructureError when a hundred tries find none."""
    for _ in range(100):
        port = random.choice(PORTS)  # noqa: S311 - a choice, not a secret
        with suppress(InfrastructureError):
            check_port(port)
            return port
    raise InfrastructureError(f"found no free port on {LOOPBACK} in a hundred tries")


def check_port(port: int) -> None:
    """Raise InfrastructureError, naming the port, unless a server could listen on it now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no hindrance
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
            raise InfrastructureError(f"port {port} on {LOOPBACK} {why}") from error


def accepts(port: int) -> bool:
    """Whether somebody accepts TCP connections on 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(fact: Callable[[], bool], *, what: str, timeout: float) -> None:
    """Poll until the fact holds. Raises InfrastructureError, naming what was waited for, after timeout seconds."""
    deadline = time.monotonic() + timeout
    while not fact():
        if time.monotonic() > deadline:
            raise InfrastructureError(f"{what}: not within {timeout:g} s")
        time.sleep(LOOK_EVERY_S)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, indented, for an error message."""
    if not log.exists():
        return "  (no log)"
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def start_watchdog(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A shell that runs the command when this process dies without `dismiss`ing it: SIGKILL included.

    Preferred to Linux's PR_SET_PDEATHSIG, which does not exist on macOS and fires when the *thread* that started
    the child ends. A copy of this process made by fork alone, without exec, holds the watchdog back while it lives.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", WATCHDOG, "watchdog", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def dismiss(watchdog: subprocess.Popen[bytes]) -> None:
    """Tell a watchdog that what it guards has ended in order."""
    assert watchdog.stdin is not None
    if watchdog.stdin.closed:
        return  # dismissed before
    with suppress(BrokenPipeError):  # it is gone already
        watchdog.communicate(b"goodbye\n", timeout=10)


@dataclass(slots=True)
class Child:
    """A server process in a session of its own, so that the terminal's Ctrl-C reaches us alone.

    It ends with us: see `start_watchdog`.
    """

    name: str
    log: Path
    stop_signal: signal.Signals
    process: subprocess.Popen[bytes]
    watchdog: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.watchdog = start_watchdog(
            ["/bin/sh", "-c", END, "end", str(self.stop_signal.value), str(self.process.pid)]
        )

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "Child":
        """Start the command, its output appended to the log. Raises InfrastructureError when it cannot be run."""
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd="/",
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    pass_fds=pass_fds,
                    start_new_session=True,
                )
            except OSError as error:
                raise InfrastructureError(f"{name} cannot be run: {error}") from error
        return cls(name, log, stop_signal, process)

    def alive(self) -> bool:
        """Whether the process runs."""
        if self.process.poll() is None:
            return True
        dismiss(self.watchdog)  # from now on its pid may become a stranger's
        return False

    def wait_until_ready(self, fact: Callable[[], bool], *, timeout: float) -> None:
        """Wait until the fact holds; otherwise end the process and raise InfrastructureError with its last words."""
        try:
            wait_until(lambda: not self.alive() or fact(), what=f"{self.name} ready", timeout=timeout)
            if not self.alive():
                raise InfrastructureError(f"{self.name} ended with code {self.process.returncode}")
        except InfrastructureError as error:
            self.kill()
            raise InfrastructureError(f"{error}; the end of {self.log}:\n{tail(self.log)}") from error
        except BaseException:  # Ctrl-C while waiting: leave nothing behind
            self.kill()
            raise

    def stop(self, *, timeout: float = 30) -> None:
        """Ask for an orderly end, and kill what has not ended after timeout seconds."""
        if self.alive():
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            dismiss(self.watchdog)

    def kill(self) -> None:
        """SIGKILL the process and everything it started; return when all of it is gone."""
        doomed = family(self.process.pid) if self.alive() else []
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        dismiss(self.watchdog)
        wait_until(lambda: all(map(gone, doomed)), what=f"{self.name} gone", timeout=10)


def run_tool(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run a program to its end, its output appended to the log.

    Raises InfrastructureError when it fails, or takes longer than timeout seconds.
    """
    child = Child.start(name, command, log=log, env=env, account=account, pass_fds=pass_fds)
    try:
        code = child.process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"{name}: not within {timeout:g} s; the end of {log}:\n{tail(log)}") from error
    finally:
        child.kill()
    if code:
        raise InfrastructureError(f"{name} ended with code {code}; the end of {log}:\n{tail(log)}")


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended, be it that its parent has not asked for its exit code yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants. Empty if it is gone."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
