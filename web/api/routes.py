"""All endpoints of the API, in the order in which its documentation shows them."""

from fastapi import APIRouter, Depends

from web.api import (
    accounts,
    aliases,
    apply,
    appointments,
    audit,
    batch,
    certificates,
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

router = APIRouter()
router.include_router(docs.router)
for module in (
    me,
    sending,
    patterns,
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
        module.router, prefix="/api/v1", tags=[noun], dependencies=[Depends(describe_key), Depends(only_known)]
    )
