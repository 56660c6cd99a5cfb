"""What watches a deployment: alarms that ring, a page that tells of each, a dashboard that asks for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
PAGE = (ROOT / "docs" / "operating.md").read_text()
RULES = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
SCRAPED = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DASHBOARD = json.loads((GRAFANA / "dashboards" / "fastmtl.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def metrics(text: str) -> set[str]:
    return {re.sub("_(count|sum|bucket)$", "", name) for name in re.findall(r"\bfastmtl_\w+", text)}


def test_the_page_tells_of_every_alarm_as_it_is():
    table = re.findall(r"^\| `(\w+)` \| `([^|]+)` \| (\w*) ?\| [^|]+ \|$", PAGE.partition("<!-- alarms -->")[2], re.M)
    assert table == [(rule["alert"], rule["expr"], rule.get("for", "")) for rule in RULES]


@pytest.mark.parametrize("text", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_nothing_is_asked_for_that_no_process_tells(text: str):
    assert metrics(text) <= set(re.findall(r"^\| `(fastmtl_\w+)`", PAGE, re.MULTILINE))


def test_the_dashboard_shows_all_that_is_told():
    told = set(re.findall(r"^\| `(fastmtl_\w+)`", PAGE, re.MULTILINE))
    assert metrics(" ".join(QUERIES)) == told


def test_every_alarm_has_a_test():
    tested = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    rung = {each["alertname"] for test in tested for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert rung == {rule["alert"] for rule in RULES}


def test_prometheus_asks_the_services_of_docker_compose_at_their_port():
    api, worker = SCRAPED
    port = COMPOSE["services"]["api"]["environment"]["FASTMTL_METRICS_PORT"]
    assert api["static_configs"] == [{"targets": [f"api:{port}"]}]
    (found,) = worker["dns_sd_configs"]
    assert (found["names"], found["port"]) == (COMPOSE["services"]["worker"]["networks"]["default"]["aliases"], port)


def test_grafana_finds_its_dashboard_and_prometheus():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/fastmtl.yml").read_text())["providers"]
    mounted = COMPOSE["services"]["grafana"]["volumes"]
    assert source["url"] == "http://prometheus:9090"
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounted
    shown = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in shown} == {source["uid"]}


@pytest.mark.parametrize(
    ("verb", "file"),
    [("check config", "prometheus.yml"), ("check rules", "alerts.yml"), ("test rules", "alerts.test.yml")],
)
def test_promtool_accepts_the_rules_and_rings_each(verb: str, file: str):
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on this machine: it comes with Prometheus")
    ran = subprocess.run([program, *verb.split(), file], cwd=PROMETHEUS, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
