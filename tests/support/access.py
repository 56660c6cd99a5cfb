"""Every operation of the API, from its OpenAPI document, and every key that may not send it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from httpx2 import Response
from service import Api
from sqlalchemy import delete, select

from app.clock import now
from app.keys import DEFAULT_TENANT, Scope
from app.models import ApiKey, Base

FOR_EVERYBODY = {"health", "ready"}
"""Operations that ask for no key."""
NAMED_IN_BODY = {"create_job": 422, "estimate_job": 422}
"""Operations whose body names datasets: what is told of those of another tenant, as of those that are not there."""
NO_IDS = ("name", "row")
"""Of `World.ids`: what names a thing within another, so that it is no secret."""
NO_KEYS = ("none", "malformed", "unknown", "revoked", "expired")
"""Keys of `World.key` that do not count."""
OF_THE_EXCHANGE = {"Idempotency-Key", "If-None-Match", "If-Range", "Range", "last-event-id"}
"""Headers that say how to answer, not what is asked."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """A row's subject."""

    method: str
    path: str
    described: Json
    components: Json

    @property
    def name(self) -> str:
        return str(self.described["operationId"])

    @property
    def scope(self) -> Scope | None:
        """What a key must be for, as the document says."""
        asked = [scope for each in self.described.get("security", []) for scope in each["ApiKey"]]
        return Scope(asked[0]) if len(asked) == 1 else None

    @property
    def body(self) -> Json | None:
        """Schema of a JSON body; {} of another one, None where there is no body."""
        if "requestBody" not in self.described:
            return None
        content = self.described["requestBody"]["content"]
        return self._resolved(content["application/json"]["schema"]) if "application/json" in content else {}

    def parameters(self, place: str) -> dict[str, Json]:
        return {each["name"]: each for each in self.described.get("parameters", []) if each["in"] == place}

    def headers(self) -> dict[str, str]:
        """Every header that the document shows an example of."""
        shown = {name: _example(each) for name, each in self.parameters("header").items()}
        return {name: str(value) for name, value in shown.items() if value is not None and name not in OF_THE_EXCHANGE}

    def example(self, ids: dict[str, str]) -> Json:
        """A body that passes validation and names things by these ids."""
        properties = (self.body or {}).get("properties", {})
        wanted = [name for name in properties if name in ids or name in (self.body or {}).get("required", ())]
        return {name: self._value(name, properties[name], ids) for name in wanted}

    def _value(self, name: str, schema: Json, ids: dict[str, str]) -> object:
        if name in ids:
            return [ids[name]] if schema.get("type") == "array" else ids[name]
        found = _example(schema) or self._resolved(schema).get("enum", [None])[0]
        assert found is not None, f"{self.name}: the field {name!r} has no example"
        return found

    def _resolved(self, schema: Json) -> Json:
        for each in (schema, *schema.get("anyOf", ()), *schema.get("allOf", ())):
            if "$ref" in each:
                found: Json = self.components[each["$ref"].rpartition("/")[2]]
                return found
        return schema


def _example(described: Json) -> object:
    for each in (described, described.get("schema", {})):
        if each.get("examples"):
            return each["examples"][0]
        if "example" in each:
            return each["example"]
    return None


