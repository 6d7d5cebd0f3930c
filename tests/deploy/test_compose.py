"""docker-compose.yml: what must hold of it before anything starts, and the platform that it starts."""

import importlib
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ops import development_secrets
from ops.access import SIGNING_KEY
from ops.administrator import POSTGRES_PASSWORD
from ops.development_limits import CURRENCY_LIMITS
from ops.infrastructure import docker_answers, free_port
from ops.infrastructure.brokers import SINGLE_NODE
from ops.infrastructure.containers import KAFKA_IMAGE, POSTGRES_IMAGE
from ops.infrastructure.processes import dismiss, start_watchdog
from ops.places import SERVICES
from ops.sandbox.settings import SandboxSettings
from ops.up import APPLICATIONS, PROGRAMS, SANDBOX
from payments_service.settings import ProviderSettings
from shared.keyring import AUDIT_KEYS
from tests.deploy.conftest import ROOT, Compose
from wallet_service.settings import LimitSettings

SECRETS_DIR = "/run/langsense"
ONE_SHOTS = ("secrets", "migrate")
SERVERS = {"postgres": POSTGRES_IMAGE, "kafka": KAFKA_IMAGE}
GONE = ("down", "--volumes", "--remove-orphans", "--timeout", "10")


def mounts(block: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A block's mounts by where they are inside."""
    return {mount["target"]: mount for mount in block.get("volumes", ())}


def hidden(block: dict[str, Any]) -> set[str]:
    """The secrets that a block does not see, though it sees their folder."""
    folder = f"{SECRETS_DIR}/"
    return {
        target.removeprefix(folder)
        for target, mount in mounts(block).items()
        if target.startswith(folder) and mount["source"] == "/dev/null"
    }


class TestBlocks:
    def test_there_is_one_for_each_application_and_no_other(self, compose: Compose) -> None:
        assert compose["services"].keys() == {*APPLICATIONS, *ONE_SHOTS, *SERVERS, "ops", SANDBOX}

    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_an_application_starts_as_all_do(self, compose: Compose, name: str) -> None:
        block = compose["services"][name]
        assert block["command"] == ["uvicorn", "--factory", APPLICATIONS[name]]
        assert block["restart"] == "unless-stopped"
        assert block["depends_on"]["migrate"]["condition"] == "service_completed_successfully"

    def test_there_is_one_image_made_once_and_the_servers_that_the_tests_run_on(self, compose: Compose) -> None:
        blocks = compose["services"]
        own = {name: block["image"] for name, block in blocks.items() if name not in SERVERS}
        assert len(set(own.values())) == 1
        assert [name for name, block in blocks.items() if "build" in block] == ["secrets"]
        assert {name: blocks[name]["image"] for name in SERVERS} == SERVERS

    def test_kafka_runs_as_the_tests_run_it(self, compose: Compose) -> None:
        given = compose["services"]["kafka"]["environment"]
        wanted = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in SINGLE_NODE.items()}
        assert wanted.items() <= given.items()

    def test_players_are_limited_as_on_a_platform_that_up_runs(self, compose: Compose) -> None:
        given = compose["services"]["wallet"]["environment"]
        assert json.loads(given["CURRENCY_LIMITS"]) == json.loads(CURRENCY_LIMITS)
        defaults = {
            name.upper(): field.get_default(call_default_factory=True, validated_data={})
            for name, field in LimitSettings.model_fields.items()
        }
        for name in given.keys() & defaults.keys() - {"CURRENCY_LIMITS"}:
            assert given[name] == str(defaults[name]), name

    def test_the_command_waits_to_be_asked(self, compose: Compose) -> None:
        assert compose["services"]["ops"]["profiles"] == ["ops"]

    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_an_application_finds_every_setting_that_it_needs(
        self, compose: Compose, tmp_path: Path, name: str
    ) -> None:
        block = compose["services"][name]
        development_secrets.ensure(tmp_path)
        for service in SERVICES:
            development_secrets.write(
                tmp_path, f"{service}_database_url", "postgresql://role:password@postgres/langsense"
            )
        for secret in hidden(block):
            (tmp_path / secret).unlink()
        package = APPLICATIONS[name].partition(".")[0]
        given = {variable: value for variable, value in block["environment"].items() if value is not None}
        environment = {**given, "SECRETS_DIR": str(tmp_path)}
        with mock.patch.dict(os.environ, environment, clear=True):
            importlib.import_module(f"{package}.settings").Settings.load()

    def test_the_payments_service_alone_is_given_what_real_providers_need(self, compose: Compose) -> None:
        wanted = {name.upper() for name in ProviderSettings.model_fields if not name.startswith("sandbox_")}
        passed_on = {
            name: {variable for variable, value in block.get("environment", {}).items() if value is None}
            for name, block in compose["services"].items()
        }
        assert passed_on.pop("payments") == wanted
        assert set().union(*passed_on.values()) == set()

    def test_the_sandbox_starts_with_what_it_is_given(self, compose: Compose, tmp_path: Path) -> None:
        block = compose["services"][SANDBOX]
        assert block["command"] == ["uvicorn", "--factory", PROGRAMS[SANDBOX]]
        development_secrets.ensure(tmp_path)
        for secret in hidden(block):
            (tmp_path / secret).unlink()
        environment = {**block["environment"], "SECRETS_DIR": str(tmp_path)}
        with mock.patch.dict(os.environ, environment, clear=True):
            settings = SandboxSettings.load()
        assert settings.sandbox_file.parent.as_posix() in mounts(block)
        assert settings.sandbox_url == compose["services"]["payments"]["environment"]["SANDBOX_URL"]


