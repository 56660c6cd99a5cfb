"""The schema says everything, and the service does as its schema says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service import Api, api

from app.links import MAKERS
from app.main import create_app
from app.settings import Settings


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return create_app(Settings(home=tmp_path_factory.mktemp("schema"))).openapi()


def operations(schema: dict) -> Iterator[tuple[str, dict]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_field_has_a_sentence_and_an_example_or_a_closed_set(schema: dict):
    bare = []
    for model, body in schema["components"]["schemas"].items():
        for name, field in body.get("properties", {}).items():
            described = "description" in field or "$ref" in field
            shown = (
                "examples" in field or "enum" in str(field) or "$ref" in str(field) or field.get("type") == "boolean"
            )
            if not described or not shown:
                bare.append(f"{model}.{name}")
    assert bare == []


def test_every_parameter_has_a_sentence(schema: dict):
    found = [(name, each) for name, operation in operations(schema) for each in operation.get("parameters", [])]
    bare = [
        f"{name} {each['name']}"
        for name, each in found
        if not each.get("description") and not each["schema"].get("description")
    ]
    assert bare == []


def test_every_operation_is_named_and_documents_its_errors_as_problems(schema: dict):
    for name, operation in operations(schema):
        assert operation["summary"] and operation["operationId"], name
        errors = {
            status: body
            for status, body in operation["responses"].items()
            if status in ("400", "401", "404", "409", "422")
        }
        assert all("application/problem+json" in body["content"] for body in errors.values()), name
        assert operation["operationId"] in ("health", "ready", "options") or errors, name


def test_what_makes_a_thing_links_to_every_operation_that_takes_its_id(schema: dict):
    by_id = {each["operationId"]: each for _, each in operations(schema)}
    for maker, parameter in MAKERS.items():
        status = next(status for status in by_id[maker]["responses"] if status.startswith("2"))
        linked = {link["operationId"] for link in by_id[maker]["responses"][status]["links"].values()}
        taking = {name for name, each in by_id.items() if parameter in str(each.get("parameters"))}
        assert linked == taking and len(linked) >= 2


def test_numbers_that_a_client_writes_have_bounds(schema: dict):
    bodies = schema["components"]["schemas"]
    open_ended = [
        f"{model}.{name}"
        for model in ("JobConfig", "EncoderConfig", "TrainingConfig", "DiscriminatorConfig", "FinetuningConfig")
        for name, field in bodies[model]["properties"].items()
        if field.get("type") in ("integer", "number")
        and not ({"minimum", "exclusiveMinimum"} & set(field) and {"maximum", "exclusiveMaximum"} & set(field))
    ]
    assert open_ended == []


def test_whatever_is_sent_is_answered_as_the_schema_says(tmp_path):
    """Schemathesis makes requests up from the schema; ids of real jobs and datasets are mixed in."""
    with api(tmp_path) as client:
        service = Api(client, tmp_path)
        job = service.submit()
        service.choose(job)
        known = {"job_id": [job["id"]], "dataset_id": [job["datasets"][0]["id"]], "name": ["selection.parquet"]}
        schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
        described = schemathesis.openapi.from_asgi("/openapi.json", client.app)

        for operation in described.get_all_operations():
            check_operation(operation.ok(), known, service.key)


def check_operation(operation: schemathesis.APIOperation, known: dict[str, list[str]], key: str) -> None:
    """Send made-up requests to one operation."""
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def send(case: schemathesis.Case) -> None:
        for name, values in known.items():
            if name in (case.path_parameters or {}) and len(str(case.path_parameters[name])) % 2:
                case.path_parameters[name] = values[0]
        case.call_and_validate(checks=checks, headers={"Authorization": f"Bearer {key}"})

    send()
