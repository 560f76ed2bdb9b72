"""Relayed domains: where their mail goes on to, and who knows their recipients.

A reader would otherwise get wrong: what is typed here makes a process of ours open connections. So only an operator names a
server in his own network (LDAP, a hook, a private address); everybody else names a public one.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.errors import Forbidden, Invalid
from appliance.models import Domain
from appliance.services import addresses
from appliance.services.actor import Actor

__all__ = ["SETTINGS", "SOURCES", "Route", "parse_next_hop", "require_public", "set_route"]

SOURCES = ("", "list", "ldap", "call-ahead", "hook")
# Of each source: its settings, with what is taken when nothing is said; None: something must be.
SETTINGS: dict[str, dict[str, str | None]] = {
    "": {},
    "list": {},
    "ldap": {"url": None, "base": None, "filter": "(mail=%s)", "bind_dn": ""},
    "call-ahead": {},
    "hook": {"address": None},
}
_OPERATORS_SOURCES = ("ldap", "hook")
_LONGEST = 1000
_DEFAULT_PORT = 25


def parse_next_hop(text: str, field: str = "next_hop") -> str:
    """`host:port` in one spelling; without a port, 25.

    Raises:
        Invalid: neither a name nor an address, or no port.
    """
    host, port = _split(text.strip(), field)
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        host = addresses.parse_domain(host, field)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str, field: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") > 1:
        host, colon, port = text, "", ""  # an IPv6 address alone
    else:
        host, colon, port = text.partition(":")
    if not colon and not port:
        return host, _DEFAULT_PORT
    if colon != ":" or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 1 << 16:
        raise Invalid(f"{text[:80]!r} is not a host and a port such as mail.example.net:25", field=field)
    return host, int(port)


@dataclass(frozen=True, slots=True)
class Route:
    """What is to be changed of where a domain's mail goes on to; None: leave it. An empty *sealed_secret* takes it away."""

    next_hop: str | None = None
    source: str | None = None
    settings: Mapping[str, str] | None = None
    sealed_secret: str | None = None


def set_route(domain: Domain, actor: Actor, route: Route) -> None:
    """Change what is given of where the domain's mail goes on to and who knows its recipients.

    A new source begins without the former one's settings and password.

    Raises:
        Invalid: a next hop or setting that makes no sense, or one that is missing.
        Forbidden: only an operator may name a server of that kind.
    """
    if route.next_hop is not None:
        hop = parse_next_hop(route.next_hop)
        if hop != domain.next_hop:
            require_public(actor, hop)
        domain.next_hop = hop
    source, settings = route.source, route.settings
    if source is not None and source not in SOURCES:
        raise Invalid(f"source is one of {', '.join(SOURCES[1:])}, or empty", field="source")
    if source is not None and source != domain.source:
        domain.source, domain.source_settings, domain.sealed_secret = source, {}, None
        settings = settings or {}
    if settings is not None:
        if domain.source in _OPERATORS_SOURCES and not actor.sees_everything:
            raise Forbidden("only the operator may name a directory or hook of his network", code="operators_source")
        domain.source_settings = _checked(domain.source, {**domain.source_settings, **settings})
    if route.sealed_secret is not None:
        if domain.source != "ldap":
            raise Invalid("only a source of kind ldap takes a password", field="source_password")
        domain.sealed_secret = route.sealed_secret or None


def require_public(actor: Actor, hop: str) -> None:
    """Go on when *actor* may have mail sent to *hop* (as `parse_next_hop` writes it).

    Raises:
        Forbidden: it is an address of the operator's own network.
    """
    host = hop.rpartition(":")[0].strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # A name; whoever connects looks at what it leads to.
    if not actor.sees_everything and not address.is_global:
        raise Forbidden("only the operator may relay to an address of his own network", code="operators_next_hop")


def _checked(source: str, settings: Mapping[str, str]) -> dict[str, str]:
    known = SETTINGS[source]
    for name, value in settings.items():
        if name not in known:
            raise Invalid(f"a source of kind {source or 'none'} has no setting {name[:40]!r}", field="source_settings")
        if len(value) > _LONGEST or not value.isprintable():
            raise Invalid(f"{name} is a text of at most {_LONGEST} characters", field=f"source_settings.{name}")
    found = {name: settings.get(name, "").strip() or default for name, default in known.items()}
    for name, setting in found.items():
        if setting is None:
            raise Invalid(f"a source of kind {source} wants {name}", field=f"source_settings.{name}")
    whole = {name: setting for name, setting in found.items() if setting}
    _CHECKS.get(source, lambda _: None)(whole)
    return whole


def _check_ldap(settings: Mapping[str, str]) -> None:
    parts = urlsplit(settings["url"])
    if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise Invalid("url is such as ldaps://ldap.example.net", field="source_settings.url")
    if settings["filter"].count("%s") != 1 or settings["filter"].count("(") != settings["filter"].count(")"):
        raise Invalid("filter is such as (mail=%s), with one %s for the address", field="source_settings.filter")


def _check_hook(settings: Mapping[str, str]) -> None:
    address = settings["address"]
    if not address.startswith("/"):
        parse_next_hop(address, "source_settings.address")


_CHECKS = {"ldap": _check_ldap, "hook": _check_hook}
