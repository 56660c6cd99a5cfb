"""What every test may use: private servers, a migrated database, an environment for processes."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
import redis
from buckets import CREDENTIALS, Bucket, make_bucket
from composed import COMPOSED
from gate import Gate
from servers import NoServer, Server, start_postgres, start_redis, start_store
from sqlalchemy import NullPool, create_engine, make_url, text

from app.db import Database
from app.models import Base

# Before anything imports torch: one thread each where tests run side by side, and no spinning ones.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test reaches for the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What the developer's shell says of a deployment is not for tests.
SAID = ("FASTMTL_", "AWS_")
for name in [name for name in os.environ if name.startswith(SAID) and not name.startswith("FASTMTL_TEST")]:
    del os.environ[name]

# What is imported and collected stays: looking through it for garbage was a third of the time of collecting.
gc.disable()

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-servers", action="store_true", help="fail where a server is missing, do not skip")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database, on both kinds. A test that changes tables takes `migrated_url` instead."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_shared_url"}[request.param]
    database = Database(request.getfixturevalue(fixture))
    with database.transaction() as session:  # emptying takes 5 ms, a copy of PostgreSQL's template 200 ms
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty database of the test's own, on both kinds."""
    return str(request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]))


@pytest.fixture(params=["compose"] if COMPOSED in os.environ else ["embedded", "full"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Environment variables for processes: files alone, or PostgreSQL and Redis; migrated and empty.

    A test that asks for it (`parametrize("stack", [..., "s3"], indirect=True)`) gets the latter with an object store.
    Of a stack that runs in containers: where its description is.
    """
    if request.param == "compose":
        return {COMPOSED: os.environ[COMPOSED]}
    home = {"FASTMTL_HOME": str(tmp_path / "home")}
    if request.param == "embedded":
        return home
    store = request.getfixturevalue("bucket").environment if request.param == "s3" else {}
    return {
        **home,
        **store,
        "FASTMTL_DATABASE_URL": request.getfixturevalue("postgres_url"),
        "FASTMTL_BROKER_URL": request.getfixturevalue("redis_url"),
    }


@pytest.fixture
def bucket(store_server: str) -> Bucket:
    """An empty bucket; its credentials are in the environment."""
    return make_bucket(store_server)


@pytest.fixture
def gate(bucket: Bucket) -> Iterator[Gate]:
    """A door before the bucket's server."""
    made = Gate(bucket.endpoint)
    yield made
    with contextlib.suppress(OSError):
        made.shut()


@pytest.fixture(scope="session")
def store_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an S3-compatible server: a private one, or FASTMTL_TEST_S3_URL, which must take any credentials."""
    os.environ.update(CREDENTIALS)
    yield from _server(request, "FASTMTL_TEST_S3_URL", start_store)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a migrated, empty SQLite database."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'fastmtl.sqlite3')}"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """URL of a migrated, empty PostgreSQL database, dropped after the test."""
    with _postgres_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an emptied Redis database."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a PostgreSQL server, any database of it: a private one, or FASTMTL_TEST_POSTGRES_URL."""
    yield from _server(request, "FASTMTL_TEST_POSTGRES_URL", start_postgres)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a Redis server that may be flushed: a private one, or FASTMTL_TEST_REDIS_URL."""
    yield from _server(request, "FASTMTL_TEST_REDIS_URL", start_redis)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Name of a migrated database to copy: that is faster than migrating again."""
    with _postgres_database(postgres_server, template="template0") as url:
        _migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def postgres_shared_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """URL of a migrated database that tests use one after another."""
    with _postgres_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


def _server(request: pytest.FixtureRequest, variable: str, start: Callable[[], Server]) -> Iterator[str]:
    """Yield the given server's URL, or a private one's; skip or fail where neither is to be had."""
    if variable in os.environ:
        yield os.environ[variable]
        return
    try:
        server = start()
    except NoServer as missing:
        if request.config.getoption("--require-servers") or os.environ.get("FASTMTL_TESTS_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    yield server.url
    server.stop()


@contextmanager
def _postgres_database(server: str, template: str) -> Iterator[str]:
    """Make a database of its own on the server, and drop it."""
    name = f"fastmtl_test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
