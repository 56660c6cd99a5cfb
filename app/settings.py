"""Every environment variable of the service: what a machine offers. What a job means is in `fastmtl.config`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
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

    @cached_property
    def database(self) -> str:
        """The database's URL with its password."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.home / 'fastmtl.sqlite3').absolute()}"

    @property
    def storage(self) -> Path:
        """Folder of everything stored."""
        return self.home / "storage"
