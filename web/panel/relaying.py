"""The part of a form that says where a domain's mail goes on to and who knows its recipients."""

from appliance.errors import ApplianceError
from appliance.services.relays import SETTINGS, Route
from web.panel.desk import Desk
from web.panel.rendering import Typed

RELAY_FIELDS = ("next_hop", "source", "url", "base", "filter", "bind_dn", "address", "source_password")
SOURCES = (
    ("", "Nobody: take all of them"),
    ("list", "A list that is uploaded here"),
    ("call-ahead", "The next server itself, asked for each address"),
    ("ldap", "A directory (LDAP)"),
    ("hook", "A program of the operator's (hook)"),
)


def sources_for(desk: Desk, present: str = "") -> list[tuple[str, str]]:
    """Who he may say knows recipients, and who does at *present*: a directory or a hook only an operator may name."""
    mine = SOURCES if desk.actor.sees_everything else SOURCES[:3]
    return [source for source in SOURCES if source in mine or source[0] == present]


def route_in(desk: Desk, form: Typed) -> Route:
    """What a form says about relaying; the fields of other sources than the chosen one count for nothing."""
    settings = {name: form[name].strip() for name in SETTINGS.get(form["source"], {})}
    password = form["source_password"]
    sealed = desk.wiring.seals.source_secret(password) if password and form["source"] == "ldap" else None
    # Whoever may not change them was not shown them either.
    return Route(form["next_hop"], form["source"], settings if desk.actor.sees_everything else None, sealed)


def as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it."""
    field = (refusal.field or "").removeprefix("source_settings.")
    refusal.field = {"expires_at": "expires", "source_settings": "source"}.get(field, field)
    return refusal
