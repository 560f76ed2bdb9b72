"""What the endpoints of the API share: who asks, how a list is cut into pages, what a refusal looks like in the document.

A reader would otherwise get wrong: two must agree before a key opens anything. The authenticator says whether the secret is
right (this process never sees what it is compared with), the database whether the key still stands.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from appliance.database.session import Session
from appliance.errors import Invalid, NotSignedIn
from appliance.services import given_answers, keys
from appliance.services.actor import Actor
from web import LARGEST, allowance, together
from web.errors import AnsweredBefore, PreconditionFailed, TooManyRequests
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
    holder: str | None = Field(None, description="of a name that is taken: by what, where the key may see that")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation may be refused with, for the OpenAPI document."""
    words = {
        401: "no key, or one that is not good",
        403: "the key may see it, not do this to it",
        404: "there is none, or not for this key",
        409: "it contradicts what is there: a name is taken, a limit reached",
        412: "If-Match names another version than the present one",
        422: "a value makes no sense; `errors` says which and why",
        429: "the key has used its allowance up; Retry-After says when to go on",
        503: "database or authenticator are away; nothing was done, Retry-After says when to try again",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": words[status], "content": schema} for status in (401, *statuses, 429, 503)}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what there is to answer with."""

    actor: Actor
    wiring: Wiring
    path: str
    if_match: str | None = None
    idempotency_key: str | None = None

    def expect(self, present: Callable[[], object]) -> None:
        """Go on when the object is still the one that the caller has seen. Inside the transaction that changes it.

        Raises:
            PreconditionFailed: somebody was faster (RFC 9110 13.1.1).
            NotFound: it is gone.
        """
        if self.if_match is not None:
            tag = etag(present())
            if self.if_match.strip() != "*" and tag not in [part.strip() for part in self.if_match.split(",")]:
                raise PreconditionFailed(f"it has changed since: it is {tag} now")

    @contextmanager
    def posting(self, response: Response, body: BaseModel | None = None, *, dry_run: bool) -> Iterator["Posting"]:
        """One writing transaction that happens once for each Idempotency-Key.

        Raises:
            AnsweredBefore: it has happened; here is its answer.
            Conflict: under this key something else was asked.
        """
        with self.wiring.changing(dry_run=dry_run) as session:
            key = None if dry_run else self.idempotency_key
            posting = Posting(self, session, response, key, self._request_hash(body))
            posting.replay()
            yield posting

    def _request_hash(self, body: BaseModel | None) -> str:
        # Without passwords, whose hash could be guessed at; a retry with another one is taken for the same request.
        asked = without(SECRETS, body.model_dump(mode="json")) if body is not None else None
        return given_answers.request_hash(self.path, asked)


@dataclass(frozen=True, slots=True)
class Posting:
    """A POST while it is carried out."""

    caller: Caller
    session: Session
    response: Response
    key: str | None
    request: str

    def replay(self) -> None:
        """Go on unless it was answered before."""
        if self.key is not None:
            given = given_answers.find(self.session, self.key, self.request, actor=self.caller.actor)
            if given is not None:
                kept = given[1] or {}
                raise AnsweredBefore(given[0], kept.get("body"), kept.get("headers", {}))

    def answer(self, shown: "Shown", *, location: str | None = None, status: int | None = None) -> "Shown":
        """*shown*, as what is answered; with *location*, as what was made there. A secret is not kept for a repetition."""
        if location is not None:
            self.response.headers["Location"] = f"/api/v1{location}"
        self.response.headers["ETag"] = etag(shown)
        if self.key is not None:
            headers = {name: self.response.headers[name] for name in KEPT_HEADERS if name in self.response.headers}
            kept = {"body": without(SHOWN_ONCE, shown.model_dump(mode="json")), "headers": headers}
            status = status or (201 if location is not None else 200)
            given_answers.keep(self.session, self.key, self.request, status, kept, actor=self.caller.actor)
        return shown


def without(names: AbstractSet[str], value: Any) -> Any:  # noqa: ANN401 - JSON
    """*value* less all members called one of *names*, however deep."""
    if isinstance(value, dict):
        return {name: without(names, member) for name, member in value.items() if name not in names}
    return [without(names, member) for member in value] if isinstance(value, list) else value


SHOWN_ONCE = frozenset({"secret", "link", "one_time_password"})
KEPT_HEADERS = ("location", "etag")
SECRETS = {"password", "password_hash", "source_password", "key", "private_key"}
Shown = TypeVar("Shown", bound=BaseModel)


async def only_known(request: Request) -> None:
    """Go on when the operation knows every parameter of the query: a misspelt `dry_run` would otherwise change things.

    Raises:
        Invalid: one is not known, or given twice.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    known = _parameters(request.scope["route"].dependant)
    for name, times in given.items():
        if name not in known:
            raise Invalid(f"there is no parameter {name[:80]!r} here", code="unknown_parameter", field=name[:80])
        if times > 1:
            raise Invalid(f"{name} is given {times} times", code="repeated_parameter", field=name)


def _parameters(dependant: Dependant) -> set[str]:
    found = {parameter.alias for parameter in dependant.query_params}
    return found.union(*(_parameters(inner) for inner in dependant.dependencies))


def told(response: Response, shown: Shown, *, tag_of: BaseModel | None = None) -> Shown:
    """*shown*, with its entity tag in the answer's header, or that *tag_of* something else."""
    response.headers["ETag"] = etag(tag_of or shown)
    return shown


def etag(row: object) -> str:
    """The entity tag of *row* (RFC 9110 8.8.3): its version, which rises with each change; without one, a digest of it."""
    version = getattr(row, "version", None)
    if version is not None:
        return f'"{version}"'
    assert isinstance(row, BaseModel)  # what has no version of its own is compared as it is shown
    return f'"{hashlib.blake2b(row.model_dump_json(exclude=set(SHOWN_ONCE)).encode(), digest_size=8).hexdigest()}"'


def caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(describe_key)]
) -> Caller:
    """Whom the presented key stands for.

    Raises:
        NotSignedIn: there is none, or it is not good.
        TooManyRequests: it has used its allowance up.
        AuthenticatorAway: nobody can tell.
    """
    within = together.inside()
    if within is not None:  # Whoever asked for all of it has shown his key.
        return Caller(within.actor, within.wiring, request.url.path)
    if credentials is None:
        raise NotSignedIn("present a key: Authorization: Bearer pk_…")
    wiring = wiring_of(request)
    public_id, secret = keys.split(credentials.credentials)
    with wiring.reading() as session:
        # First the database: it knows of a revocation before the snapshot does.
        actor = keys.actor_of(session, public_id, source=client_of(request))
    standing = wiring.allowance.take(actor)
    allowance.note(request.state, standing)
    if standing is not None and standing.wait_seconds:
        raise TooManyRequests(standing.wait_seconds)
    if not wiring.authenticator.verify_key(public_id, secret):
        raise NotSignedIn("this is not a key of ours", code="bad_key")
    return Caller(actor, wiring, request.url.path)


