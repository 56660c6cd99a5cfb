"""What the running containers of docker-compose.yml are, and whether what watches them sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from composed import ROOT, Compose
from engine import Engine

T = TypeVar("T")
Json = dict
SEEN_SECONDS = 120
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "fastmtl.json"
EMPTY = ("fastmtl_gpu_memory", "fastmtl_step_rows_per_second", "fastmtl_steps{")
"""Of GPUs, and of steps that wait or run at the moment: without any there is nothing to show."""
ASK = """
import json, sys, urllib.request as u
print(json.dumps([json.load(u.urlopen("http://prometheus:9090" + path))["data"] for path in sys.argv[1:]]))
"""
MIB = 2**20


def sizes(engine: Engine, images: dict[str, str]) -> str:
    """Return what the images of the API and the worker take, and how much of it is their base."""
    base = _bytes(engine, images["PYTHON_IMAGE"])
    told = []
    for name in ("fastmtl-api", "fastmtl-worker-cpu"):
        whole = _bytes(engine, name)
        told.append(f"{name} {whole / MIB:,.0f} MiB, of which {(whole - base) / MIB:,.0f} MiB are not its base")
    return "; ".join(told)


def confined(compose: Compose) -> str:
    """Look into the containers: who they run as, what they may write to, what is in them; return it in words."""
    torchless = "import importlib.util as i; assert not i.find_spec('torch') and not i.find_spec('transformers')"
    compose.run("exec", "-T", "api", "python3", "-c", torchless)
    for service in ("api", "worker", "postgres", "redis"):
        user = compose.run("exec", "-T", service, "id", "-u").strip()
        assert user != "0", f"{service} runs as root"
        refused = compose.run("exec", "-T", service, "sh", "-c", "touch /etc/x 2>&1 || true")
        assert "Read-only file system" in refused, f"{service}: {refused}"
        may = compose.run("exec", "-T", service, "sh", "-c", "grep CapEff /proc/1/status").split()[1]
        assert int(may, 16) == 0, f"{service} has capabilities: {may}"
    shown = compose.docker("inspect", *(each for name in ("api", "worker") for each in compose.containers(name)))
    for secret in (Path(compose.environment["TEST_FOLDER"]) / "secrets").iterdir():
        assert secret.read_text().strip() not in shown, f"docker inspect shows {secret.name}"
    ports = [line for line in compose.run("ps", "--format", "{{.Service}} {{.Ports}}").splitlines() if "->" in line]
    assert len(ports) == 1 and ports[0].startswith("api 127.0.0.1:"), ports
    return (
        "api, worker, postgres and redis run as users of their own, without capabilities, on a read-only root; "
        "`docker inspect` shows no secret; the API's image has no torch; one port is published, on 127.0.0.1"
    )


def watched(compose: Compose) -> str:
    """Start Prometheus and ask it what the dashboard asks; return what was seen, in words."""
    compose.run("--profile", "observe", "up", "--detach", "--wait", "--no-deps", "prometheus")
    targets = _until(lambda: _targets(compose), lambda found: len(found) == 2 and set(found.values()) == {"up"})
    queries = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", ())
    ]
    wanted = [query for query in queries if not any(name in query for name in EMPTY)]
    silent = _until(lambda: _without_data(compose, wanted), lambda found: not found)
    rules = _ask(compose, "/api/v1/rules")[0]["groups"][0]["rules"]
    assert all(rule["health"] == "ok" for rule in rules), rules
    command = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "promtool", "prometheus")
    compose.run("--profile", "observe", *command, "test", "rules", "/etc/prometheus/alerts.test.yml")
    compose.run("--profile", "observe", *command, "check", "config", "/etc/prometheus/prometheus.yml")
    assert silent == [], f"no data for {silent}"
    return (
        f"Prometheus scraped {', '.join(sorted(targets))}; {len(wanted)} of the dashboard's {len(queries)} queries "
        "returned data (the others ask for GPUs and for steps that wait or run); "
        f"its {len(rules)} alarms are evaluated, and `promtool test rules` rings each"
    )


def _targets(compose: Compose) -> dict[str, str]:
    return {each["labels"]["job"]: each["health"] for each in _ask(compose, "/api/v1/targets")[0]["activeTargets"]}


def _without_data(compose: Compose, queries: list[str]) -> list[str]:
    """Return those that Prometheus has no answer to."""
    answers = _ask(compose, *(f"/api/v1/query?query={quote(query)}" for query in queries))
    return [query for query, answer in zip(queries, answers, strict=True) if not answer["result"]]


def _ask(compose: Compose, *paths: str) -> list[Json]:
    """Ask Prometheus from within, since its port is not published."""
    return json.loads(compose.run("exec", "-T", "api", "python3", "-c", ASK, *paths))


def _until(ask: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """Ask until it is enough, or too late; return the last answer."""
    give_up = time.monotonic() + SEEN_SECONDS
    while not enough(found := ask()) and time.monotonic() < give_up:
        time.sleep(3)
    return found


def _bytes(engine: Engine, image: str) -> int:
    return int(engine.docker("image", "inspect", "--format", "{{.Size}}", image))
