"""Links in the OpenAPI document: what a request made, its answer leads on to every operation that takes its id.

OpenAPI 3.1, "Link Object"; tools that walk an API, and clients made from the document, follow them.
"""

from __future__ import annotations

from app.models import Json

MAKERS = {
    **dict.fromkeys(("create_dataset", "create_dataset_from_hub"), "dataset_id"),
    **{"create_job": "job_id", "create_key": "key_id"},
}
"""Operations that answer with a thing that has an `id`, and the parameter that takes it."""


def add_links(document: Json) -> None:
    """Write them into the document."""
    operations = [each for path in document["paths"].values() for each in path.values()]
    for maker in operations:
        if parameter := MAKERS.get(maker["operationId"]):
            takers = [each for each in operations if _takes(each, parameter)]
            answer = next(answer for status, answer in maker["responses"].items() if status.startswith("2"))
            answer["links"] = {
                taker["operationId"]: {
                    "operationId": taker["operationId"],
                    "parameters": {f"path.{parameter}": "$response.body#/id"},
                }
                for taker in takers
            }


def _takes(operation: Json, parameter: str) -> bool:
    return any((each["in"], each["name"]) == ("path", parameter) for each in operation.get("parameters", ()))
