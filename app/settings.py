"""Every environment variable of the service: what a machine offers. What a job means is in `fastmtl.config`."""

from __future__ import annotations

import ipaddress
import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fastmtl.encoders import KNOWN

MIB = 2**20


class Settings(BaseSettings):
    """Read from the environment, each with the prefix FASTMTL_. The defaults are the embedded stack."""

    model_config = SettingsConfigDict(env_prefix="FASTMTL_", frozen=True, extra="ignore")

    home: Path = Field(
        Path(".fastmtl"), description="Folder of the embedded stack: database, broker, files. Made where missing."
    )
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, e.g. postgresql+psycopg://user:secret@host/fastmtl. Default: SQLite in the home.",
    )
    broker_url: SecretStr | None = Field(
        None, description="Celery broker, e.g. redis://host:6379/0. Default: a folder in the home, no server."
    )
    secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Secret that keys are hashed and webhooks signed with. Default: made, and kept in the home.",
    )
    auth: Literal["keys", "off"] = Field(
        "keys", description="Whether a request needs an API key; 'off' is for a loopback address alone."
    )
    host: str = Field("127.0.0.1", description="Address that `fastmtl serve` listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that `fastmtl serve` listens on; 0 takes a free one.")
    max_upload_bytes: int = Field(4096 * MIB, ge=1, description="Largest accepted upload, bytes.")
    parser_memory_bytes: int = Field(
        2048 * MIB, ge=256 * MIB, description="Memory of the process that reads an upload, bytes."
    )
    parser_timeout_seconds: float = Field(900, gt=0, description="Longest that reading an upload may take, seconds.")
    encoders: dict[str, str] = Field(
        dict(KNOWN),
        description='Encoders that jobs may name, as JSON: {"name": "folder:/path"}; see fastmtl/encoders.py.',
    )
    device: str = Field("auto", description="Where steps compute: auto, cpu, cuda or cuda:N.")
    threads: int | None = Field(None, ge=1, description="CPU threads of a step; default: all that it may use.")
    lease_seconds: float = Field(30, gt=0, description="A step whose worker is silent this long is given away.")
    heartbeat_seconds: float = Field(10, gt=0, description="How often a worker renews the lease of its step.")
    sweep_seconds: float = Field(5, gt=0, description="How often a worker looks for steps that nobody took.")
    ring_again_seconds: float = Field(30, gt=0, description="A queued step that nobody took is rung again.")
    max_attempts: int = Field(3, ge=1, le=100, description="Attempts at a step before its jobs fail.")
    poll_seconds: float = Field(0.5, gt=0, le=10, description="How often a worker looks after its step's process.")

    log_format: Literal["console", "json"] | None = Field(
        None, description="How log lines are written; default: console on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    metrics_host: str = Field("127.0.0.1", description="Address that metrics are served on; they ask for no key.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for Prometheus, each process its own; 0 takes a free one. Default: no metrics.",
    )
    min_free_bytes: int = Field(
        256 * MIB, ge=0, description="With less room than this in the storage the service is not ready, bytes."
    )
    tracing: Literal["auto", "on", "off"] = Field(
        "auto", description="OpenTelemetry traces; auto: where OTEL_EXPORTER_OTLP_ENDPOINT says where to."
    )

    @model_validator(mode="after")
    def _open_to_nobody_else(self) -> Settings:
        if self.auth == "off" and not _is_loopback(self.host):
            raise ValueError(
                f"FASTMTL_AUTH=off would open it to all who reach {self.host}: listen on 127.0.0.1, or use keys"
            )
        return self

    @cached_property
    def database(self) -> str:
        """The database's URL with its password."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.home / 'fastmtl.sqlite3').absolute()}"

    @property
    def traced(self) -> bool:
        """Whether traces are written: as OpenTelemetry's own variables say, where `tracing` is auto."""
        told = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))
        disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        return self.tracing == "on" or (self.tracing == "auto" and told and not disabled)

    @property
    def storage(self) -> Path:
        """Folder of everything stored."""
        return self.home / "storage"

    @property
    def first_key(self) -> Path:
        """File with the key that is made at the first start."""
        return self.home / "api-key"


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may mean any."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
