"""The REST API's documentation: the OpenAPI document, and a page that is made from it.

A reader would otherwise get wrong: there is no documentation text here. What the page says stands in the endpoints and
schemas, so it cannot fall behind them; and it needs no script from anywhere, so the content security policy stays as it is.
Both are kept as text: the document is eight megabytes of objects for a quarter of one, and what the page shows of it is less.
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


class Described(NamedTuple):
    """All that is told of an application's endpoints, as JSON."""

    document: bytes
    nouns: bytes

    @classmethod
    def of(cls, app: FastAPI) -> "Described":
        """What there is to tell of *app*."""
        document = app.openapi()
        return cls(json.dumps(document).encode(), json.dumps(nouns_of(document)).encode())

    def packed(self) -> bytes:
        """In one piece."""
        return b"\n".join(self)

    @classmethod
    def unpacked(cls, octets: bytes) -> "Described":
        """What `packed` made of it."""
        return cls(*octets.split(b"\n"))  # JSON on one line has none


def _described(app: FastAPI) -> Described:
    if getattr(app.state, "described", None) is None:
        app.state.described = Described.of(app)
    described: Described = app.state.described
    return described


@router.get("/api/v1/openapi.json", include_in_schema=False)
def document(request: Request) -> Response:
    """What programs read."""
    return Response(_described(request.app).document, media_type="application/json")


@router.get("/api/v1/docs", include_in_schema=False)
def documentation(request: Request, about: str = "") -> Response:
    """The whole API as a list; with *about*, all that is to be said of one noun's operations."""
    renderer: Renderer = request.app.state.renderer
    nouns = [_noun(name, operations) for name, operations in json.loads(_described(request.app).nouns)]
    chosen = [noun for noun in nouns if noun.name == about]
    values = {"nouns": nouns, "chosen": chosen, "base": str(request.base_url).rstrip("/")}
    return renderer.page(request, "docs/noun.html" if chosen else "docs/index.html", values)


def _noun(name: str, operations: list[list[Any]]) -> Noun:
    """A noun as it was before it was JSON."""
    return Noun(name, [_again(Operation(*members)) for members in operations])


def _again(operation: Operation) -> Operation:
    return operation._replace(
        parameters=[Field(*members) for members in operation.parameters],
        body=[Field(*members) for members in operation.body],
        answers=[Answer(*members) for members in operation.answers],
    )


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
