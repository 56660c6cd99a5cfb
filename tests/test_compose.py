"""What a typo in the compose files would break, seen without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from app.ready import PATIENCE_SECONDS
from app.roll import Roll
from app.secret_files import SUFFIX
from app.settings import Settings

ROOT = Path(__file__).parent.parent
SECRETS = {"fastmtl_secret", "grafana_password", "postgres_password", "redis_password"}


class Loader(yaml.SafeLoader):
    """Reads Compose's own tags."""


Loader.add_constructor("!reset", lambda loader, node: None)


def read(name: str) -> dict[str, Any]:
    return yaml.load((ROOT / name).read_text(), Loader)


COMPOSE = read("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
WORKERS = [name for name in OURS if name.startswith("worker")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def environments() -> list[tuple[str, str]]:
    files = ("docker-compose.yml", "docker-compose.cpu.yml", "docker-compose.s3.yml")
    services = [service for name in files for service in read(name)["services"].items()]
    written = [(where, name) for where, service in services for name in service.get("environment", {})]
    return written + [("Dockerfile", name) for name in re.findall(r"\b(FASTMTL_\w+)=", DOCKERFILE)]


def known_variables() -> set[str]:
    """Return the variables that the settings read; those of secrets can name a file instead."""
    names = {f"FASTMTL_{name.upper()}": field for name, field in Settings.model_fields.items()}
    return set(names) | {f"{name}{SUFFIX}" for name, field in names.items() if SecretStr in get_args(field.annotation)}


def test_the_services_that_there_are():
    assert {name for name in SERVICES if not name.startswith("worker-")} == {
        *("api", "migrate", "postgres", "redis", "worker", "cpu-worker"),
        *("grafana", "prometheus"),
    }


def test_a_profile_for_so_many_gpus_gives_each_of_them_a_worker_of_its_own():
    for count in range(1, 9):
        started = [name for name in WORKERS if f"gpus-{count}" in SERVICES[name].get("profiles", [f"gpus-{count}"])]
        reserved = [SERVICES[name]["deploy"]["resources"]["reservations"]["devices"][0] for name in started]
        assert [each["device_ids"] for each in reserved] == [[str(gpu)] for gpu in range(count)]


def test_workers_differ_in_nothing_but_their_gpu():
    plain = [
        {key: SERVICES[name][key] for key in SERVICES[name] if key not in ("deploy", "profiles")} for name in WORKERS
    ]
    assert len(plain) == 8 and all(each == plain[0] for each in plain)


def test_the_worker_of_steps_without_a_gpu_asks_for_none_and_takes_no_others():
    plain, ours = SERVICES["worker"], SERVICES["cpu-worker"]
    assert ours["environment"] == plain["environment"] | {"FASTMTL_DEVICE": "cpu", "FASTMTL_TAKES": "cpu"}
    differing = {key for key in {*plain, *ours} if plain.get(key) != ours.get(key)}
    assert differing == {"environment", "profiles", "deploy"} and "deploy" not in ours


def test_every_process_that_touches_files_knows_the_object_store():
    stored = {name for name, service in SERVICES.items() if "storage:/var/lib/fastmtl" in service.get("volumes", ())}
    laid_over = read("docker-compose.s3.yml")["services"]
    assert {name for name, service in laid_over.items() if "s3_credentials" in service.get("secrets", ())} >= stored


def test_what_watches_is_started_only_when_it_is_asked_for():
    assert {name for name in SERVICES if SERVICES[name].get("profiles") == ["observe"]} == {"grafana", "prometheus"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_read_only_and_may_do_nothing_special(name: str):
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"] and "privileged" not in service


def test_every_variable_is_a_setting():
    known = known_variables()
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
    assert {name for name in SERVICES if "migrate" in waited_for(name)} == {"api", "cpu-worker", *WORKERS}


def test_only_the_api_is_published_and_only_on_this_machine():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api": ["127.0.0.1:${API_PORT:-8000}:8000"]
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


def test_every_secret_stands_in_a_file_and_none_in_the_files_here():
    assert COMPOSE["secrets"] == {name: {"file": f"./secrets/{name}"} for name in SECRETS}
    assert {name for service in SERVICES.values() for name in service.get("secrets", ())} == SECRETS
    told = re.findall(r"(?i)^[^#\n]*(?:password|secret)\w*[=:] *(\S+)", (ROOT / "docker-compose.yml").read_text(), re.M)
    assert {value for value in told if not re.match(r"/run/secrets/|\{file:|\[", value)} == set()


def test_the_secrets_are_made_once_and_are_long(tmp_path: Path):
    (tmp_path / "deploy").mkdir()
    script = shutil.copy(ROOT / "deploy" / "make-secrets.sh", tmp_path / "deploy")
    made = []
    for _ in range(2):
        subprocess.run([script], check=True)
        made.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert set(made[0]) == SECRETS | {"s3_credentials"} and made[0] == made[1]
    store = r"\[default\]\naws_access_key_id = fastmtl\naws_secret_access_key = [0-9a-f]{64}\n"
    assert all(re.fullmatch(store if name.startswith("s3") else "[0-9a-f]{64}", text) for name, text in made[0].items())
    assert len(set(made[0].values())) == len(made[0])
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_no_secret_reaches_git_or_a_build():
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!secrets" not in (ROOT / ".dockerignore").read_text()


def test_api_and_workers_share_storage_and_nothing_else_does():
    mounted = {name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service}
    home = re.search(r"FASTMTL_HOME=(\S+)", DOCKERFILE)
    assert home is not None
    assert {name for name, volumes in mounted.items() if f"storage:{home[1]}" in volumes} == {
        "api",
        "cpu-worker",
        *WORKERS,
    }
    sources = {volume.partition(":")[0] for volumes in mounted.values() for volume in volumes}
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source in sources if source.startswith("./"))


def test_all_that_the_dockerfile_copies_reaches_the_build():
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M) for name in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied <= allowed and not {name for name in copied if name != "README.md" and not (ROOT / name).exists()}


def test_the_store_is_given_the_keys_that_the_service_uses(tmp_path: Path):
    store = read("docker-compose.s3.yml")["services"]["store"]
    (tmp_path / "s3_credentials").write_text("[default]\naws_access_key_id = ada\naws_secret_access_key = 0f1e\n")
    (tmp_path / "weed").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "weed").chmod(0o755)
    program = store["command"][0].replace("$$", "$")
    program = program.replace("/run/secrets", str(tmp_path)).replace("/tmp/s3.json", f"{tmp_path}/s3.json")
    subprocess.run(["sh", "-c", program], check=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    (identity,) = json.loads((tmp_path / "s3.json").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": "ada", "secretKey": "0f1e"}]
    assert stat.S_IMODE((tmp_path / "s3.json").stat().st_mode) == 0o600
