"""Whom a key acts for."""

from fastapi import APIRouter

from web.api.dependencies import Asking, refusals
from web.api.schemas.me import Me

router = APIRouter(responses=refusals())


@router.get("/me", summary="Whom the key acts for")
def me(asking: Asking) -> Me:
    """A good first call: it says whether the key works, and for which part of the house."""
    actor = asking.actor
    limits = {
        name: None if limit is None else sorted(limit)
        for name, limit in (("actions", actor.actions), ("addresses", actor.addresses))
    }
    return Me(kind=actor.kind, name=actor.name, tenant_id=actor.tenant_id, domain_id=actor.domain_id, **limits)
