"""`fastmtl keys` and `fastmtl tenants`: for the operator, straight on the database, without a key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.text import Text
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import tenants
from app.clock import now
from app.db import Database
from app.errors import ApiError, NotFound
from app.exits import Exit
from app.keys import MARK, PREFIX_LENGTH, Keys, NewKey, Scope
from app.models import ApiKey, Tenant
from app.quotas import Quota, Quotas, quotas_of
from app.settings import Settings
from app.terminal import Terminal, table
from app.views_access import show_key, show_new_key

Command = Callable[[Database], None]

MOST = 2**63 - 1
"""That the database can hold."""
SERVICES_OWN = "default"
"""Said in place of a number: the service's own quota."""


class Operator:
    """The commands; each returns its exit status: 0, or 2 for what can be mended."""

    def __init__(self, settings: Settings, *, as_json: bool = False) -> None:
        self._settings = settings
        self._terminal = Terminal(as_json=as_json)

    def create_key(self, tenant: str, name: str, scope: Scope, days: int | None) -> int:
        """Make a key and print it, alone, on standard output."""

        def run(database: Database) -> None:
            keys = Keys(database, self._settings)
            ends = now() + timedelta(days=days) if days else None
            self._show_new(keys.create(keys.tenant(tenant).id, name, scope, ends))

        return self._run(run)

    def list_keys(self, tenant: str | None) -> int:
        """List the keys of a tenant, or of all."""

        def run(database: Database) -> None:
            shown = table("prefix", "tenant", "name", "scope", "state", "made", "ends", "last used")
            found = []
            query = select(ApiKey).join(Tenant).options(joinedload(ApiKey.tenant)).order_by(Tenant.name)
            with database.reading() as session:
                if tenant:
                    query = query.where(Tenant.id == tenants.find(session, tenant).id)
                for key in session.scalars(query.order_by(ApiKey.created_at, ApiKey.id)):
                    times = [_day(each) for each in (key.created_at, key.expires_at, key.used_at)]
                    shown.add_row(
                        f"{MARK}_{key.prefix}", key.tenant.name, Text(key.name), key.scope, _state(key), *times
                    )
                    found.append({**show_key(key).model_dump(mode="json"), "tenant": key.tenant.name})
            self._terminal.result(found, shown)

        return self._run(run)

    def revoke_key(self, which: str) -> int:
        """End a key, the last admin's too."""

        def run(database: Database) -> None:
            key = _find(database, which)
            Keys(database, self._settings).revoke(key.tenant_id, key.id, even_last=True)
            told = _find(database, which)
            self._terminal.note(f"{key.name!r} ({MARK}_{key.prefix}) is revoked")
            self._terminal.result(show_key(told).model_dump(mode="json"))

        return self._run(run)

    def rotate_key(self, which: str, overlap_hours: float) -> int:
        """Make a key in the place of another, and print it."""

        def run(database: Database) -> None:
            key = _find(database, which)
            made = Keys(database, self._settings).rotate(key.tenant_id, key.id, timedelta(hours=overlap_hours))
            self._show_new(made)
            old = _find(database, which)  # its end may have been nearer than the overlap is long
            self._terminal.note(f"the old one, {MARK}_{old.prefix}, ends {_day(old.expires_at)} UTC")

        return self._run(run)

    def create_tenant(self, name: str) -> int:
        """Make a tenant."""

        def run(database: Database) -> None:
            with database.transaction() as session:
                tenants.add(session, name, now())
            self._terminal.result({"name": name})
            self._terminal.note(f"the tenant {name!r} is made; give it a key: fastmtl keys create --tenant '{name}'")

        return self._run(run)

    def list_tenants(self) -> int:
        """List the tenants with what they have and may have."""

        def run(database: Database) -> None:
            shown = table("name", "made", "bytes", "rows", "live jobs", "priority")
            found = []
            with database.reading() as session:
                for tenant in tenants.every(session):
                    quotas = quotas_of(session, self._settings, tenant.id)
                    shown.add_row(tenant.name, _day(tenant.created_at), *map(_share, quotas))
                    found.append({"name": tenant.name, "quotas": _json_of(quotas)})
            self._terminal.result(found, shown)

        return self._run(run)

    def set_quota(self, name: str, given: dict[str, str | None]) -> int:
        """Set quotas of a tenant by column: a number, or 'default' for the service's own; None leaves it."""

        def run(database: Database) -> None:
            values = {column: _number(text) for column, text in given.items() if text is not None}
            with database.transaction() as session:
                tenant = tenants.lock(session, tenants.find(session, name).id)
                for column, value in values.items():
                    setattr(tenant, column, value)
                session.flush()
                quotas = quotas_of(session, self._settings, tenant.id)
            told = ", ".join(
                f"{column.replace('_', ' ')} {_share(quota)}" for column, quota in quotas._asdict().items()
            )
            self._terminal.note(f"{name!r} has of what it may have: {told}")
            self._terminal.result({"name": name, "quotas": _json_of(quotas)})

        return self._run(run)

    def _show_new(self, made: NewKey) -> None:
        key = made.record
        self._terminal.result(show_new_key(made).model_dump(mode="json"), made.text)
        self._terminal.note(f"{key.name!r}, {key.scope}, ends {_day(key.expires_at)}; it is not shown again")

    def _run(self, command: Command) -> int:
        try:
            with _database(self._settings) as database:
                command(database)
        except (ApiError, ValueError) as error:
            if self._terminal.as_json:
                return self._terminal.refuse(ValueError(str(error)))
            self._terminal.note(f"refused: {error}")
            return Exit.USAGE
        return Exit.OK


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """Open the database, its tables up to date: the service need not have run before."""
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database.of(settings)
    try:
        database.migrate()
        yield database
    finally:
        database.close()


def _find(database: Database, which: str) -> ApiKey:
    """Return a key by its id, by its prefix, or by the key itself where that leaked. Raises NotFound."""
    prefix = re.match(rf"(?:{MARK}_)?([0-9A-Za-z]{{{PREFIX_LENGTH}}})(?:_|$)", which)
    wanted = ApiKey.prefix == prefix[1] if prefix else ApiKey.id == _id(which)
    with database.reading() as session:
        key = session.scalar(select(ApiKey).where(wanted))
    if key is None:
        raise NotFound(f"there is no key {prefix[1] if prefix else which}; `fastmtl keys list` shows all")
    return key


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFound("name a key by its id or its prefix; `fastmtl keys list` shows both") from error


def _number(text: str) -> int | None:
    if text == SERVICES_OWN:
        return None
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdigit()) or int(digits) > MOST:
        raise ValueError(f"a quota is a number from 0 to {MOST:,}, or '{SERVICES_OWN}', not {text!r}")
    return int(digits)


def _state(key: ApiKey) -> str:
    if key.revoked_at or not key.counts(now()):
        return "revoked" if key.revoked_at else "expired"
    return "replaced" if key.replaced_by else "active"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


def _share(quota: Quota) -> str:
    return f"{quota.used:,} of " + ("any number" if quota.limit is None else f"{quota.limit:,}")


def _json_of(quotas: Quotas) -> dict[str, dict[str, int | None]]:
    return {name: quota._asdict() for name, quota in quotas._asdict().items()}
