"""All endpoints of the API, in the order in which its documentation shows them."""

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from web.api import (
    accounts,
    aliases,
    apply,
    appointments,
    audit,
    batch,
    certificates,
    disposables,
    dkim,
    docs,
    domains,
    events,
    explain,
    export,
    imports,
    jobs,
    keys,
    login_links,
    mailboxes,
    me,
    messages,
    patterns,
    plans,
    queue,
    recipients,
    removals,
    rules,
    sending,
    tenants,
    ways_out,
    webhooks,
)
from web.api.dependencies import describe_key, only_known

PREFIX = "/api/v1"


class _Noun(APIRouter):
    """Routes that are looked at for those paths alone that begin as one of theirs does.

    The framework would try every pattern of every noun, at each level of routers anew: a fifth of what a short request takes.
    """

    def __init__(self, noun: APIRouter) -> None:
        super().__init__(routes=noun.routes, responses=noun.responses)
        self._beginnings = {_beginning(route.path) for route in noun.routes if isinstance(route, APIRoute)}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the framework's."""
        path: str = scope["path"]
        if not path.startswith(PREFIX) or _beginning(path.removeprefix(PREFIX)) not in self._beginnings:
            return Match.NONE, {}
        return super().matches(scope)


def _beginning(path: str) -> str:
    return path[1:].partition("/")[0]


router = APIRouter()
router.include_router(docs.router)
for module in (
    me,
    sending,
    patterns,
    disposables,
    tenants,
    plans,
    accounts,
    appointments,
    domains,
    dkim,
    recipients,
    rules,
    mailboxes,
    aliases,
    removals,
    ways_out,
    certificates,
    keys,
    login_links,
    audit,
    messages,
    queue,
    export,
    imports,
    batch,
    apply,
    jobs,
    events,
    webhooks,
    explain,
):
    noun = (
        "routes" if module is ways_out else module.__name__.rpartition(".")[2].replace("_", "-")
    )  # this module has that name
    router.include_router(
        _Noun(module.router), prefix=PREFIX, tags=[noun], dependencies=[Depends(describe_key), Depends(only_known)]
    )
