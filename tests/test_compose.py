"""What a typo in the compose files would break, seen without a container engine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.ready import PATIENCE_SECONDS
from app.roll import Roll
from app.settings import Settings

ROOT = Path(__file__).parent.parent
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}


class Loader(yaml.SafeLoader):
    """Reads Compose's own tags."""


Loader.add_constructor("!reset", lambda loader, node: None)


def read(name: str) -> dict[str, Any]:
    return yaml.load((ROOT / name).read_text(), Loader)


COMPOSE = read("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def environments() -> list[tuple[str, str]]:
    services = [*SERVICES.items(), *read("docker-compose.cpu.yml")["services"].items()]
    written = [(where, name) for where, service in services for name in service.get("environment", {})]
    return written + [("Dockerfile", name) for name in re.findall(r"\b(FASTMTL_\w+)=", DOCKERFILE)]


def test_the_services_that_there_are():
    assert sorted(SERVICES) == ["api", "migrate", "postgres", "redis", "worker"]


def test_every_variable_is_a_setting():
    known = {f"FASTMTL_{name.upper()}" for name in Settings.model_fields}
    assert [pair for pair in environments() if pair[1].startswith("FASTMTL_") and pair[1] not in known] == []


def test_every_command_is_one_that_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {service["command"][0] for service in OURS.values()} <= set(scripts)


def test_every_subcommand_is_one_that_there_is():
    from app.cli import app as cli

    known = {command.name or command.callback.__name__ for command in cli.registered_commands if command.callback}
    assert {service["command"][1] for service in OURS.values()} <= known


def test_every_target_is_a_stage_of_the_dockerfile():
    assert {service["build"]["target"] for service in OURS.values()} <= set(
        re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE, re.M)
    )


def test_a_service_waits_for_services_that_there_are_and_can_be_waited_for():
    waits = [(name, other, how["condition"]) for name in SERVICES for other, how in waited_for(name).items()]
    for name, other, condition in waits:
        assert condition in ("service_healthy", "service_completed_successfully"), (name, other)
        assert condition != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)


def waited_for(name: str) -> dict[str, dict[str, str]]:
    return SERVICES[name].get("depends_on", {})


def test_tables_are_there_before_anything_uses_them():
    assert {name for name in SERVICES if "migrate" in waited_for(name)} == {"api", "worker"}


def test_only_the_api_is_published_and_only_on_this_machine():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api": ["127.0.0.1:8000:8000"]
    }


def asked_by(check: list[str]) -> str:
    """Return the Python program that a health check runs."""
    assert check[:3] == ["CMD", "python3", "-c"], check
    return check[3]


def test_the_api_is_healthy_when_it_is_ready_and_has_the_time_to_say_so():
    check = OURS["api"]["healthcheck"]
    program = asked_by(check["test"])
    waits = float(re.search(r"timeout=(\d+)", program)[1])
    assert "'http://127.0.0.1:8000/v1/ready'" in program and "/v1/ready'" in DOCKERFILE
    assert PATIENCE_SECONDS < waits < float(check["timeout"].removesuffix("s"))


@pytest.mark.parametrize(("worker", "age", "status"), [("{}-7", 5, 0), ("{}-7", 70, 1), ("other-7", 5, 1)])
def test_a_worker_is_healthy_when_it_swept_within_a_minute(tmp_path, worker, age, status):
    roll, name = Roll(Settings(home=tmp_path)), worker.format(socket.gethostname())
    roll.call(name)
    at = time.time() - age
    os.utime(tmp_path / "workers" / name, (at, at))
    program = asked_by(OURS["worker"]["healthcheck"]["test"])
    run = subprocess.run([sys.executable, "-c", program], env={**os.environ, "FASTMTL_HOME": str(tmp_path)})
    assert run.returncode == status


def test_a_worker_that_never_swept_is_not_healthy(tmp_path):
    program = asked_by(OURS["worker"]["healthcheck"]["test"])
    run = subprocess.run([sys.executable, "-c", program], env={**os.environ, "FASTMTL_HOME": str(tmp_path)})
    assert run.returncode == 1


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_secret_has_a_default(name: str):
    used = re.findall(r"\$\{" + name + r"[^}]*\}", (ROOT / "docker-compose.yml").read_text())
    assert used and all(each.startswith("${" + name + ":?") for each in used)
    assert f"{name}=\n" in (ROOT / ".env.example").read_text()


def test_api_and_workers_share_storage_and_nothing_else_does():
    mounted = {name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service}
    home = re.search(r"FASTMTL_HOME=(\S+)", DOCKERFILE)
    assert home is not None
    assert {name for name, volumes in mounted.items() if volumes == [f"storage:{home[1]}"]} == {"api", "worker"}
    assert {volume.partition(":")[0] for volumes in mounted.values() for volume in volumes} == set(COMPOSE["volumes"])


def test_all_that_the_dockerfile_copies_reaches_the_build():
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M) for name in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied <= allowed and not {name for name in copied if name != "README.md" and not (ROOT / name).exists()}