class TestWhatIsKeptApart:
    def test_the_gateway_alone_is_published_and_to_this_machine_alone(self, compose: Compose) -> None:
        published = {name: block["ports"] for name, block in compose["services"].items() if "ports" in block}
        assert published.keys() == {"gateway"}
        (port,) = published["gateway"]
        assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8000", 8000)

    def test_no_secret_stands_in_the_file(self, compose: Compose) -> None:
        given = {
            f"{name}: {variable}": value
            for name, block in compose["services"].items()
            for variable, value in block.get("environment", {}).items()
            if value is not None
        }
        assert not [name for name in given if re.search("PASSWORD|TOKEN|SECRET|CHAIN_KEYS|SIGNING", name)]
        assert not [name for name, value in given.items() if re.search(r"://[^/@]*:[^/@]*@", value)]

    @pytest.mark.parametrize("name", [*APPLICATIONS, SANDBOX, "ops", "postgres"])
    def test_secrets_are_read_and_not_written(self, compose: Compose, name: str) -> None:
        folder = mounts(compose["services"][name])[SECRETS_DIR]
        assert (folder["source"], folder["read_only"]) == ("secrets", True)

    @pytest.mark.parametrize("keys", ["chain_keys", "checkpoint_keys"])
    def test_the_keys_of_the_ledger_are_the_wallets_and_the_commands(self, compose: Compose, keys: str) -> None:
        seen_by = {name for name in (*APPLICATIONS, "ops") if keys not in hidden(compose["services"][name])}
        assert seen_by == {"wallet", "ops"}

    @pytest.mark.parametrize("keys", AUDIT_KEYS)
    def test_the_keys_of_the_audit_log_are_the_compliance_services_and_the_commands(
        self, compose: Compose, keys: str
    ) -> None:
        seen_by = {name for name in (*APPLICATIONS, "ops") if keys not in hidden(compose["services"][name])}
        assert seen_by == {"compliance", "ops"}

    @pytest.mark.parametrize("keys", ["kyc_keys", "kyc_index_keys"])
    def test_the_keys_of_kyc_are_the_compliance_services(self, compose: Compose, keys: str) -> None:
        seen_by = {name for name in APPLICATIONS if keys not in hidden(compose["services"][name])}
        assert seen_by == {"compliance"}

    @pytest.mark.parametrize("secret", ["sandbox_api_token", "sandbox_webhook_secret"])
    def test_what_the_sandbox_shares_it_shares_with_the_payments_service(self, compose: Compose, secret: str) -> None:
        seen_by = {name for name in PROGRAMS if secret not in hidden(compose["services"][name])}
        assert seen_by == {"payments", SANDBOX}

    def test_the_sandbox_alone_can_sign_and_sees_nothing_of_the_platforms(
        self, compose: Compose, tmp_path: Path
    ) -> None:
        key = development_secrets.SANDBOX_CERTIFICATE_KEY
        assert {name for name in PROGRAMS if key not in hidden(compose["services"][name])} == {SANDBOX}
        development_secrets.ensure(tmp_path)
        made = {path.name for path in tmp_path.iterdir() if not path.name.endswith("_password")}
        seen = made - hidden(compose["services"][SANDBOX])
        assert {name for name in seen if not name.startswith("sandbox_")} == {development_secrets.JWKS}

    @pytest.mark.parametrize(("keys", "seers"), [("report_keys", {"metrics"}), ("regulatory_keys", set())])
    def test_the_keys_of_reports_and_pseudonyms_are_where_they_are_used(
        self, compose: Compose, keys: str, seers: set[str]
    ) -> None:
        assert {name for name in APPLICATIONS if keys not in hidden(compose["services"][name])} == seers

    def test_the_wallet_alone_writes_the_checkpoints_and_the_command_reads_them(self, compose: Compose) -> None:
        blocks = compose["services"]
        (folder,) = {
            blocks[name]["environment"]["CHECKPOINT_SINK"].removeprefix("file://") for name in ("wallet", "ops")
        }
        mounted = {name: mounts(block)[folder] for name, block in blocks.items() if folder in mounts(block)}
        assert {name: mount.get("read_only", False) for name, mount in mounted.items()} == {
            "wallet": False,
            "ops": True,
        }

    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_no_application_can_sign_a_token_or_administrate_the_database(self, compose: Compose, name: str) -> None:
        powers = {SIGNING_KEY, POSTGRES_PASSWORD}
        assert powers <= hidden(compose["services"][name])

    def test_a_secret_that_is_hidden_is_one_that_exists(self, compose: Compose, tmp_path: Path) -> None:
        development_secrets.ensure(tmp_path)
        for name in APPLICATIONS:
            assert hidden(compose["services"][name]) <= {path.name for path in tmp_path.iterdir()}

    def test_nothing_may_do_more_than_it_must(self, compose: Compose) -> None:
        for name, block in compose["services"].items():
            assert block["cap_drop"] == ["ALL"], name
            assert block["security_opt"] == ["no-new-privileges:true"], name
            assert int(block["mem_limit"]) <= 2**30, name
            assert block["pids_limit"] > 0, name
            # Kafka's image writes its configuration beside its programs.
            assert block.get("read_only", False) is (name != "kafka"), name
            assert ("cap_add" in block) is (name == "postgres"), name


