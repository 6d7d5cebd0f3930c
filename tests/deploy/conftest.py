"""The files of `deploy/` and around it, as their tools read them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

Compose = dict[str, Any]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def compose() -> Compose:
    """docker-compose.yml as Compose reads it: checked, interpolated, its anchors filled in. It needs no engine."""
    try:
        read = subprocess.run(
            ["docker", "compose", "--profile", "*", "config", "--format", "json"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("Docker is not installed")
    if "is not a docker command" in read.stderr or "unknown flag: --profile" in read.stderr:
        pytest.skip("Docker Compose is not installed")
    assert read.returncode == 0, read.stderr
    configuration: Compose = json.loads(read.stdout)
    return configuration
