"""What a deployment may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

from app.settings import Settings


def refusal(**settings: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**settings)  # type: ignore[arg-type]
    return str(refused.value)


@pytest.mark.parametrize("rate", ["600", "0/minute", "600/fortnight", "-1/minute", "1/second;2/minute", "many"])
def test_a_rate_is_a_number_and_a_time(rate: str):
    assert "rate_limit" in refusal(rate_limit=rate)


def test_rates_and_quotas_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"RATE_LIMIT": "off", "QUOTA_ROWS": "1000", "QUOTA_LIVE_JOBS": "0"}.items():
        monkeypatch.setenv(f"FASTMTL_{name}", value)
    settings = Settings()
    assert (settings.rate_limit, settings.quota_bytes, settings.quota_rows, settings.quota_live_jobs) == (
        None,
        None,
        1000,
        0,
    )


def test_encoders_that_cannot_be_kept_to_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTMTL_ENCODERS", '{"mine": "hub:somebody/something"}')
    told = refusal()
    assert "the encoder 'mine' is not allowed as 'hub:somebody/something': of the hub a commit has to be named" in told


def test_a_folder_with_pickled_weights_alone_is_refused_at_the_start(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert f"{tmp_path} holds no safetensors weights" in refusal(encoders={"mine": f"folder:{tmp_path}"})


def test_an_address_of_a_store_that_is_none_is_refused_without_being_shown():
    told = refusal(storage_url="s3://key:pa55@bucket")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told and "pa55" not in told


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_an_open_service_is_for_this_machine_alone(host: str):
    assert "would open it to all who reach" in refusal(auth="off", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_an_open_service_on_this_machine_is_allowed(host: str):
    assert Settings(auth="off", host=host).auth == "off"


def held(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str = "p@ss/w:rd %\n", name: str = "SECRET") -> Path:
    """Name a file that holds a secret in the environment."""
    path = folder / name.lower()
    path.write_text(text)
    monkeypatch.setenv(f"FASTMTL_{name}_FILE", str(path))
    return path


def test_a_secret_can_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held(monkeypatch, tmp_path, "a" * 32 + "\r\n")
    secret = Settings().secret
    assert secret is not None and secret.get_secret_value() == "a" * 32


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg://ada@db:5432/fastmtl", "postgresql+psycopg://ada:p%40ss%2Fw%3Ard%20%25@db:5432/fastmtl"),
        ("postgresql+psycopg://db/fastmtl?sslmode=require", "postgresql+psycopg://:p%40ss%2Fw%3Ard%20%25@db/fastmtl?sslmode=require"),
    ],
)  # fmt: skip
def test_a_password_from_a_file_goes_into_the_database_s_url(monkeypatch, tmp_path, url: str, place: str):
    held(monkeypatch, tmp_path, name="DATABASE_PASSWORD")
    settings = Settings(database_url=SecretStr(url))
    assert settings.database == place
    assert make_url(settings.database).password == "p@ss/w:rd %"
    assert "p@ss" not in repr(settings)


def test_a_password_from_a_file_goes_into_the_broker_s_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held(monkeypatch, tmp_path, name="BROKER_PASSWORD")
    settings = Settings(broker_url=SecretStr("redis://redis:6379/0"))
    assert settings.broker == "redis://:p%40ss%2Fw%3Ard%20%25@redis:6379/0"
    assert redis.connection.parse_url(settings.broker)["password"] == "p@ss/w:rd %"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"database_password": "a"}, "FASTMTL_DATABASE_PASSWORD is given, but no FASTMTL_DATABASE_URL"),
        ({"broker_password": "a", "broker_url": "redis://:b@c/0"}, "and FASTMTL_BROKER_URL has a password too"),
    ],
)
def test_a_password_without_a_place_is_refused(settings: dict[str, str], told: str):
    assert told in refusal(**settings)


def test_a_file_that_is_empty_is_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = held(monkeypatch, tmp_path, "\n")
    with pytest.raises(ValueError, match=f"FASTMTL_SECRET_FILE names {path}, which is empty"):
        Settings()


def test_a_file_that_cannot_be_read_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held(monkeypatch, tmp_path).unlink()
    with pytest.raises(ValueError, match="cannot be read \\(No such file or directory\\): it must be a file"):
        Settings()


def test_a_secret_and_its_file_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held(monkeypatch, tmp_path)
    monkeypatch.setenv("FASTMTL_SECRET", "b" * 32)
    with pytest.raises(ValueError, match="FASTMTL_SECRET and FASTMTL_SECRET_FILE are both set"):
        Settings()


def test_what_is_no_secret_is_not_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held(monkeypatch, tmp_path, "0.0.0.0", name="HOST")
    assert Settings().host == "127.0.0.1"
