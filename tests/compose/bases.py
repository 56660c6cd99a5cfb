"""Bases of images for an engine that can pull none: made of Debian's packages, and tagged with names of their own.

Each behaves as the image does whose place it takes: the same users, folders and variables.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine import Engine, NoEngine, mirror

SUITE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NAMES = {
    "PYTHON_IMAGE": "fastmtl-test-python",
    "POSTGRES_IMAGE": "fastmtl-test-postgres",
    "REDIS_IMAGE": "fastmtl-test-redis",
    "PROMETHEUS_IMAGE": "fastmtl-test-prometheus",
}
"""By the variable of docker-compose.yml that names the image."""

INSTALL = "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends"
POSTGRES_START = r"""#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  test -s "$POSTGRES_PASSWORD_FILE" || { echo "the password's file is empty" >&2; exit 1; }
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -w stop
fi
exec "$@"
"""
DOCKERFILES = {
    "fastmtl-test-redis": f"""
FROM fastmtl-test-python
{INSTALL} redis-server && install -d -o redis /data
WORKDIR /data
""",
    "fastmtl-test-postgres": f"""
FROM fastmtl-test-python
{INSTALL} postgresql && install -d -o postgres -m 700 /var/lib/postgresql/data \
    && install -d -o postgres -m 3777 /var/run/postgresql
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY start /usr/local/bin/start
ENTRYPOINT ["start"]
CMD ["postgres", "-c", "listen_addresses=*"]
""",
    "fastmtl-test-prometheus": f"""
FROM fastmtl-test-python
{INSTALL} prometheus wget && install -d -o nobody /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
""",
}


def make(engine: Engine) -> dict[str, str]:
    """Make those that are missing; return their names by the variables that docker-compose.yml takes them from."""
    there = set(engine.docker("image", "ls", "--format", "{{.Repository}}").split())
    if NAMES["PYTHON_IMAGE"] not in there:
        _import_debian(engine)
    for name, text in DOCKERFILES.items():
        if name not in there:
            _build(engine, name, text)
    return dict(NAMES)


def _import_debian(engine: Engine) -> None:
    """Make the base of all: Debian with Python, and the certificates that this machine trusts."""
    program = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise NoEngine("no image can be pulled, and debootstrap, which makes one, is not installed")
    root = engine.folder / "root"
    options = ["--variant=minbase", f"--include={PACKAGES}"]
    subprocess.run([program, *options, SUITE, str(root), mirror()], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    (root / "etc" / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
    shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
    tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", "-", NAMES["PYTHON_IMAGE"]]
    subprocess.run(command, env=engine.environment, stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
    if tar.wait() != 0:
        raise NoEngine("the base could not be packed")
    shutil.rmtree(root)


def _build(engine: Engine, name: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(text.lstrip())
        start = Path(folder) / "start"
        start.write_text(POSTGRES_START)
        start.chmod(0o755)
        engine.docker("build", "--quiet", "--network", "host", "--tag", name, folder)
