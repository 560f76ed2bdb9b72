"""The REST API's documentation as a page, made from the OpenAPI document itself.

A reader would otherwise get wrong: there is no documentation text here. What the page says stands in the endpoints and
schemas, so it cannot fall behind them; and it needs no script from anywhere, so the content security policy stays as it is.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from web.panel.rendering import Renderer

VERBS = ("get", "post", "put", "patch", "delete")

router = APIRouter()


class Field(NamedTuple):
    """A parameter, or a member of a body."""

    name: str
    kind: str
    required: bool
    words: str


class Answer(NamedTuple):
    """One status an operation may answer with."""

    status: str
    words: str


class Operation(NamedTuple):
    """One verb on one path."""

    verb: str
    path: str
    summary: str
    words: str
    parameters: list[Field]
    body: list[Field]
    sample: str
    answers: list[Answer]


class Noun(NamedTuple):
    """A tag of the document, with what can be done to it."""

    name: str
    operations: list[Operation]


@router.get("/api/v1/docs", include_in_schema=False)
def documentation(request: Request) -> Response:
    """The whole API on one page."""
    renderer: Renderer = request.app.state.renderer
    app: FastAPI = request.app
    base = str(request.base_url).rstrip("/")
    return renderer.page(request, "docs/index.html", {"nouns": nouns_of(app.openapi()), "base": base})


def nouns_of(document: Mapping[str, Any]) -> list[Noun]:
    """All operations of the OpenAPI *document*, by tag, in the order they are declared."""
    found: dict[str, list[Operation]] = {}
    for path, verbs in document["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                operation = _operation(document, path, verb, verbs[verb])
                found.setdefault(verbs[verb].get("tags", ["other"])[0], []).append(operation)
    return [Noun(name, operations) for name, operations in found.items()]


def _operation(document: Mapping[str, Any], path: str, verb: str, said: Mapping[str, Any]) -> Operation:
    schema = _body_schema(document, said)
    return Operation(
        verb=verb.upper(),
        path=path,
        summary=said.get("summary", ""),
        words=said.get("description", ""),
        parameters=[
            Field(p["name"], _kind(document, p["schema"]), p.get("required", False), p.get("description", ""))
            for p in said.get("parameters", ())
            if p["name"] != "authorization"
        ],
        body=list(_members(document, schema)),
        sample=json.dumps(_sample(document, schema), indent=2, ensure_ascii=False) if schema else "",
        answers=[Answer(status, answer["description"]) for status, answer in said["responses"].items()],
    )


def _body_schema(document: Mapping[str, Any], said: Mapping[str, Any]) -> Mapping[str, Any]:
    content = said.get("requestBody", {}).get("content", {}).get("application/json", {})
    return _resolve(document, content.get("schema", {}))


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference into the document's components."""
    reference = schema.get("$ref", "")
    return document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        yield Field(name, _kind(document, member), name in required, member.get("description", ""))


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type of *schema* in a word or two."""
    schema = _resolve(document, schema)
    if "anyOf" in schema:
        return " or ".join(_kind(document, option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(repr(value) for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(document, schema.get('items', {}))}"
    return kind


def _sample(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: member["examples"][0] for name, member in schema.get("properties", {}).items() if member.get("examples")
    }
