"""Several operations in one request."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from web.api.schemas import LONGEST_TEXT, Asked, Told

MAX_OPERATIONS = 10_000
Path = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern="^/")]
DEEPEST = 16  # no body of ours is nearly so deep; deeper ones would run us out of stack


def _shallow(value: object, left: int = DEEPEST) -> object:
    if left == 0:
        raise ValueError(f"nested deeper than {DEEPEST}")
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _shallow(member, left - 1)
    return value


Body = Annotated[dict[str, Any], BeforeValidator(_shallow)]
_EXAMPLE = [
    {"method": "POST", "path": "/domains", "body": {"name": "batch.example"}},
    {"method": "POST", "path": "/mailboxes", "body": {"address": "anna@batch.example"}},
]


class Operation(Asked):
    """One operation, as it would be asked for alone."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Path = Field(description="below /api/v1; with a query, if it has one", examples=["/mailboxes"])
    body: Body | None = Field(None, examples=[{"address": "anna@example.com"}])
    if_match: str | None = Field(None, max_length=LONGEST_TEXT, description="as the header If-Match")


class NewBatch(Asked):
    """What to do, in this order."""

    operations: list[Operation] = Field(min_length=1, max_length=MAX_OPERATIONS, examples=[_EXAMPLE])
    atomic: bool = Field(False, description="all or nothing: when one is refused, none is carried out")


class Result(Told):
    """What became of one operation."""

    status: int = Field(description="as of its own answer; 424: refused because another one was")
    body: dict[str, Any] | None = Field(description="its answer; a problem when it was refused")


class BatchDone(Told):
    """What became of each, in the same order."""

    committed: bool = Field(description="false: of an atomic batch one was refused, and nothing was changed")
    results: list[Result]
