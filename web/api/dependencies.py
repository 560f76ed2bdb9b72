"""What the endpoints of the API share: who asks, how a list is cut into pages, what a refusal looks like in the document.

A reader would otherwise get wrong: two must agree before a key opens anything. The authenticator says whether the secret is
right (this process never sees what it is compared with), the database whether the key still stands.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from appliance.errors import NotSignedIn
from appliance.services import keys
from appliance.services.actor import Actor
from web.errors import PreconditionFailed
from web.wiring import Wiring, client_of, wiring_of

describe_key = HTTPBearer(auto_error=False, scheme_name="key", description="An API key: `pk_…`")


class Fault(BaseModel):
    """Which field, and why."""

    field: str
    code: str
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="stable: compare this, not the sentence")
    errors: list[Fault] = []


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation may be refused with, for the OpenAPI document."""
    words = {
        401: "no key, or one that is not good",
        403: "the key may see it, not do this to it",
        404: "there is none, or not for this key",
        409: "it contradicts what is there: a name is taken, a limit reached",
        412: "If-Match names another version than the present one",
        422: "a value makes no sense; `errors` says which and why",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": words[status], "content": schema} for status in (401, *statuses)}


class Versioned(Protocol):
    """A row whose version rises with each change."""

    @property
    def version(self) -> int:
        """Part of its ETag."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what there is to answer with."""

    actor: Actor
    wiring: Wiring
    if_match: str | None = None

    def expect(self, present: Callable[[], Versioned]) -> None:
        """Go on when the object is still the one that the caller has seen. Inside the transaction that changes it.

        Raises:
            PreconditionFailed: somebody was faster (RFC 9110 13.1.1).
            NotFound: it is gone.
        """
        if self.if_match is not None:
            tag = etag(present())
            if self.if_match.strip() != "*" and tag not in [part.strip() for part in self.if_match.split(",")]:
                raise PreconditionFailed(f"it has changed since: it is {tag} now")


Shown = TypeVar("Shown", bound=Versioned)


def told(response: Response, shown: Shown) -> Shown:
    """*shown*, with its entity tag in the answer's header."""
    response.headers["ETag"] = etag(shown)
    return shown


def etag(row: Versioned) -> str:
    """The entity tag of *row* (RFC 9110 8.8.3)."""
    return f'"{row.version}"'


def caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(describe_key)],
    if_match: Annotated[
        str | None, Header(description="the ETag of the object as it was read: changes it only when it is still so")
    ] = None,
) -> Caller:
    """Whom the presented key stands for.

    Raises:
        NotSignedIn: there is none, or it is not good.
        AuthenticatorAway: nobody can tell.
    """
    if credentials is None:
        raise NotSignedIn("present a key: Authorization: Bearer pk_…")
    wiring = wiring_of(request)
    public_id, secret = keys.split(credentials.credentials)
    with wiring.reading() as session:
        # First the database: it knows of a revocation before the snapshot does, and of a key just made as soon.
        actor = keys.actor_of(session, public_id, source=client_of(request))
    if not wiring.authenticator.verify_key(public_id, secret):
        raise NotSignedIn("this is not a key of ours", code="bad_key")
    return Caller(actor, wiring, if_match)


Asking = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(description="how many at most, 1 to 500")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
Search = Annotated[str, Query(max_length=254, description="only what has this in its name")]
DryRun = Annotated[bool, Query(description="check everything, change nothing")]


def given(change: BaseModel) -> Mapping[str, Any]:
    """What a PATCH names, with null where null was said: what is left out stays as it is."""
    return change.model_dump(exclude_unset=True)
