"""All pages of the panel, in the order in which their addresses are tried."""

from fastapi import APIRouter

from web.panel import (
    accounts,
    aliases,
    audit,
    autoreplies,
    certificates,
    client_setup,
    consents,
    dkim,
    dns,
    domains,
    home,
    imports,
    jobs,
    keys,
    mailboxes,
    messages,
    people,
    plans,
    protection,
    queue,
    removals,
    sending,
    start,
    tenants,
    ways_out,
    webhooks,
)

router = APIRouter()
# Before domains, whose pages would else take "new" for a domain's name, come those that stand below a domain.
for module in (
    start,
    home,
    consents,
    protection,
    dkim,
    dns,
    people,
    sending,
    autoreplies,
    mailboxes,
    aliases,
    client_setup,
    domains,
    tenants,
    plans,
    ways_out,
    certificates,
    keys,
    webhooks,
    accounts,
    imports,
    jobs,
    messages,
    queue,
    removals,
    audit,
):
    router.include_router(module.router)
