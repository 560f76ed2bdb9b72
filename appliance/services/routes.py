"""Routes: where mail goes on to instead of by MX, how well the way there is to be secured, and with which login.

A reader would otherwise get wrong: there are two kinds of customers' routes. `@example.com` is for what example.com *sends*
(a smarthost with a login, an address of its own to send from); `example.com` is for what is sent *to* it, and is a customer's
only where the domain is relayed for him. All other mail is the operator's to route: a route for somebody else's domain would
be a way to read other customers' mail.
"""

import ipaddress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Invalid, NotFound
from appliance.models import Domain, Route, Tenant
from appliance.services import addresses, audit, authorisation, changes
from appliance.services.actor import Actor
from appliance.services.relays import parse_next_hop, require_public

__all__ = ["SMARTHOST", "TLS", "Route", "Wanted", "get", "list_routes", "put", "remove"]

SMARTHOST = "*"
TLS = ("none", "may", "verify", "dane")
_LONGEST_LOGIN = 255


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a route is to be; None: as it is. Empty texts take away."""

    next_hop: str | None = None
    tls: str | None = None
    lmtp: bool | None = None
    login: str | None = None
    sealed_password: str | None = None
    source_address: str | None = None


def list_routes(session: Session, *, actor: Actor) -> list[Route]:
    """The routes in the actor's part: an operator's are all, a customer's those of his domains."""
    wanted = select(Route).outerjoin(Domain, Domain.id == Route.domain_id)
    if not actor.sees_everything:
        wanted = authorisation.restrict(wanted.where(Route.domain_id.is_not(None)), actor, Domain)
    return list(session.scalars(wanted.order_by(Route.key)).unique())


def get(session: Session, key: str, *, actor: Actor) -> Route:
    """The route *key*.

    Raises:
        Invalid: no route can be called so.
        Conflict: it is a domain whose mail stays here.
        NotFound: there is none, or it is not the actor's.
    """
    name, _ = _place(session, key, actor, "domain.see")
    return _found(session, name)


def put(session: Session, key: str, wanted: Wanted, *, actor: Actor) -> Route:
    """Make the route *key*, or change what is given of it.

    Raises:
        Invalid: no such demand on TLS, or an address that is none.
        Conflict: a login without a password, without a next hop, or in the clear.
        NotFound, Forbidden: the key, the next hop or the address is not the actor's to use.
    """
    name, domain = _place(session, key, actor, "domain.route")
    route = session.scalar(select(Route).where(Route.key == name))
    is_new = route is None
    if route is None:
        route = Route(key=name, domain=domain, tls="may", lmtp=False)
    before = {} if is_new else _describe(route)
    _change(route, wanted, actor)
    _check(route)
    session.add(route)
    before, after = audit.difference(before, _describe(route))
    if after or wanted.sealed_password is not None:
        route.version = 1 if is_new else route.version + 1
        session.flush()
        _tell(session, actor, "route.added" if is_new else "route.changed", route, before=before, after=after)
    return route


def remove(session: Session, key: str, *, actor: Actor) -> None:
    """Remove the route; mail goes by the next best from then on, also what waits already.

    Raises:
        Invalid, NotFound, Forbidden: there is none that is the actor's.
    """
    name, _ = _place(session, key, actor, "domain.route")
    route = _found(session, name)
    _tell(session, actor, "route.removed", route, before=_describe(route))
    session.delete(route)
    session.flush()


def _found(session: Session, name: str) -> Route:
    route = session.scalar(select(Route).where(Route.key == name))
    if route is None:
        raise NotFound(f"there is no route {name}")
    return route


def _place(session: Session, key: str, actor: Actor, action: str) -> tuple[str, Domain | None]:
    """The key in one spelling, and whose domain it is; None: it is the operator's."""
    plain = key.strip()
    if plain == SMARTHOST:
        authorisation.require_operator(actor, f"route {plain}")
        return plain, None
    is_sender = plain.startswith("@")
    label = addresses.parse_domain(plain.removeprefix("@"), "key")
    domain = addresses.domain_named(session, label)
    if is_sender or (domain is not None and domain.kind == "relay"):
        domain = authorisation.require(session, actor, action, domain, f"domain {label}")
        return ("@" if is_sender else "") + domain.name, domain
    authorisation.require_operator(actor, f"route {plain}")
    if domain is not None:
        raise Conflict(f"mail to {label} stays here; @{label} is for what it sends", code="not_relayed", field="key")
    return label, None


def _change(route: Route, wanted: Wanted, actor: Actor) -> None:
    if wanted.tls is not None:
        if wanted.tls not in TLS:
            raise Invalid(f"tls is one of {', '.join(TLS)}", field="tls")
        route.tls = wanted.tls
    if wanted.next_hop is not None:
        hop = parse_next_hop(wanted.next_hop) if wanted.next_hop.strip() else None
        if hop is not None and hop != route.next_hop:
            require_public(actor, hop)
        if hop != route.next_hop and wanted.sealed_password is None:
            # Else who may change the route but does not know the password could have it sent to a server of his own.
            route.login = route.sealed_password = None
        route.next_hop = hop
    route.lmtp = route.lmtp if wanted.lmtp is None else wanted.lmtp
    if wanted.login is not None:
        route.login = _login(wanted.login)
        route.sealed_password = route.sealed_password if route.login else None
    if wanted.sealed_password is not None:
        route.sealed_password = wanted.sealed_password or None
    if wanted.source_address is not None:
        _set_source_address(route, wanted.source_address.strip(), actor)


def _login(text: str) -> str | None:
    if len(text) > _LONGEST_LOGIN or not text.isprintable():
        raise Invalid(f"login is a name of at most {_LONGEST_LOGIN} characters", field="login")
    return text.strip() or None


def _set_source_address(route: Route, text: str, actor: Actor) -> None:
    if not text:
        route.source_address = None
        return
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError as error:
        raise Invalid(f"{text[:60]!r} is no IP address", field="source_address") from error
    if address != route.source_address and not actor.sees_everything:
        raise Forbidden(
            "only the operator may say from which of this machine's addresses mail goes", code="operators_address"
        )
    route.source_address = address


def _check(route: Route) -> None:
    if (route.login is None) != (route.sealed_password is None):
        raise Conflict("a login has a name and a password", code="half_a_login", field="login")
    if route.login is None:
        return
    if route.next_hop is None:
        raise Conflict("a login is for one server: name the next hop", field="next_hop")
    if route.tls not in ("verify", "dane"):
        raise Conflict("a password goes only to a server that proves who it is: tls is verify or dane", field="tls")


def _describe(route: Route) -> dict[str, Any]:
    return {
        "next_hop": route.next_hop,
        "tls": route.tls,
        "lmtp": route.lmtp,
        "login": route.login,
        "source_address": route.source_address,
    }


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    route: Route,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    operators = select(func.min(Tenant.id)).where(or_(Tenant.kind == "operator", Tenant.parent_id.is_(None)))
    tenant_id = route.domain.tenant_id if route.domain is not None else session.scalar(operators) or 0
    audit.record(
        session, actor, action, route.key, tenant_id=tenant_id, domain_id=route.domain_id, before=before, after=after
    )  # fmt: skip
    changes.announce(session, changes.ROUTE, route.key)