class Platform:
    """A platform of its own: project, volumes and port are nobody else's."""

    def __init__(self) -> None:
        self.project = f"langsense-test-{secrets.token_hex(4)}"
        self._environment = {**os.environ, "GATEWAY_PORT": str(free_port())}

    def compose(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """`docker compose …`."""
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> None:
        """Start it; returns when everything is healthy."""
        started = self.compose("up", "--detach", "--wait", "--wait-timeout", "240")
        assert started.returncode == 0, started.stderr + self.compose("logs", "--tail", "50").stdout

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run the command inside."""
        return self.compose("run", "--rm", "--no-TTY", "ops", "langsense", *command)


@pytest.fixture
def platform() -> Iterator[Platform]:
    """Gone with its data at the end, whatever happens."""
    if not docker_answers():
        pytest.skip("no Docker engine answers")
    platform = Platform()
    built = platform.compose("build", timeout=900)
    assert built.returncode == 0, built.stderr
    watchdog = start_watchdog(["docker", "compose", "--project-name", platform.project, *GONE])
    try:
        yield platform
    finally:
        platform.compose(*GONE)
        dismiss(watchdog)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_platform_starts_proves_itself_and_keeps_its_data(platform: Platform) -> None:
    platform.up()
    demo = platform.ask("demo", "--duration", "10", "--rate", "20", "--json")
    assert demo.returncode == 0, demo.stderr + demo.stdout
    assert json.loads(demo.stdout)["holds"]

    assert platform.compose("down").returncode == 0
    platform.up()
    verified = platform.ask("verify")
    assert verified.returncode == 0, verified.stderr + verified.stdout
    rows = re.search(r"(\d+) rows in \d+ lanes", verified.stdout)
    assert rows is not None
    assert int(rows[1]) > 0
