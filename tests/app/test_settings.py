"""What a deployment may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

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
