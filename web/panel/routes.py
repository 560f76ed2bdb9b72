"""All pages of the panel, in the order in which their addresses are tried."""

from fastapi import APIRouter

from web.panel import (
    aliases,
    audit,
    certificates,
    consents,
    dkim,
    domains,
    keys,
    mailboxes,
    protection,
    sending,
    start,
    tenants,
    ways_out,
)

router = APIRouter()
# Before domains, whose pages would else take "new" for a domain's name, come those that stand below a domain.
for module in (
    start,
    consents,
    protection,
    dkim,
    sending,
    mailboxes,
    aliases,
    domains,
    tenants,
    ways_out,
    certificates,
    keys,
    audit,
):
    router.include_router(module.router)
