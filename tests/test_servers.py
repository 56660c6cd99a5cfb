"""The tests' own servers: they come back after a crash, and die with the run that started them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
import servers
from servers import NoServer, start_redis
from sqlalchemy import create_engine, text

PROGRAM = """
import sys, time, servers
started = [servers.start_postgres(), servers.start_redis()]
print(*[server.process.pid for server in started], *[server.folder for server in started], flush=True)
time.sleep(60)
"""


@pytest.mark.usefixtures("postgres_server", "redis_server")  # skip where there are none
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_servers_die_with_a_run_that_is_killed():
    environment = {**os.environ, "PYTHONPATH": str(Path(servers.__file__).parent)}
    run = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment)
    with run:
        *told, postgres_folder, redis_folder = run.stdout.readline().split()
        pids = [int(pid) for pid in told]
        alive = [psutil.pid_exists(pid) for pid in pids]
        run.kill()
    give_up = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < give_up:
        time.sleep(0.05)
    shutil.rmtree(postgres_folder), shutil.rmtree(redis_folder)
    assert (alive, [psutil.pid_exists(pid) for pid in pids]) == ([True, True], [False, False])


@pytest.mark.usefixtures("redis_server")
def test_a_server_that_was_killed_starts_again_at_the_same_address():
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.set("bell", "rung")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()
        assert client.get("bell") is None  # and has forgotten everything
    server.stop()
    assert not server.folder.exists()


def test_a_machine_without_the_binaries_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(servers.shutil, "which", lambda name, path=None: None)
    with pytest.raises(NoServer, match="no redis-server on this machine: install postgresql and redis-server"):
        start_redis()


def test_the_environment_of_a_stack_names_what_its_processes_use(stack: dict[str, str]):
    kinds = {name: value.partition(":")[0] for name, value in stack.items() if name != "FASTMTL_HOME"}
    assert kinds in ({}, {"FASTMTL_DATABASE_URL": "postgresql+psycopg", "FASTMTL_BROKER_URL": "redis"})


def test_databases_of_two_tests_do_not_meet(postgres_url: str):
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0
    engine.dispose()