class World:
    """Ada's things, and Eve with a key of each kind."""

    def __init__(self, service: Api) -> None:
        self.service, self.client = service, service.client
        document = self.client.app.openapi()  # type: ignore[attr-defined]
        self.operations = [
            Operation(method.upper(), path, described, document["components"]["schemas"])
            for path, methods in document["paths"].items()
            for method, described in methods.items()
        ]
        self.keyed = [each for each in self.operations if each.name not in FOR_EVERYBODY]
        ada = service.parts.keys.tenant(DEFAULT_TENANT).id
        eve = service.parts.keys.tenant("eve's", make=True).id
        self.key = {
            "none": "",
            "malformed": "fastmtl_nonsense",
            "unknown": self._forgotten(ada),
            "revoked": self._revoked(ada),
            "expired": self._make(ada, Scope.ADMIN, expires_at=now() - timedelta(days=1)),
            **{f"ada's {scope}": self._make(ada, scope) for scope in Scope},
            "eve's": self._make(eve, Scope.ADMIN),
        }
        self.ids = self._things()

    def _things(self) -> dict[str, str]:
        """Make one of everything; return its id by the name that paths and bodies give it."""
        job = self.service.submit(explain=0)
        self.service.choose(job)
        told = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}
        upload = self.client.post("/v1/uploads", headers=told).headers["Location"].rpartition("/")[2]
        key = self.client.get("/v1/keys").json()["items"][0]["id"]
        datasets = [each["id"] for each in job["datasets"]]
        return {
            **{
                "job_id": job["id"],
                "other_id": job["id"],
                "dataset_id": datasets[0],
                "upload_id": upload,
                "key_id": key,
            },
            **{"name": "selection.parquet", "row": "0", "primary": datasets[0], "auxiliary": datasets[1]},
        }

    def _make(self, tenant_id: uuid.UUID, scope: Scope, **options: Any) -> str:
        return self.service.parts.keys.create(tenant_id, "a key", scope, **options).text

    def _revoked(self, tenant_id: uuid.UUID) -> str:
        made = self.service.parts.keys.create(tenant_id, "a key", Scope.ADMIN)
        self.service.parts.keys.revoke(tenant_id, made.record.id)
        return made.text

    def _forgotten(self, tenant_id: uuid.UUID) -> str:
        """A key that is one, but of which nothing is known."""
        made = self.service.parts.keys.create(tenant_id, "a key", Scope.ADMIN)
        with self.service.parts.database.transaction() as session:
            session.execute(delete(ApiKey).where(ApiKey.id == made.record.id))
        return made.text

    def send(self, operation: Operation, key: str, ids: dict[str, str], *, broken: bool = False) -> Response:
        """Send an operation with things by these ids, or with a body that nobody could read."""
        path = operation.path
        for name in operation.parameters("path"):
            assert name in ids, f"{operation.name} takes {name!r}: make such a thing in World._things"
            path = path.replace(f"{{{name}}}", ids[name])
        headers = {**operation.headers(), **({"Authorization": f"Bearer {self.key[key]}"} if self.key[key] else {})}
        body: Json = {}
        if broken and operation.body is not None:
            body, headers = {"content": b'{"'}, {**headers, "Content-Type": "application/json"}
        elif operation.body:
            body = {"json": operation.example(ids)}
        self.client.headers.pop("Authorization", None)
        return self.client.request(operation.method, path, headers=headers, **body)

    def written(self) -> list[str]:
        """All that is stored, but for when keys were used."""
        home = self.service.parts.settings.storage
        files = [f"{path} {path.stat().st_size}" for path in sorted(home.rglob("*")) if path.is_file()]
        rows = []
        with self.service.parts.database.reading() as session:
            for table in Base.metadata.sorted_tables:
                columns = [each for each in table.columns if each.name != "used_at"]
                rows += [f"{table.name} {row}" for row in session.execute(select(*columns))]
        return sorted(rows) + files


class Refusal(NamedTuple):
    """What became of an operation that was sent with a key which may not."""

    operation: str
    wrong: str
    """What is not as it should be, in words; empty where it was refused as it should."""


def without_a_key(world: World, key: str) -> list[Refusal]:
    """Send everything with a key that does not count, and bodies that nobody could read: those are not looked at."""
    found = []
    for operation in world.keyed:
        answer = world.send(operation, key, world.ids, broken=True)
        told = (answer.status_code, answer.headers.get("WWW-Authenticate"), _problem(answer) or "unauthorized")
        found.append(_refusal(operation, key, told, (401, "Bearer", "unauthorized")))
    return found


def beyond_scope(world: World, scope: Scope) -> list[Refusal]:
    """Send all that is beyond a key's scope."""
    found = []
    for operation in world.keyed:
        if operation.scope and not scope.allows(operation.scope):
            answer = world.send(operation, f"ada's {scope}", world.ids, broken=True)
            told = (answer.status_code, _problem(answer) or "forbidden")
            found.append(_refusal(operation, scope, told, (403, "forbidden")))
    return found


def of_another_tenant(world: World) -> list[Refusal]:
    """Send all that names things by id, with another tenant's: told in the words in which what never was is told."""
    never = {name: value if name in NO_IDS else str(uuid.uuid4()) for name, value in world.ids.items()}
    found = []
    for operation in world.keyed:
        if operation.parameters("path") or operation.name in NAMED_IN_BODY:
            answer, expected = (world.send(operation, "eve's", ids) for ids in (world.ids, never))
            told = (answer.status_code, _plain(answer, world.ids))
            wanted = (NAMED_IN_BODY.get(operation.name, 404), _plain(expected, never))
            found.append(_refusal(operation, "eve's", told, wanted))
    return found


def _refusal(operation: Operation, key: str, told: tuple[object, ...], wanted: tuple[object, ...]) -> Refusal:
    wrong = "" if told == wanted else f"{operation.name} with the key {key!r}: {told}, and not {wanted}"
    return Refusal(operation.name, wrong)


def _problem(response: Response) -> str | None:
    """The kind of problem, where an answer has a body."""
    return str(response.json()["type"].rpartition(":")[2]) if response.content else None


def _plain(response: Response, ids: dict[str, str]) -> str:
    """The answer's body without the ids that were asked for."""
    text = response.text
    for name, value in ids.items():
        if name in NO_IDS:
            continue
        text = text.replace(value, f"<{'dataset_id' if name in ('primary', 'auxiliary') else name}>")
    return text