# What follows is async though it waits for nothing: FastAPI would hand it to a thread and back, which costs more than it does.
IfMatch = Annotated[
    # Not in the document as a parameter: there is no form of it that could not be refused. `document` tells of it in words.
    str | None, Header(include_in_schema=False)
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="any text of your own: repeated with the same one, the request is not carried out twice",
    ),
]


async def changer(asking: Annotated[Caller, Depends(caller)], if_match: IfMatch = None) -> Caller:
    """As `caller`, for what changes an object."""
    return replace(asking, if_match=if_match)


async def poster(asking: Annotated[Caller, Depends(changer)], idempotency_key: IdempotencyKey = None) -> Caller:
    """As `changer`, for what must not happen twice."""
    return replace(asking, idempotency_key=idempotency_key)


async def maker(asking: Annotated[Caller, Depends(caller)], idempotency_key: IdempotencyKey = None) -> Caller:
    """As `caller`, for what makes an object."""
    return replace(asking, idempotency_key=idempotency_key)


Asking = Annotated[Caller, Depends(caller)]
Changing = Annotated[Caller, Depends(changer)]
Ordering = Annotated[Caller, Depends(poster)]
Making = Annotated[Caller, Depends(maker)]
Limit = Annotated[int, Query(ge=1, le=500, description="how many at most, 1 to 500")]
TenantNumber = Annotated[int, Path(ge=0, le=LARGEST, examples=[2])]
TenantId = Annotated[int | None, Query(ge=0, le=LARGEST, description="only of this tenant")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
Search = Annotated[str, Query(max_length=254, description="only what has this in its name")]
DryRun = Annotated[bool, Query(description="check everything, change nothing")]


def given(change: BaseModel) -> Mapping[str, Any]:
    """What a PATCH names, with null where null was said: what is left out stays as it is."""
    return change.model_dump(exclude_unset=True)


def seconds(asked: Mapping[str, Any]) -> dict[str, Any]:
    """*asked*, with moments as the services count them."""
    return {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in asked.items()}
