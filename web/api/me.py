"""Whom a key acts for."""

from fastapi import APIRouter

from web.api.dependencies import Asking, refusals
from web.api.schemas.me import Me

router = APIRouter(responses=refusals())


@router.get("/me", summary="Whom the key acts for")
def me(asking: Asking) -> Me:
    """A good first call: it says whether the key works, and for which part of the house."""
    return Me.model_validate(asking.actor)
