"""Every environment variable of the service: what a machine offers. What a job means is in `fastmtl.config`."""

from __future__ import annotations

import ipaddress
import os
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.secret_files import SecretFiles
from app.store_address import Place, check_endpoint, parse
from fastmtl.encoders import KNOWN, check_allowed

MIB = 2**20


class Settings(BaseSettings):
    """Read from the environment, each with the prefix FASTMTL_. The defaults are the embedded stack."""

    # What is wrong is told without the value: it may hold a password.
    model_config = SettingsConfigDict(env_prefix="FASTMTL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    home: Path = Field(
        Path(".fastmtl"), description="Folder of the embedded stack: database, broker, files. Made where missing."
    )
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, e.g. postgresql+psycopg://user:secret@host/fastmtl. Default: SQLite in the home.",
    )
    database_password: SecretStr | None = Field(
        None, description="Password that goes into the database's URL, so that it can stand in a file by itself."
    )
    broker_url: SecretStr | None = Field(
        None, description="Celery broker, e.g. redis://host:6379/0. Default: a folder in the home, no server."
    )
    broker_password: SecretStr | None = Field(None, description="Password that goes into the broker's URL.")
    storage_url: str | None = Field(
        None,
        description="S3-compatible store for uploads and results, s3://bucket/prefix. Default: a folder in the home. "
        "Credentials as AWS's own programs read them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a file that "
        "AWS_SHARED_CREDENTIALS_FILE names.",
    )
    storage_endpoint: str | None = Field(
        None, description="Address of the store, e.g. https://s3.example.org. Default: AWS's own."
    )
    storage_region: str | None = Field(None, description="The store's region. Default: AWS_REGION, else us-east-1.")
    storage_cache_bytes: int = Field(
        10 * 1024 * MIB,
        ge=0,
        description="Bytes of fetched files that a home keeps; what is in use stays, be it more.",
    )
    storage_patience_seconds: float = Field(
        8,
        ge=0,
        le=60,
        description="How long what an object store does not do is tried again while a client waits, seconds; a worker "
        "tries 15 times as long.",
    )
    storage_presigned_seconds: float | None = Field(
        None,
        gt=0,
        le=7 * 86_400,
        description="A download of one file is answered with an address at the store that serves whoever has it for so "
        "long, seconds. Default: the API sends the file itself.",
    )
    storage_public_endpoint: str | None = Field(
        None, description="Where clients reach the store for such downloads. Default: the endpoint."
    )
    secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Secret that keys are hashed and webhooks signed with. Default: made, and kept in the home.",
    )
    auth: Literal["keys", "off"] = Field(
        "keys", description="Whether a request needs an API key; 'off' is for a loopback address alone."
    )
    session_seconds: float = Field(
        12 * 3600, gt=0, le=90 * 86_400, description="How long signing in to the web page lasts, seconds."
    )
    rate_limit: str | None = Field(
        "6000/minute",
        pattern=r"^[1-9]\d*/(second|minute|hour|day)$",
        description="Requests that a key may send, and an address without a key that counts: 600/minute; or 'off'.",
    )
    quota_bytes: int | None = Field(
        None,
        ge=0,
        description="Bytes of uploads, unfinished ones too, that a tenant may keep, unless it has its own quota.",
    )
    quota_rows: int | None = Field(None, ge=0, description="Rows that a tenant may keep, unless it has its own quota.")
    quota_live_jobs: int | None = Field(
        None, ge=0, description="Jobs of a tenant that are not over at once, unless it has its own quota."
    )
    quota_priority: int = Field(
        9, ge=0, le=9, description="Highest priority of a tenant's jobs, unless it has its own quota."
    )
    host: str = Field("127.0.0.1", description="Address that `fastmtl serve` listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that `fastmtl serve` listens on; 0 takes a free one.")
    max_upload_bytes: int = Field(4096 * MIB, ge=1, description="Largest accepted upload, bytes.")
    max_json_bytes: int = Field(MIB, ge=1, description="Largest accepted body that is JSON and no upload, bytes.")
    spare_bytes: int = Field(
        256 * MIB, ge=0, description="Room on the disk that uploads leave free for the database and workers, bytes."
    )
    upload_idle_seconds: float = Field(
        45, gt=0, description="An upload of which nothing more comes for so long is given up, seconds."
    )
    upload_hold_seconds: float = Field(
        60, gt=0, description="A request that writes to an upload in parts and died is over so long after, seconds."
    )
    upload_expiry_seconds: float = Field(
        24 * 3600, gt=0, description="An upload in parts is removed so long after its last part, seconds."
    )
    upload_sweep_seconds: float = Field(
        30, gt=0, description="How often an API process removes what uploads left that were cut off, seconds."
    )
    parsers: int = Field(2, ge=1, description="Uploads that one API process reads at a time; more wait.")
    parser_memory_bytes: int = Field(
        1792 * MIB,
        ge=256 * MIB,
        description="Memory of the process that reads an upload, bytes, its code of some 150 MiB not counted.",
    )
    parser_timeout_seconds: float = Field(900, gt=0, description="Longest that reading an upload may take, seconds.")
    hub: Literal["on", "off"] = Field(
        "off", description="Whether the API fetches public data sets of the Hugging Face hub for those who may upload."
    )
    hub_timeout_seconds: float = Field(600, gt=0, description="Longest that fetching one may take, seconds.")
    idempotency_seconds: float = Field(
        24 * 3600, gt=0, description="How long the answer to a request with an Idempotency-Key can be had again."
    )
    encoders: dict[str, str] = Field(
        dict(KNOWN),
        description='Encoders that jobs may name, as JSON: {"name": "hub:owner/name@commit"}, or "folder:/path" with '
        "@sha256:digest where its files may not change; see fastmtl/encoders.py.",
    )
    device: str = Field(
        "auto", description="Where steps compute: auto, cpu, cuda or cuda:N; trainings share several, cuda:0,cuda:1."
    )
    takes: Literal["all", "cpu", "gpu"] = Field(
        "all",
        description="Which steps a worker takes: all, those that need no device (cpu), or only those that do (gpu).",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of a step; default: all that it may use.")
    calibrate: bool = Field(
        True, description="Whether a worker measures its device at its start where nothing was measured on it yet."
    )
    lease_seconds: float = Field(30, gt=0, description="A step whose worker is silent this long is given away.")
    heartbeat_seconds: float = Field(10, gt=0, description="How often a worker renews the lease of its step.")
    sweep_seconds: float = Field(5, gt=0, description="How often a worker looks for steps that nobody took.")
    ring_again_seconds: float = Field(30, gt=0, description="A queued step that nobody took is rung again.")
    max_attempts: int = Field(3, ge=1, le=100, description="Attempts at a step before its jobs fail.")
    poll_seconds: float = Field(0.5, gt=0, le=10, description="How often a worker looks after its step's process.")
    checkpoint_seconds: float = Field(
        30, gt=0, description="How often a running step keeps what it has done, for an attempt that goes on, seconds."
    )
    stall_seconds: float = Field(
        900, gt=0, description="A step whose process says nothing for this long is taken for hung and ended, seconds."
    )
    warm_seconds: float = Field(
        60,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="How long a worker keeps a process with torch loaded after a step, from which the next one's is "
        "forked, seconds; 0: each loads anew.",
    )
    event_poll_seconds: float = Field(0.5, gt=0, le=10, description="How often a stream of events looks for new ones.")
    max_event_streams: int = Field(200, ge=1, description="Streams of events that one process keeps open at once.")
    max_event_streams_per_tenant: int = Field(50, ge=1, description="Those of one tenant among them.")
    webhook_poll_seconds: float = Field(1, gt=0, le=60, description="How often a worker looks for webhooks to send.")
    webhook_ports: tuple[int, ...] = Field(
        (80, 443, 8080, 8443), description="Ports that a webhook may go to, as JSON: [443, 8443]."
    )
    webhook_allow_http: bool = Field(False, description="Whether a webhook may go without TLS.")
    webhook_allow_private: bool = Field(
        False, description="Whether a webhook may go to addresses that are not public: for an intranet of one owner."
    )

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then the files that it names for secrets."""
        return init_settings, env_settings, SecretFiles(settings_cls)

    @field_validator("rate_limit", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        return None if value in ("", "off") else value

    @field_validator("storage_endpoint", "storage_public_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else check_endpoint(value)

    @field_validator("storage_url")
    @classmethod
    def _names_a_bucket(cls, value: str | None) -> str | None:
        if value is not None:
            parse(value, None, None)
        return value

    @field_validator("encoders")
    @classmethod
    def _may_be_loaded(cls, value: dict[str, str]) -> dict[str, str]:
        check_allowed(value)
        return value

    @model_validator(mode="after")
    def _open_to_nobody_else(self) -> Settings:
        if self.auth == "off" and not _is_loopback(self.host):
            raise ValueError(
                f"FASTMTL_AUTH=off would open it to all who reach {self.host}: listen on 127.0.0.1, or use keys"
            )
        return self

    @model_validator(mode="after")
    def _passwords_have_their_place(self) -> Settings:
        for name in ("database", "broker"):
            password, url = getattr(self, f"{name}_password"), getattr(self, f"{name}_url")
            said = f"FASTMTL_{name.upper()}_PASSWORD is given"
            if password and not url:
                raise ValueError(f"{said}, but no FASTMTL_{name.upper()}_URL that it could go into")
            if password and urlsplit(url.get_secret_value()).password:
                raise ValueError(f"{said}, and FASTMTL_{name.upper()}_URL has a password too: give one of them")
        return self

    @cached_property
    def database(self) -> str:
        """The database's URL with its password."""
        if self.database_url:
            return _with_password(self.database_url, self.database_password)
        return f"sqlite:///{(self.home / 'fastmtl.sqlite3').absolute()}"

    @cached_property
    def broker(self) -> str | None:
        """The broker's URL with its password; None where a folder stands in for one."""
        return _with_password(self.broker_url, self.broker_password) if self.broker_url else None

    @property
    def traced(self) -> bool:
        """Whether traces are written: as OpenTelemetry's own variables say, where `tracing` is auto."""
        told = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))
        disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        return self.tracing == "on" or (self.tracing == "auto" and told and not disabled)

    @property
    def storage(self) -> Path:
        """Folder of everything stored, or where an object store has it, of what is on its way there and back."""
        return self.home / "storage"

    @property
    def store(self) -> Place | None:
        """Where the object store is; None where the folder is the store."""
        if self.storage_url is None:
            return None
        return parse(self.storage_url, self.storage_endpoint, self.storage_region)

    @property
    def first_key(self) -> Path:
        """File with the key that is made at the first start."""
        return self.home / "api-key"


def _with_password(url: SecretStr, password: SecretStr | None) -> str:
    """Return the URL, with the password behind its user's name."""
    if password is None:
        return url.get_secret_value()
    parts = urlsplit(url.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:{quote(password.get_secret_value(), safe='')}"
    return parts._replace(netloc=f"{user}@{host}").geturl()


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may mean any."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
