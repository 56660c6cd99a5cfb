"""How often one may ask, and what becomes of that when Redis is away."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from servers import NoServer, start_redis
from service import Api, api

from app import rate_limits
from app.errors import RateLimited
from app.keys import Scope
from app.rate_limits import RateLimits, of_address
from app.settings import Settings

NOBODY = "redis://127.0.0.1:1/0"


def counted(limits: RateLimits, who: str, times: int) -> list[bool]:
    """Count that often; say of each whether it was let in."""
    let_in = []
    for _ in range(times):
        try:
            limits.count(who)
            let_in.append(True)
        except RateLimited:
            let_in.append(False)
    return let_in


@pytest.fixture(params=["here", "redis"])
def limits(request: pytest.FixtureRequest) -> RateLimits:
    """Three a minute, counted in both places."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    return RateLimits(Settings(rate_limit="3/minute", broker_url=url))


def test_each_is_counted_by_itself(limits: RateLimits):
    assert counted(limits, "key:ada", 5) == [True, True, True, False, False]
    assert counted(limits, "key:eve", 1) == [True]


def test_a_refusal_says_when_to_come_again(limits: RateLimits):
    counted(limits, "key:ada", 3)
    with pytest.raises(RateLimited) as refused:
        limits.count("key:ada")
    headers = refused.value.headers or {}
    seconds = int(headers["Retry-After"])
    assert seconds in (59, 60)
    assert headers == {
        "Retry-After": str(seconds),
        "RateLimit-Policy": '"requests";q=3;w=60',
        "RateLimit": f'"requests";r=0;t={seconds}',
    }
    assert refused.value.detail == f"more than 3 requests in 60 s; come again in {seconds} s"


def test_processes_count_together_in_redis(redis_url: str):
    processes = [RateLimits(Settings(rate_limit="3/minute", broker_url=redis_url)) for _ in range(2)]
    assert [counted(each, "key:ada", 2) for each in processes] == [[True, True], [True, False]]


@pytest.mark.parametrize("setting", [None, "off", ""])
def test_where_there_is_no_limit_nothing_is_counted(setting: str | None):
    assert counted(RateLimits(Settings(rate_limit=setting, broker_url=NOBODY)), "key:ada", 50) == [True] * 50


def test_without_redis_it_is_counted_here_and_said_once():
    limits = RateLimits(Settings(rate_limit="3/minute", broker_url=NOBODY))
    with structlog.testing.capture_logs() as logs:
        assert counted(limits, "key:ada", 5) == [True, True, True, False, False]
    assert [(each["event"], each["error"]) for each in logs] == [("rate_limits.redis_away", "ConnectionError")]


def test_a_redis_that_is_back_counts_again(monkeypatch: pytest.MonkeyPatch):
    try:
        server = start_redis()
    except NoServer as missing:
        pytest.skip(str(missing))
    try:
        monkeypatch.setattr(rate_limits, "AWAY_SECONDS", 0)
        limits = RateLimits(Settings(rate_limit="3/minute", broker_url=server.url))
        limits.count("key:ada")
        server.kill()
        with structlog.testing.capture_logs() as logs:
            assert counted(limits, "key:ada", 4) == [True, True, True, False]
            server.start()
            assert counted(limits, "key:ada", 4) == [True, True, True, False]
        assert [each["event"] for each in logs] == ["rate_limits.redis_away", "rate_limits.redis_back"]
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1//", "redis+socket:///nowhere", "filesystem://"])
def test_another_broker_counts_nothing(url: str):
    with structlog.testing.capture_logs() as logs:
        assert counted(RateLimits(Settings(rate_limit="1/minute", broker_url=url)), "key:ada", 2) == [True, False]
    assert logs == []


def test_addresses_share_few_counters_and_a_network_of_ipv6_has_one():
    assert of_address("2001:db8::1") == of_address("2001:db8::ffff:1") != of_address("2001:db8:0:1::1")
    assert of_address("203.0.113.1") != of_address("203.0.113.2")
    assert of_address(None) == of_address(None) != of_address("testclient")
    assert len({of_address(f"10.0.{i}.{j}") for i in range(64) for j in range(256)}) <= rate_limits.ADDRESSES


def statuses(client, times: int, path: str = "/v1/jobs", **headers: str) -> list[int]:
    return [client.get(path, headers=headers).status_code for _ in range(times)]


def test_a_key_is_held_to_the_limit_and_not_others(tmp_path: Path):
    with api(tmp_path, rate_limit="3/minute") as client:
        service = Api(client, tmp_path)
        assert statuses(client, 5) == [200, 200, 200, 429, 429]
        refused = client.get("/v1/jobs")
        assert (refused.headers["Content-Type"], refused.json()["type"], refused.headers["Retry-After"] > "0") == (
            "application/problem+json",
            "urn:fastmtl:problem:rate-limited",
            True,
        )
        keys = service.parts.keys
        other = keys.create(keys.tenant("default").id, "other", Scope.READ).text
        assert statuses(client, 2, Authorization=f"Bearer {other}") == [200, 200]


def test_guesses_are_slowed_but_shut_out_nobody_with_a_key(tmp_path: Path):
    with api(tmp_path, rate_limit="3/minute") as client:
        Api(client, tmp_path)
        assert statuses(client, 5, Authorization="Bearer fastmtl_guess") == [401, 401, 401, 429, 429]
        assert statuses(client, 3) == [200, 200, 200]


def test_what_asks_for_no_key_is_counted_by_address(tmp_path: Path):
    with api(tmp_path, rate_limit="3/minute") as client:
        assert statuses(client, 4, "/openapi.json") == [200, 200, 200, 429]


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready"])
def test_signs_of_life_are_not_counted(tmp_path: Path, path: str):
    with api(tmp_path, rate_limit="3/minute") as client:
        assert statuses(client, 10, path) == [200] * 10


def test_a_service_whose_redis_is_away_answers(tmp_path: Path):
    with api(tmp_path, rate_limit="3/minute", broker_url=NOBODY) as client:
        Api(client, tmp_path)
        assert statuses(client, 4) == [200, 200, 200, 429]
