"""The OpenAPI document: what FastAPI knows of the endpoints, and what is true of all of them.

A reader would otherwise get wrong: no example is written here. Each is put together from the examples and types of its fields,
so that it cannot fall behind them; a test tries them.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

VERBS = frozenset({"get", "post", "put", "patch", "delete"})
MOMENT = "2026-01-31T12:00:00Z"
EFFECT: dict[str, Any] = {
    "type": "object",
    "description": "what a dry run would do at the SMTP port; `*@domain` stands for every address that nobody holds",
    "required": ["starts", "stops", "complete"],
    "properties": {
        "starts": {"type": "array", "items": {"type": "string"}, "examples": [["anna@example.com"]]},
        "stops": {"type": "array", "items": {"type": "string"}, "examples": [[]]},
        "complete": {"type": "boolean", "description": "false: there are more than are shown"},
    },
}
IF_MATCH = "With `If-Match` and the ETag of the object as it was read, it is done only while the object is still so."
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OF_BODIES = {"400": "the body is not what its media type says", "413": "the body is larger than any of ours"}
_OF_PARAMETERS = (
    ("Idempotency-Key", "409", "this Idempotency-Key was used for another request"),
    ("cursor", "404", "this cursor leads nowhere"),
)
_HEADERS = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "what the key may do",
        "example": '"key";q=6000;w=60',
    },
    "RateLimit": {"schema": {"type": "string"}, "description": "what is left of it", "example": '"key";r=5999;t=1'},
}
_PROBLEM_FIELDS: dict[str, Any] = {
    "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no domain example.com", "code": "not_found",
}  # fmt: skip


def describe(app: FastAPI) -> None:
    """Have *app* tell its document with all that is added here."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI has for this


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """*document* with the answers that every operation has, and examples."""
    document = copy.deepcopy(document)
    document["components"]["schemas"]["DryRun"] = EFFECT
    for _, verbs in sorted(document["paths"].items()):
        for verb, operation in verbs.items():
            if verb in VERBS:
                _complete(document, operation)
    return document


def _complete(document: dict[str, Any], operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "requestBody" in operation:
        responses |= {status: {"description": words, "content": _PROBLEM} for status, words in _OF_BODIES.items()}
    if "412" in responses:
        operation["description"] = f"{operation.get('description', '')}\n\n{IF_MATCH}".strip()
    parameters = operation.get("parameters", [])
    names = {parameter["name"] for parameter in parameters}
    for name, status, words in _OF_PARAMETERS:
        if name in names and status not in responses:
            responses[status] = {"description": words, "content": _PROBLEM}
    if "422" in responses and "application/json" in responses["422"].get("content", {}):
        responses["422"]["content"] = _PROBLEM  # FastAPI's own form of it is not ours
    if any(parameter["name"] == "dry_run" for parameter in parameters):
        _tell_dry_run(responses)
    for parameter in parameters:
        parameter.setdefault("example", _example(document, parameter["schema"], parameter["name"]))
    for content in _contents(operation.get("requestBody", {})):
        content.setdefault("example", _example(document, content.get("schema", {})))
    for status, response in responses.items():
        response["headers"] = _HEADERS
        contents = response.get("content", {})
        for kind, content in list(contents.items()):
            if kind == "application/problem+json":
                example = {**_PROBLEM_FIELDS, "status": int(status) if status.isdigit() else 404}
                contents[kind] = {**content, "example": example}
            else:
                content.setdefault("example", _example(document, content.get("schema", {})))


def _contents(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("content", {}).values()


def _tell_dry_run(responses: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"type": "object", "properties": {"dry_run": {"$ref": "#/components/schemas/DryRun"}}}
    for status in [status for status in responses if status.startswith("2") and status != "202"]:
        if status == "204":
            words = "of a dry run: what it would do"
            responses["200"] = {"description": words, "content": {"application/json": {"schema": wanted}}}
        else:
            for content in responses[status].get("content", {}).values():
                content["schema"] = {"allOf": [content["schema"], wanted]}


def _example(document: Mapping[str, Any], schema: Mapping[str, Any], name: str = "") -> Any:  # noqa: ANN401, PLR0911 - JSON
    """Something that fits *schema*."""
    if "$ref" in schema:
        return _example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
    if schema.get("examples"):
        return schema["examples"][0]
    for fixed in ("default", "const"):
        if fixed in schema:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return _plain(document, schema, name)
    if "anyOf" in schema:
        return None if {"type": "null"} in schema["anyOf"] else _example(document, schema["anyOf"][0], name)
    if "allOf" in schema:
        merged: dict[str, Any] = {}
        for part in schema["allOf"]:
            merged |= {key: value for key, value in _example(document, part, name).items() if key != "dry_run"}
        return merged
    return _plain(document, schema, name)


def _plain(document: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401, PLR0911 - JSON
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {key: _example(document, member, key) for key, member in members.items() if key != "dry_run"}
        case "array":
            return (
                [_example(document, schema["items"], name)]
                if schema.get("minItems") or "$ref" in schema["items"]
                else []
            )
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case "string" if schema.get("format") == "date-time":
            return MOMENT
        case "string":
            return _TEXTS.get(name, "text")
    return None


_TEXTS = {
    "name": "example.com", "address": "anna@example.com", "sender": "sales@example.com", "key": "example.com",
    "public_id": "0123456789abcdef", "cursor": "WzFd", "search": "anna", "subject": "anna@example.com", "domain": "example.com",
    "next": "WzFd", "unicode_name": "example.com", "type": "mailbox.created", "action": "mailbox.created",
}  # fmt: skip
