"""A whole platform, started as a user starts it."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psutil  # type: ignore[import-untyped]

from ops import access, places
from ops.infrastructure import InfrastructureError
from ops.infrastructure.postgres import SUPERUSER
from ops.infrastructure.processes import check_port, dismiss, start_watchdog, wait_until

Ask = Callable[..., httpx2.Response]
LANGSENSE = Path(sys.executable).parent / "langsense"
SERVICES = 7
# Below those that `free_port` chooses from.
DOORS = range(10_000, 20_000 - SERVICES)
READY_WITHIN_S = 150
STOPPED_WITHIN_S = 90
# Longer than the gateway is asked to wait for a decision.
ANSWER_WITHIN_S = 60


@dataclass
class Platform:
    """A running `langsense up`, with what it has printed so far."""

    data: Path
    gateway_port: int
    process: subprocess.Popen[str]
    output: Path

    def printed(self) -> str:
        """Everything that `up` has printed."""
        return self.output.read_text()

    def ready(self) -> bool:
        """Whether it is. It has not ended by itself."""
        assert self.process.poll() is None, self.printed()
        return "Ctrl-C stops everything" in self.printed()

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """A `langsense` command on this platform."""
        return langsense(*arguments, "--data", str(self.data), timeout=timeout)

    def tokens(self) -> dict[str, str]:
        """A token of each role but the player's, as `up` has printed them."""
        _, _, after = self.printed().partition("Development tokens")
        lines, _, _ = after.partition("Try it")
        words = (line.split() for line in lines.splitlines())
        return {each[0]: each[1] for each in words if len(each) == 2}

    def environment(self) -> dict[str, str]:
        """What `langsense env` exports."""
        exports = self.run("env").stdout.splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in exports)
        return {name: value.strip("'") for name, value in pairs}

    def administrator(self) -> str:
        """The URL of the database's administrator."""
        (password,) = self.data.rglob("postgres.password")
        place = places.find(self.data).database_urls["wallet"].partition("@")[2]
        return f"postgresql://{SUPERUSER}:{password.read_text().strip()}@{place}"

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOPPED_WITHIN_S)


def langsense(
    *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, with a wide terminal and none of this process's settings for it."""
    return subprocess.run(
        [LANGSENSE, *arguments], capture_output=True, text=True, timeout=timeout, check=False, env=clean(env or {})
    )


def clean(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would point a command at another platform."""
    ours = ("GATEWAY_", "KAFKA_", "DATABASE_", "WALLET_", "BROKER", "DURATION", "PLAYERS", "RATE")
    keys = ("SECRETS_DIR", "CHECKPOINT_", "CHAIN_KEYS", "KEY_SOURCE", "VAULT_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours + keys)},
        "COLUMNS": "200",
        **extra,
    }


@contextmanager
def asking(platform: Platform, player: int) -> Iterator[Ask]:
    """Asks the gateway as somebody: `ask("risk", "PUT", path, {…}, key="1")`."""
    tokens = platform.tokens() | {"player": access.token(places.find(platform.data), "player", player)}
    url = f"http://127.0.0.1:{platform.gateway_port}/api/v1"
    # The server closes a connection that was idle for 5 s: a request that meets it then is lost.
    limits = httpx2.Limits(keepalive_expiry=2)
    with httpx2.Client(base_url=url, timeout=ANSWER_WITHIN_S, limits=limits, trust_env=False) as client:

        def asked(
            role: str, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
        ) -> httpx2.Response:
            headers = {"Authorization": f"Bearer {tokens[role]}", "Prefer": "wait=10"}
            return client.request(
                method, path, json=body, headers=headers if key is None else {**headers, "Idempotency-Key": key}
            )

        yield asked


def until(fact: Callable[[], bool], within_s: float = 60) -> None:
    """Wait for a fact about a platform."""
    wait_until(fact, what="a fact about the platform", timeout=within_s)


def asked_until(
    statuses: Collection[int], ask: Ask, role: str, path: str, body: dict[str, Any], key: str
) -> httpx2.Response:
    """The same request until it is answered so: a busy service may take longer than it is waited for."""
    answers: list[httpx2.Response] = []

    def answered() -> bool:
        answers.append(ask(role, "POST", path, body, key))
        return answers[-1].status_code in statuses

    try:
        until(answered)
    except InfrastructureError as error:
        raise AssertionError(answers[-1].text) from error
    return answers[-1]


def whole(ask: Ask, role: str, path: str, *, without: Collection[str] = ()) -> Any:
    """What is asked of several services, once each of them has answered in time, `without` apart."""
    answers: list[Any] = []

    def answered() -> bool:
        answers.append(ask(role, "GET", path).json())
        return {each["part"] for each in answers[-1]["missing"]} <= set(without)

    until(answered)
    return answers[-1]


def known(ask: Ask, player: int, document: str, *currencies: str) -> None:
    """Have a player verified, who need not wait with a withdrawal in these currencies."""
    user = f"/users/{player}"
    assert ask("player", "POST", f"{user}/kyc", passport(document)).status_code == 201
    # The wallet knows it, too.
    verified = {"name": "VERIFIED", "acknowledged": True}
    until(lambda: ask("player", "GET", f"{user}/kyc").json()["tier"] == verified, within_s=90)
    for currency in currencies:
        # A platform that has just begun may be too busy for a moment.
        until(partial(_at_once, ask, user, currency))


def _at_once(ask: Ask, user: str, currency: str) -> bool:
    body = {"seconds": 0, "currency": currency, "reason": "known for years"}
    return ask("risk", "PUT", f"{user}/limits/WITHDRAWAL_COOLDOWN_SECONDS", body).status_code == 200


def let_through(ask: Ask, payment_id: str) -> None:
    """Approve a withdrawal, where detection has noticed how soon it follows a deposit, and it waits for review."""

    def stands() -> Any:
        return ask("finance", "GET", f"/payments/{payment_id}").json()

    until(lambda: stands()["waits_for"] == "review" or stands()["status"] != "created")
    if stands()["waits_for"] == "review":
        verdict = {"verdict": "approve", "reason": "known to us"}
        assert ask("finance", "POST", f"/payments/{payment_id}/review", verdict).status_code == 200


def passport(number: str) -> dict[str, Any]:
    """What a player shows that no rule speaks against."""
    return {
        **{"name": "Zebulon Quillfeather", "birth_date": "1987-03-19", "country": "GB", "phone": "+44 121 496 0321"},
        "address": {"street": "17 Xyloph Lane", "city": "Brackenmoor", "postal_code": "QX7 9ZZ"},
        **{"document_type": "PASSPORT", "document_number": number, "document_expires_on": "2099-07-21"},
    }


def shell(script: str, platform: Platform) -> str:
    """Run what the platform's output or a page of ours says, as it stands."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=clean(platform.environment()),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def door() -> int:
    """A port for a gateway that has free ones behind it for its services, none of which a platform's servers take."""
    for _ in range(100):
        first = random.choice(DOORS)
        try:
            for port in range(first, first + SERVICES):
                check_port(port)
        except InfrastructureError:
            continue
        return first
    raise AssertionError("found no seven free ports in a row")


@contextmanager
def running(data: Path, *, broker: str = "wheel", port: int | None = None) -> Iterator[Platform]:
    """A platform that is ready, for the length of the block."""
    port = port or door()
    output = data.with_suffix(".out")
    with output.open("w") as file:
        process = subprocess.Popen(
            [LANGSENSE, "up", "--data", str(data), "--gateway-port", str(port), "--broker", broker],
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean({}),
            start_new_session=True,
        )
    platform = Platform(data, port, process, output)
    # A test run that is killed takes its platform along.
    watchdog = start_watchdog(["kill", "-TERM", str(process.pid)])
    try:
        wait_until(platform.ready, what=f"a platform, which logs to {output}", timeout=READY_WITHIN_S)
        yield platform
    finally:
        if process.poll() is None:
            platform.interrupt()
        dismiss(watchdog)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes that a platform runs."""
    found: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return found


def listens(port: int) -> bool:
    """Whether anybody accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
