"""Every operation of API and panel, by every kind of actor, on what is his, what is a stranger's, and what is above him.

The operations come from the application's own routes. For each there is a line in RULES that says who may do it to what is his;
what becomes of it elsewhere follows. A route without a line fails `test_every_route_has_its_line`: write one when you add a route.

A reader would otherwise get wrong: nothing is changed here. All transactions are taken back at their end, so the same world
serves all, and every deed is tried on it as it was.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.routing import iter_route_contexts
from sqlalchemy import select
from starlette.requests import Request
from starlette.testclient import TestClient

from appliance import consent_links, signing_keys
from appliance.consent_links import Question
from appliance.database.session import Session, unit_of_work
from appliance.models import ConsentRequest, Instance
from appliance.services import (
    access_rules,
    accounts,
    aliases,
    appointments,
    autoreplies,
    certificates,
    disposables,
    domains,
    forwardings,
    jobs,
    keys,
    mailboxes,
    passwords,
    plans,
    routes,
    senders,
    sessions,
    tenants,
    webhooks,
)
from appliance.services.actor import Actor, Part
from appliance.services.relays import Route
from tests.fixtures.panel import HOST, Office, make_office
from web.api.dependencies import Caller, caller
from web.panel.desk import Desk, changing_password
from web.panel.forms import Chosen, Sent, read_chosen, read_form, read_sent
from web.panel.me import Me
from web.panel.rendering import Typed
from web.wiring import Wiring, wiring_of

SYSTEM = Actor("system", "test")
OWN, FOREIGN, HIGHER = "own", "foreign", "higher"
DONE, FORBIDDEN, HIDDEN = "done", "forbidden", "hidden"

# Who may do it to what is his. O operator, R reseller, C customer, D domain administrator, F one with the right `aliases`
# alone, S support of the reseller, M owner of the mailbox, K a key for the domain's name alone. An operator may everywhere.
ROLES = "ORCDFSMK"
IN_TENANT = "ORC"
IN_DOMAIN = "ORCDK"
SEES_DOMAIN = "ORCDFSK"
SEES_TENANT = "ORCS"
ALL = ROLES


@dataclass(frozen=True)
class Rule:
    """Who may, to what of theirs, asked how."""

    who: str
    noun: str  # what of the Side stands in the path, or decides
    body: Any = None
    also: tuple[int, ...] = ()  # statuses that are no refusal of who asks: there is nothing to be done at the moment
    door: str = ALL  # others are turned away (403) whatever they name
    path: dict[str, str] = field(default_factory=dict)
    hides: bool = True  # what he may not see is answered as what is not there
    is_power: bool = False  # over whose the mailbox is: not for those below him, though it is only a look
    spares_root: bool = False  # nobody does it to the operator's own tenant


@dataclass(frozen=True)
class Side:
    """What is whose: names of everything that a path can name."""

    domain: str
    relay: str
    mailbox: str
    alias: str
    tenant: int
    reseller: int
    account: str
    key: str
    certificate: int
    domain_rule: int
    mailbox_rule: int
    plan: int
    appointment: int
    job: str
    clerk: str  # an account for the domain alone
    webhook: str
    delivery: int
    login: int
    removal: int
    disposable: str
    app_password: str = "phone"


def api(verb: str, path: str) -> tuple[str, str]:
    return verb, f"/api/v1{path}"


_RULE = {"verb": "deny", "pattern": "192.0.2.1"}
_ROUTE = {"tls": "verify"}
_LONG = "a calm long password"
_N, _NAMED = "/accounts/{name}", {"name": "account"}
_W, _HOOKED = "/webhooks/{public_id}", {"public_id": "webhook", "number": "delivery"}
_A, _D, _T = "/mailboxes/{address:path}", "/domains/{name}", "/tenants/{tenant_id}"

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/api/v1/openapi.json"): Rule(ALL, "nothing"),
    api("GET", "/docs"): Rule(ALL, "nothing"),
    api("GET", "/me"): Rule(ALL, "nothing"),
    api("POST", "/batch"): Rule(ALL, "nothing", {"operations": [{"method": "GET", "path": "/domains"}]}),
    api("PUT", "/apply"): Rule(ALL, "nothing", {}),
    api("POST", "/import"): Rule(ALL, "nothing", {"csv": "kind,address\nmailbox,new@own.test\n"}),
    api("GET", "/explain"): Rule(
        ALL, "nothing", also=(422,)
    ),  # about what stands in its query: tests/web/test_explain.py
    api("GET", "/jobs/{job}"): Rule(SEES_TENANT, "job", path={"job": "job"}),
    api("GET", "/jobs/{job}/results"): Rule(SEES_TENANT, "job", path={"job": "job"}),
    api("DELETE", "/jobs/{job}"): Rule(IN_TENANT, "job", path={"job": "job"}),
    api("GET", "/messages/{id}"): Rule(
        ALL, "nothing", also=(404,), path={"id": "key"}
    ),  # tests/appliance/services/test_messages.py
    # Lists hold what is in one's part, and be it nothing.
    **{
        api("GET", f"/{noun}"): Rule(ALL, "nothing")
        for noun in (
            "tenants",
            "domains",
            "mailboxes",
            "aliases",
            "routes",
            "certificates",
            "keys",
            "audit",
            "audit/export",
            "messages",
            "export",
            "plans",
            "appointments",
            "events",
            "jobs",
            "webhooks",
            "accounts",
            "queue",
            "removals",
        )
    },
    # Tenants.
    api("POST", "/tenants"): Rule("OR", "reseller", {"name": "New", "parent_id": "{reseller}"}),
    api("GET", _T): Rule(SEES_TENANT, "tenant"),
    api("PATCH", _T): Rule("OR", "tenant", {"max_domains": 5}),
    api("DELETE", _T): Rule("OR", "tenant", also=(409,), spares_root=True),
    api("POST", f"{_T}/suspend"): Rule("OR", "tenant", spares_root=True),
    api("POST", f"{_T}/resume"): Rule("OR", "tenant"),
    api("GET", f"{_T}/sending"): Rule(SEES_TENANT, "tenant"),
    api("PATCH", f"{_T}/sending"): Rule("OR", "tenant", {"per_hour": 5}),
    # Domains.
    api("POST", "/domains"): Rule(IN_TENANT, "tenant", {"name": "new.test", "tenant_id": "{tenant}"}),
    api("GET", _D): Rule(SEES_DOMAIN, "domain"),
    api("PATCH", _D): Rule(IN_DOMAIN, "domain", {"greylist": True}),
    api("DELETE", _D): Rule("ORCK", "domain"),
    api("POST", f"{_D}/suspend"): Rule("ORCK", "domain"),
    api("POST", f"{_D}/resume"): Rule("ORCK", "domain"),
    api("GET", f"{_D}/dkim"): Rule(SEES_DOMAIN, "domain"),
    api("POST", f"{_D}/dkim/rotate"): Rule(IN_DOMAIN, "domain", also=(409,)),
    api("POST", f"{_D}/dkim/finish"): Rule(IN_DOMAIN, "domain", also=(409,)),
    api("GET", f"{_D}/sending"): Rule(SEES_DOMAIN, "domain"),
    api("PATCH", f"{_D}/sending"): Rule("ORCK", "domain", {"per_hour": 5}),
    api("GET", f"{_D}/recipients"): Rule(SEES_TENANT, "relay"),
    api("GET", f"{_D}/recipients/test"): Rule(IN_TENANT, "relay"),
    api("PUT", f"{_D}/recipients"): Rule(IN_TENANT, "relay", b"ann"),
    api("POST", f"{_D}/recipients"): Rule(IN_TENANT, "relay", b"ann"),
    api("POST", f"{_D}/recipients/remove"): Rule(IN_TENANT, "relay", b"ann"),
    api("GET", f"{_D}/dns"): Rule(SEES_DOMAIN, "domain"),
    api("POST", f"{_D}/proof"): Rule(IN_DOMAIN, "domain", {}),
    # Plans, and what somebody holds besides.
    api("POST", "/plans"): Rule("OR", "reseller", {"name": "New", "tenant_id": "{reseller}"}),
    api("GET", "/plans/{number}"): Rule("ORS", "plan", path={"number": "plan"}),
    api("PATCH", "/plans/{number}"): Rule("OR", "plan", {"max_domains": 1}, path={"number": "plan"}),
    api("DELETE", "/plans/{number}"): Rule("OR", "plan", path={"number": "plan"}),
    api("POST", "/appointments"): Rule("ORCK", "mailbox", {"holder": "{mailbox}", "domain": "{domain}"}, hides=False),
    api("GET", "/appointments/{number}"): Rule(SEES_TENANT, "appointment", path={"number": "appointment"}),
    api("DELETE", "/appointments/{number}"): Rule(IN_TENANT, "appointment", path={"number": "appointment"}),
    # Rules of the host, a domain, a mailbox.
    api("GET", "/rules"): Rule("O", "host"),
    api("POST", "/rules"): Rule("O", "host", _RULE),
    api("GET", "/rules/{rule}"): Rule("O", "host", path={"rule": "host_rule"}),
    api("PATCH", "/rules/{rule}"): Rule("O", "host", {"note": "x"}, path={"rule": "host_rule"}),
    api("DELETE", "/rules/{rule}"): Rule("O", "host", path={"rule": "host_rule"}),
    api("GET", f"{_D}/rules"): Rule(SEES_DOMAIN, "domain"),
    api("POST", f"{_D}/rules"): Rule(IN_DOMAIN, "domain", _RULE),
    api("GET", f"{_D}/rules/{{rule}}"): Rule(SEES_DOMAIN, "domain"),
    api("PATCH", f"{_D}/rules/{{rule}}"): Rule(IN_DOMAIN, "domain", {"note": "x"}),
    api("DELETE", f"{_D}/rules/{{rule}}"): Rule(IN_DOMAIN, "domain"),
    api("GET", f"{_A}/rules"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("POST", f"{_A}/rules"): Rule(IN_DOMAIN + "M", "mailbox", _RULE),
    api("GET", f"{_A}/rules/{{rule}}"): Rule(SEES_DOMAIN + "M", "mailbox", path={"rule": "mailbox_rule"}),
    api("PATCH", f"{_A}/rules/{{rule}}"): Rule(
        IN_DOMAIN + "M", "mailbox", {"note": "x"}, path={"rule": "mailbox_rule"}
    ),
    api("DELETE", f"{_A}/rules/{{rule}}"): Rule(IN_DOMAIN + "M", "mailbox", path={"rule": "mailbox_rule"}),
    # Mailboxes.
    api("POST", "/mailboxes"): Rule(IN_DOMAIN, "domain", {"address": "new@{domain}"}),
    api("GET", _A): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PATCH", _A): Rule(IN_DOMAIN, "mailbox", {"quota_bytes": 5}),
    api("DELETE", _A): Rule(IN_DOMAIN, "mailbox"),
    api("POST", f"{_A}/suspend"): Rule(IN_DOMAIN, "mailbox"),
    api("POST", f"{_A}/resume"): Rule(IN_DOMAIN, "mailbox"),
    api("PUT", f"{_A}/password"): Rule(IN_DOMAIN + "M", "mailbox", {"password": "a calm long password"}),
    api("POST", f"{_A}/password"): Rule(IN_DOMAIN + "M", "mailbox", {"password": "a calm long password"}),
    api("GET", f"{_A}/forwarding"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PUT", f"{_A}/forwarding"): Rule(IN_DOMAIN + "M", "mailbox", {"targets": [f"postmaster@{HOST}"]}),
    # Nobody elsewhere waits to be asked here: tests/web/test_consents.py.
    api("POST", f"{_A}/forwarding/ask"): Rule(IN_DOMAIN + "M", "mailbox", {"target": "ann@away.example"}, also=(404,)),
    api("DELETE", f"{_A}/forwarding"): Rule(IN_DOMAIN + "M", "mailbox"),
    api("GET", f"{_A}/autoreply"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PUT", f"{_A}/autoreply"): Rule(IN_DOMAIN + "M", "mailbox", {"text": "I am away."}),
    api("DELETE", f"{_A}/autoreply"): Rule(IN_DOMAIN + "M", "mailbox"),
    api("GET", f"{_A}/patterns"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PUT", f"{_A}/patterns"): Rule(IN_DOMAIN + "FM", "mailbox", {"patterns": []}),
    api("GET", f"{_A}/disposables"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("POST", f"{_A}/disposables"): Rule(IN_DOMAIN + "FM", "mailbox", {"word": "shop"}),
    api("PATCH", f"{_A}/disposables/{{disposable}}"): Rule(IN_DOMAIN + "FM", "mailbox", {"enabled": False}),
    api("DELETE", f"{_A}/disposables/{{disposable}}"): Rule(IN_DOMAIN + "FM", "mailbox"),
    api("GET", f"{_A}/app-passwords"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("POST", f"{_A}/app-passwords"): Rule(IN_DOMAIN + "M", "mailbox", {"name": "new"}),
    api("DELETE", f"{_A}/app-passwords/{{name}}"): Rule(IN_DOMAIN + "M", "mailbox", path={"name": "app_password"}),
    api("GET", f"{_A}/senders"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PUT", f"{_A}/senders/{{sender}}"): Rule(IN_DOMAIN, "mailbox", path={"sender": "alias"}),
    api("DELETE", f"{_A}/senders/{{sender}}"): Rule(IN_DOMAIN, "mailbox", path={"sender": "alias"}),
    api("GET", f"{_A}/sending"): Rule(SEES_DOMAIN + "M", "mailbox"),
    api("PATCH", f"{_A}/sending"): Rule(IN_DOMAIN, "mailbox", {"per_hour": 5}),
    api("POST", f"{_A}/sending/release"): Rule(IN_DOMAIN, "mailbox", also=(409,)),
    api("POST", "/login-links"): Rule("ORCK", "mailbox", {"name": "{mailbox}"}),
    # Aliases.
    api("POST", "/aliases"): Rule(
        IN_DOMAIN + "F", "domain", {"address": "new@{domain}", "targets": [f"postmaster@{HOST}"]}
    ),
    api("GET", "/aliases/{address:path}"): Rule(SEES_DOMAIN, "alias"),
    api("PATCH", "/aliases/{address:path}"): Rule(IN_DOMAIN + "F", "alias", {"targets": [f"postmaster@{HOST}"]}),
    api("DELETE", "/aliases/{address:path}"): Rule(IN_DOMAIN + "F", "alias"),
    # Removals: here, one of a mailbox.
    api("GET", "/removals/{number}"): Rule(SEES_DOMAIN, "removal", path={"number": "removal"}),
    api("POST", "/removals/{number}/undo"): Rule(IN_DOMAIN, "removal", path={"number": "removal"}),
    api("DELETE", "/removals/{number}"): Rule(IN_DOMAIN, "removal", path={"number": "removal"}),
    # Routes, certificates, keys.
    api("GET", "/routes/{key}"): Rule(SEES_DOMAIN, "domain", path={"key": "route"}),
    api("PUT", "/routes/{key}"): Rule("ORCK", "domain", _ROUTE, path={"key": "route"}),
    api("DELETE", "/routes/{key}"): Rule("ORCK", "domain", path={"key": "route"}),
    api("POST", "/certificates"): Rule(IN_TENANT, "pem", {"chain": "{chain}", "key": "{private_key}"}, hides=False),
    api("GET", "/certificates/{number}"): Rule(SEES_TENANT, "certificate"),
    api("DELETE", "/certificates/{number}"): Rule(IN_TENANT, "certificate"),
    api("POST", "/keys"): Rule(IN_TENANT, "tenant", {"tenant_id": "{tenant}"}),
    api("GET", "/keys/{public_id}"): Rule(SEES_TENANT, "key"),
    api("DELETE", "/keys/{public_id}"): Rule(IN_TENANT, "key"),
    # Accounts.
    api("POST", "/accounts"): Rule(IN_TENANT, "tenant", {"name": "new", "tenant_id": "{tenant}", "password": _LONG}),
    api("GET", _N): Rule(SEES_TENANT, "account", path=_NAMED),
    api("PATCH", _N): Rule(IN_TENANT, "account", {}, path=_NAMED),
    api("DELETE", _N): Rule(IN_TENANT, "account", path=_NAMED),
    api("POST", f"{_N}/password"): Rule(IN_TENANT, "account", {"password": _LONG}, path=_NAMED),
    api("GET", f"{_N}/sessions"): Rule(SEES_TENANT, "account", path=_NAMED),
    api("DELETE", f"{_N}/sessions"): Rule(IN_TENANT, "account", path=_NAMED),
    api("DELETE", f"{_N}/sessions/{{number}}"): Rule(IN_TENANT, "account", path=_NAMED | {"number": "login"}),
    # The queue, in which nothing waits here: tests/web/test_queue.py.
    api("GET", "/queue/{queue_id}"): Rule(ALL, "nothing", also=(404,), path={"queue_id": "key"}),
    api("DELETE", "/queue/{queue_id}"): Rule(ALL, "nothing", also=(404,), path={"queue_id": "key"}),
    api("POST", "/queue/{queue_id}/{deed}"): Rule(
        ALL, "nothing", also=(404, 422), path={"queue_id": "key", "deed": "key"}
    ),
    api("POST", "/queue/{deed}"): Rule(
        ALL, "nothing", {"domain": "nobody.test"}, also=(404, 422), path={"deed": "key"}
    ),
    # Webhooks.
    api("POST", "/webhooks"): Rule(IN_TENANT, "tenant", {"url": "https://x.test/", "tenant_id": "{tenant}"}),
    api("GET", _W): Rule(SEES_TENANT, "webhook", path=_HOOKED),
    api("PATCH", _W): Rule(IN_TENANT, "webhook", {"enabled": False}, path=_HOOKED),
    api("DELETE", _W): Rule(IN_TENANT, "webhook", path=_HOOKED),
    api("POST", f"{_W}/rotate"): Rule(IN_TENANT, "webhook", path=_HOOKED),
    api("POST", f"{_W}/test"): Rule(IN_TENANT, "webhook", path=_HOOKED),
    api("GET", f"{_W}/deliveries"): Rule(SEES_TENANT, "webhook", path=_HOOKED),
    api("GET", f"{_W}/deliveries/{{number}}"): Rule(SEES_TENANT, "webhook", path=_HOOKED),
    api("POST", f"{_W}/deliveries/{{number}}/repeat"): Rule(IN_TENANT, "webhook", path=_HOOKED),
}


def form(verb: str, path: str, rule: Rule) -> tuple[tuple[str, str], Rule]:
    return (verb, path), rule


_PERSON = {"account": "clerk", "number": "appointment"}
_MANAGES = "ORCDFSK"  # who has pages about more than a mailbox
_RESELLS = "OR"
_OWN = Rule(ALL, "nothing", also=(404,), path={"number": "login"})
_OWN_PAGES = [
    ("GET", "sign-in", _OWN),
    *(("POST", path, _OWN) for path in ("sessions/end", "sessions/{number:int}/end")),
    ("GET", "second-step", _OWN),
    ("GET", "recovery", _OWN),
    *(("POST", path, Rule("", "nothing", {"password": "x"}, hides=False)) for path in ("recovery", "recovery/remove")),
    ("GET", "time", Rule(ALL, "nothing")),
    ("POST", "time", Rule("", "nothing", {"time_zone": "Mars"}, hides=False)),
    ("GET", "app", _OWN),
    # Each of them wants his password, which nobody shows here.
    *(
        ("POST", path, Rule("", "nothing", {"password": "x"}, path={"number": "login"}, hides=False))
        for path in ("app", "app/remove", "backup-codes", "passkeys/begin", "passkeys", "passkeys/{number:int}/remove")
    ),
]
_PAGES: list[tuple[tuple[str, str], Rule]] = [
    form("GET", "/", Rule(ALL, "nothing")),
    form("GET", "/login", Rule(ALL, "nothing")),
    form("POST", "/login", Rule("", "nothing", {"name": "nobody", "password": "x"}, hides=False)),
    *(form(verb, "/login/forgotten", Rule(ALL, "nothing", {"name": "nobody"}, also=(429,))) for verb in ("GET", "POST")),
    # Whoever has the link: tests/web/test_recovery.py.
    *(
        form(verb, f"/recovery/{kind}/{{token}}", Rule("", "nothing", path={"token": "static"}, hides=False))
        for kind in ("confirm", "reset")
        for verb in ("GET", "POST")
    ),
    form("GET", "/login/code", Rule(ALL, "nothing")),
    *(form("POST", f"/login/passkey{deed}", Rule("", "nothing", hides=False)) for deed in ("", "/begin")),
    form("POST", "/login/code", Rule(ALL, "nothing", {"code": "123456"})),  # back to the gate: nobody is on the way in
    form("GET", "/login/link/{token}", Rule(ALL, "nothing", path={"token": "static"})),
    form("POST", "/login/link/{token}", Rule("", "nothing", path={"token": "static"}, hides=False)),
    form("POST", "/logout", Rule(ALL, "nothing")),
    form("POST", "/support/enter", Rule("OS", "mailbox", {"name": "{mailbox}"})),
    form("POST", "/support/leave", Rule(ALL, "nothing")),
    form("POST", "/theme", Rule(ALL, "nothing", {"theme": "dark"})),
    form("POST", "/language", Rule(ALL, "nothing", {"language": "de"})),
    form("GET", "/account/password", Rule(ALL, "nothing")),
    form("POST", "/account/password", Rule("", "nothing", {"present": "wrong", "password": "x", "again": "x"}, hides=False)),
    form(
        "POST", "/people/second-factor",
        Rule(IN_DOMAIN, "mailbox", {"name": "{mailbox}"}, also=(409,), door=_MANAGES, hides=False),
    ),
    # Everybody's own affairs; most who ask here have no account, so they are nobody's: tests/web/test_own_pages.py.
    *(form(verb, f"/account/{path}", rule) for verb, path, rule in _OWN_PAGES),
    form("GET", "/static/{name:path}", Rule(ALL, "nothing", path={"name": "static"})),
    form("GET", "/healthz", Rule(ALL, "nothing")),
    # What mail programs ask for before anybody has signed in: tests/web/test_client_setup.py.
    *(
        form(verb, path, Rule(ALL, "nothing", also=(404, 422)))
        for verb, path in (
            ("GET", "/mail/config-v1.1.xml"), ("GET", "/.well-known/autoconfig/mail/config-v1.1.xml"),
            ("GET", "/mail/profile.mobileconfig"), ("POST", "/autodiscover/autodiscover.xml"),
            ("POST", "/Autodiscover/Autodiscover.xml"),
        )
    ),
    # Whoever has the link, with an account or without.
    *(form(verb, "/consent/{token}", Rule(ALL, "nothing", path={"token": "consent"})) for verb in ("GET", "POST")),
    *(
        form("GET", path, Rule(ALL, "nothing", door=_MANAGES))
        for path in (
            "/domains", "/domains/new", "/routes", "/certificates", "/keys", "/keys/new", "/audit", "/audit/export", "/people",
            "/jobs", "/explain", "/webhooks", "/webhooks/new", "/queue",
            "/queue/remove", "/removals", "/import", "/import/sheet",
        )
    ),
    *(form("GET", path, Rule(_RESELLS, "nothing", door=_RESELLS)) for path in ("/tenants", "/tenants/new", "/plans", "/plans/new")),
    form("GET", "/messages", Rule(ALL, "nothing")),
    form("GET", "/traffic", Rule(ALL, "nothing")),
    form("GET", "/messages/{identity}", Rule(ALL, "nothing", also=(404,), path={"identity": "key"})),
    # The queue, in which nothing waits here: tests/web/test_panel_queue.py.
    form("POST", "/queue", Rule(_MANAGES, "nothing", {"deed": "hold", "domain": HOST}, also=(403, 404), door=_MANAGES)),
    form("GET", "/queue/{queue_id}", Rule(_MANAGES, "nothing", also=(404,), path={"queue_id": "key"}, door=_MANAGES)),
    form(
        "POST", "/queue/{queue_id}/{deed}",
        Rule(_MANAGES, "nothing", also=(404,), path={"queue_id": "key", "deed": "key"}, door=_MANAGES),
    ),
    # The house, of which nobody here could say how it stands: tests/web/test_isolation.py.
    form("GET", "/isolation", Rule("O", "host", also=(503,), door=_MANAGES)),
    form("POST", "/isolation/test", Rule("O", "host", {}, also=(503,), door=_MANAGES)),
    form("GET", "/isolation/{role}", Rule("O", "host", also=(503,), path={"role": "key"}, door=_MANAGES)),
    # What was removed.
    form("POST", "/removals/{number:int}/undo", Rule(IN_DOMAIN, "removal", path={"number": "removal"}, door=_MANAGES)),
    form("GET", "/removals/{number:int}/end", Rule(SEES_DOMAIN, "removal", path={"number": "removal"}, door=_MANAGES)),
    form(
        "POST", "/removals/{number:int}/end",
        Rule(IN_DOMAIN, "removal", {"confirm": "x"}, also=(422,), path={"number": "removal"}, door=_MANAGES, hides=False),
    ),
    # A sheet, of whose lines each is judged by itself: tests/web/test_panel_tenants.py.
    form("POST", "/import", Rule(_MANAGES, "nothing", {"csv": "kind,address\nmailbox,a@b.test"}, door=_MANAGES)),
    # Many at once, each of which is judged for itself: tests/web/test_bulk.py.
    form(
        "POST", "/bulk/choose",
        Rule(SEES_DOMAIN, "domain", {"noun": "mailbox", "domain": "{domain}", "all": "yes"}, door=_MANAGES),
    ),
    form(
        "POST", "/bulk",
        Rule(
            SEES_DOMAIN, "domain", {"noun": "mailbox", "domain": "{domain}", "all": "yes", "verb": "remove"}, also=(422,),
            door=_MANAGES,
        ),
    ),
    # Plans, jobs, webhooks.
    form("POST", "/webhooks", Rule(IN_TENANT, "tenant", {"url": "https://x.test/", "tenant_id": "{tenant}"}, door=_MANAGES)),
    form("GET", _W, Rule(SEES_TENANT, "webhook", path=_HOOKED, door=_MANAGES)),
    form("POST", _W, Rule(IN_TENANT, "webhook", {"url": "https://y.test/"}, path=_HOOKED, door=_MANAGES)),
    *(
        form("POST", f"{_W}{deed}", Rule(IN_TENANT, "webhook", path=_HOOKED, door=_MANAGES))
        for deed in ("/test", "/rotate", "/remove", "/deliveries/{number:int}/repeat")
    ),
    form("POST", "/plans", Rule(_RESELLS, "nothing", {"name": "New"}, door=_RESELLS)),
    form("GET", "/plans/{number:int}", Rule("ORS", "plan", path={"number": "plan"}, door=_MANAGES)),
    form("POST", "/plans/{number:int}", Rule(_RESELLS, "plan", {"name": "Other"}, path={"number": "plan"}, door=_MANAGES)),
    form("POST", "/plans/{number:int}/remove", Rule(_RESELLS, "plan", path={"number": "plan"}, door=_MANAGES)),
    form("GET", "/jobs/{job}", Rule(SEES_TENANT, "job", path={"job": "job"}, door=_MANAGES)),
    # Of an export that is over: tests/web/test_panel_imports.py.
    *(
        form("GET", f"/jobs/{{job}}/{what}", Rule(SEES_TENANT, "job", also=(404,), path={"job": "job"}, door=_MANAGES))
        for what in ("sheet", "document")
    ),
    form("POST", "/export", Rule(_MANAGES, "nothing", door=_MANAGES)),
    form("GET", "/jobs/{job}/refused", Rule(SEES_TENANT, "job", path={"job": "job"}, door=_MANAGES)),
    form("POST", "/jobs/{job}/cancel", Rule(IN_TENANT, "job", path={"job": "job"}, door=_MANAGES)),
    # It is done with the rights of who asked, so nobody else begins it; what it did is undone with one's own: test_bulk.py.
    form("POST", "/jobs/{job}/start", Rule("", "job", path={"job": "job"}, door=_MANAGES)),
    form("POST", "/jobs/{job}/passwords", Rule("", "job", path={"job": "job"}, door=_MANAGES)),
    form("POST", "/jobs/{job}/undo", Rule(IN_TENANT, "job", also=(409,), path={"job": "job"}, door=_MANAGES)),
    # Tenants.
    form("POST", "/tenants", Rule(_RESELLS, "reseller", {"name": "New", "parent_id": "{reseller}"}, door=_RESELLS)),
    form("GET", _T, Rule(SEES_TENANT, "tenant", door=_MANAGES)),
    form("POST", _T, Rule(_RESELLS, "tenant", {"name": "Other"})),
    form("POST", f"{_T}/suspend", Rule(_RESELLS, "tenant", spares_root=True)),
    form("POST", f"{_T}/resume", Rule(_RESELLS, "tenant")),
    form("POST", f"{_T}/remove", Rule(_RESELLS, "tenant", also=(409,), spares_root=True)),
    form("GET", f"{_T}/sending", Rule(SEES_TENANT, "tenant")),
    form("POST", f"{_T}/sending", Rule(_RESELLS, "tenant", {"per_hour": "5"})),
    form("POST", f"{_T}/administrators", Rule(IN_TENANT, "tenant", {"account": "new"})),
    form("POST", f"{_T}/administrators/{{account}}/reset", Rule(IN_TENANT, "account")),
    form("POST", f"{_T}/administrators/{{account}}/remove", Rule(IN_TENANT, "account")),
    form("POST", f"{_T}/appointments", Rule(IN_TENANT, "tenant", {"holder": "{mailbox}"}, hides=False)),
    form("POST", f"{_T}/appointments/{{number:int}}/dismiss", Rule("", "tenant", path={"number": "appointment"}, hides=False)),
    # Domains.
    form("POST", "/domains", Rule(IN_TENANT, "tenant", {"name": "new.test", "tenant_id": "{tenant}"}, door=_MANAGES)),
    *(form("GET", f"{_D}{tab}", Rule(SEES_DOMAIN, "domain")) for tab in ("", "/aliases", "/settings", "/protection")),
    *(form("GET", f"{_D}{tab}", Rule(SEES_DOMAIN, "domain")) for tab in ("/mailboxes", "/forwards", "/dns", "/dns/zone")),
    form("POST", f"{_D}/proof", Rule(IN_DOMAIN, "domain")),
    form("POST", f"{_D}/names", Rule(IN_DOMAIN, "domain", {"tag_separator": "-"})),
    form("POST", f"{_D}/limits", Rule("ORCK", "domain", {"max_mailboxes": "9"})),
    form("POST", f"{_D}/transfer", Rule("ORCK", "domain", {"tenant_id": "{tenant}"})),
    form("GET", f"{_D}/people", Rule("ORCSK", "domain")),
    form("POST", f"{_D}/people", Rule("ORC", "domain", {"account": "new"}, hides=False)),
    form("POST", f"{_D}/appointments", Rule("ORCK", "mailbox", {"holder": "{mailbox}"}, hides=False)),
    form("POST", f"{_D}/appointments/{{number:int}}/dismiss", Rule(IN_TENANT, "domain", path=_PERSON, hides=False)),
    form("GET", f"{_D}/people/{{account}}", Rule("ORCS", "domain", path=_PERSON, hides=False)),
    form("POST", f"{_D}/people/{{account}}", Rule("ORC", "domain", {"right_aliases": "yes"}, path=_PERSON, hides=False)),
    *(
        form("POST", f"{_D}/people/{{account}}/{deed}", Rule("ORC", "domain", path=_PERSON, hides=False))
        for deed in ("reset", "remove")
    ),
    form("GET", f"{_D}/signing", Rule(SEES_DOMAIN, "domain")),
    form("GET", f"{_D}/sending", Rule(SEES_DOMAIN, "domain")),
    form("GET", f"{_D}/remove", Rule(SEES_DOMAIN, "domain")),
    form("GET", f"{_D}/mailboxes/new", Rule(SEES_DOMAIN, "domain")),
    form("GET", f"{_D}/aliases/new", Rule(SEES_DOMAIN, "domain")),
    form("POST", f"{_D}/protection", Rule(IN_DOMAIN, "domain", {"validation": "data"})),
    form("POST", f"{_D}/language", Rule(IN_DOMAIN, "domain", {"language": "de"})),
    form("POST", f"{_D}/catch-all", Rule(IN_DOMAIN, "domain", {"catch_all": f"postmaster@{HOST}"})),
    form("POST", f"{_D}/relay", Rule(IN_TENANT, "relay", {"next_hop": "b.example.net:25", "source": "list"})),
    form("POST", f"{_D}/recipients", Rule(IN_TENANT, "relay", {"mode": "add", "recipients": "ann"})),
    form("POST", f"{_D}/rules", Rule(IN_DOMAIN, "domain", {"verb": "deny", "pattern": "192.0.2.1"})),
    form("POST", f"{_D}/rules/{{rule:int}}/remove", Rule(IN_DOMAIN, "domain")),
    form("POST", f"{_D}/signing/rotate", Rule(IN_DOMAIN, "domain", also=(409,))),
    form("POST", f"{_D}/signing/finish", Rule(IN_DOMAIN, "domain", also=(409,))),
    form("POST", f"{_D}/sending", Rule("ORCK", "domain", {"per_hour": "5"})),
    *(form("POST", f"{_D}/{deed}", Rule("ORCK", "domain")) for deed in ("suspend", "resume")),
    form("POST", f"{_D}/remove", Rule("ORCK", "domain", {"confirm": "{domain}"})),
    form("POST", f"{_D}/mailboxes", Rule(IN_DOMAIN, "domain", {"local_part": "new"})),
    form("POST", f"{_D}/aliases", Rule(IN_DOMAIN + "F", "domain", {"local_part": "new", "targets": f"postmaster@{HOST}"})),
    # The host's rules.
    form("GET", "/rules", Rule("O", "host", door=_MANAGES)),
    form("POST", "/rules", Rule("O", "host", _RULE, door=_MANAGES)),
    form("POST", "/rules/{rule:int}/remove", Rule("O", "host", path={"rule": "host_rule"}, door=_MANAGES)),
    # Mailboxes.
    *(form("GET", f"{_A}{tab}", Rule(SEES_DOMAIN + "M", "mailbox")) for tab in ("", "/sending", "/setup", "/away", "/addresses")),
    form("POST", f"{_A}/patterns", Rule(IN_DOMAIN + "FM", "mailbox", {"patterns": "{mailbox}"}, also=(422,))),
    form("POST", f"{_A}/addresses", Rule(IN_DOMAIN + "FM", "mailbox", {"word": "shop"})),
    *(
        form("POST", f"{_A}/addresses/{deed}", Rule(IN_DOMAIN + "FM", "mailbox", {"disposable": "{disposable}"}))
        for deed in ("switch", "change", "remove")
    ),
    form("POST", f"{_A}/away", Rule(IN_DOMAIN + "M", "mailbox", {"text": "I am away."})),
    form("POST", f"{_A}/away/clear", Rule(IN_DOMAIN + "M", "mailbox")),
    form("GET", f"{_A}/remove", Rule(IN_DOMAIN, "mailbox", is_power=True)),
    form("POST", f"{_A}/rules", Rule(IN_DOMAIN + "M", "mailbox", {"verb": "deny", "pattern": "192.0.2.1"})),
    form("POST", f"{_A}/rules/{{rule:int}}/remove", Rule(IN_DOMAIN + "M", "mailbox", path={"rule": "mailbox_rule"})),
    form("POST", f"{_A}/app-passwords", Rule(IN_DOMAIN + "M", "mailbox", {"name": "new"})),
    form("POST", f"{_A}/app-passwords/remove", Rule(IN_DOMAIN + "M", "mailbox", {"name": "phone"})),
    form("POST", f"{_A}/senders", Rule(IN_DOMAIN, "mailbox", {"sender": "{alias}"})),
    form("POST", f"{_A}/senders/remove", Rule(IN_DOMAIN, "mailbox", {"sender": "{alias}"})),
    form("POST", f"{_A}/limits", Rule(IN_DOMAIN, "mailbox", {"per_hour": "5"})),
    form("POST", f"{_A}/release", Rule(IN_DOMAIN, "mailbox", also=(409,))),
    form("POST", f"{_A}/forwarding", Rule(IN_DOMAIN + "M", "mailbox", {"targets": f"postmaster@{HOST}", "keep_copy": "yes"})),
    form("POST", f"{_A}/forwarding/ask", Rule(IN_DOMAIN + "M", "mailbox", {"target": "ann@away.example"}, also=(404,))),
    form("POST", f"{_A}/quota", Rule(IN_DOMAIN, "mailbox", {"quota": "1 GiB"})),
    # An owner's own way is /account/password, where he shows the present one.
    form("POST", f"{_A}/password", Rule(IN_DOMAIN, "mailbox", {"password": "a calm long password"})),
    *(form("POST", f"{_A}/{deed}", Rule(IN_DOMAIN, "mailbox")) for deed in ("suspend", "resume")),
    form("POST", f"{_A}/remove", Rule(IN_DOMAIN, "mailbox", {"confirm": "{mailbox}"})),
    # Aliases, routes, certificates, keys.
    form("GET", "/aliases/{address:path}", Rule(SEES_DOMAIN, "alias")),
    form("POST", "/aliases/{address:path}", Rule(IN_DOMAIN + "F", "alias", {"targets": f"postmaster@{HOST}"})),
    form("POST", "/aliases/{address:path}/ask", Rule(IN_DOMAIN + "F", "alias", {"target": "ann@away.example"}, also=(404,))),
    form("POST", "/aliases/{address:path}/remove", Rule(IN_DOMAIN + "F", "alias")),
    form("POST", "/routes", Rule("ORCK", "domain", {"key": "{route}", "tls": "verify"}, door=_MANAGES)),
    form("POST", "/routes/remove", Rule("ORCK", "domain", {"key": "{route}"}, door=_MANAGES)),
    form(
        "POST", "/certificates",
        Rule(IN_TENANT, "pem", {"chain": "{chain}", "key": "{private_key}"}, door=_MANAGES, hides=False),
    ),
    form("POST", "/certificates/{number:int}/remove", Rule(IN_TENANT, "certificate", door=_MANAGES)),
    form("POST", "/keys", Rule(IN_TENANT, "tenant", {"tenant_id": "{tenant}", "name": "new"}, door=_MANAGES)),
    form("POST", "/keys/{public_id}/revoke", Rule(IN_TENANT, "key", door=_MANAGES)),
]  # fmt: skip
RULES |= dict(_PAGES)


class Rehearsal(Wiring):
    """A wiring that takes everything back."""

    @contextlib.contextmanager
    def changing(self, *, dry_run: bool = False) -> Iterator[Session]:
        """As any other, but never for good."""
        with unit_of_work(self.engine, dry_run=True) as session:
            yield session


@dataclass
class Stage:
    """The application, the actors, and what is whose."""

    office: Office
    client: TestClient
    actors: dict[str, Actor]
    sides: dict[str, Side]
    more: dict[str, Any]
    now: Actor = SYSTEM


def routes_of(office: Office) -> set[tuple[str, str]]:
    return {
        (verb, context.path)
        for context in iter_route_contexts(office.app.routes)
        for verb in context.methods or ()
        if verb != "HEAD"
    }


def _side(session: Session, office: Office, domain: str, local_part: str, tenant_id: int, reseller_id: int) -> Side:
    if domain != HOST:
        domains.create(session, domain, actor=SYSTEM, tenant_id=tenant_id)
    relay = f"relay.{domain}"
    domains.create(session, relay, actor=SYSTEM, tenant_id=tenant_id, route=Route("mail.example.net", "list"))
    home = domain if local_part != "boss" else "own.test"
    mailbox, alias = f"{local_part}@{home}", f"info@{domain}"
    sealed = office.sealer.seal("sha256:00")
    mailboxes.create(session, mailbox, actor=SYSTEM, sealed_hash=sealed)
    aliases.create(session, alias, [mailbox], actor=SYSTEM)
    senders.add_app_password(session, mailbox, "phone", actor=SYSTEM, sealer=office.sealer)
    senders.give(session, mailbox, alias, actor=SYSTEM)
    forwardings.put(session, mailbox, [f"postmaster@{HOST}"], actor=SYSTEM)
    autoreplies.put(session, mailbox, text="away", actor=SYSTEM)
    routes.put(session, f"@{domain}", routes.Wanted(tls="verify"), actor=SYSTEM)
    account = f"{domain.partition('.')[0]}-admin"
    accounts.create(session, account, actor=SYSTEM, tenant_id=tenant_id, sealed_hash=sealed)
    clerk = f"{account}-clerk"
    accounts.create(session, clerk, actor=SYSTEM, domain=domain, sealed_hash=sealed)
    offered = certificates.make_self_signed(f"www.{domain}")
    hook = webhooks.create(session, f"https://{domain}/", actor=SYSTEM, seals=office.seals, tenant_id=tenant_id).webhook
    return Side(
        domain, relay, mailbox, alias, tenant_id, reseller_id, account,
        keys.create(session, actor=SYSTEM, tenant_id=tenant_id).key.public_id,
        certificates.install(session, offered, "sealed", actor=SYSTEM).id,
        access_rules.add(session, "deny", "x.test", actor=SYSTEM, domain=domain).id,
        access_rules.add(session, "deny", "x.test", actor=SYSTEM, mailbox=mailbox).id,
        plans.create(session, "Small", actor=SYSTEM, tenant_id=reseller_id).id,
        appointments.appoint(session, account, actor=SYSTEM, domain=domain).id,
        jobs.create(session, "batch", actor=Actor("customer", "key:gone", tenant_id)).public_id,
        clerk,
        hook.public_id, webhooks.send_test(session, hook.public_id, actor=SYSTEM).id,
        sessions.create(session, account).id,
        _removed(session, domain, tenant_id),
        str(disposables.add(session, mailbox, actor=SYSTEM, word="shop").address),
    )  # fmt: skip


def _removed(session: Session, domain: str, tenant_id: int) -> int:
    """The number of a removal, by somebody whom nobody ranks below who may have it undone."""
    address = f"gone@{domain}"
    mailbox = mailboxes.create(session, address, actor=SYSTEM)
    manager = Actor("domain", "d", tenant_id=tenant_id, domain_id=mailbox.domain_id)
    return mailboxes.remove(session, address, actor=manager).removal.id


def _furnish(session: Session, office: Office) -> tuple[dict[str, Side], int]:
    sides = {}
    for name in (OWN, FOREIGN):
        reseller = tenants.create(session, f"{name} reseller", "reseller", actor=SYSTEM).id
        customer = tenants.create(session, f"{name} customer", actor=SYSTEM, parent_id=reseller).id
        sides[name] = _side(session, office, f"{name}.test", "joe", customer, reseller)
    # What is above: the operator's own things; and in the midst of the own domain the mailbox of one who is an operator.
    root = tenants.operator(session).id
    sides[HIGHER] = _side(session, office, "above.test", "boss", root, root)
    appointments.appoint(session, "boss@own.test", tenant_id=root, actor=SYSTEM)
    return sides, access_rules.add(session, "deny", "x.test", actor=SYSTEM).id


def _consent_link(session: Session, own: Side) -> str:
    """The token of one that somebody elsewhere got."""
    aliases.create(session, "out@own.test", ["ann@away.example"], actor=Actor("customer", "c", own.tenant))
    row, key = session.scalars(select(ConsentRequest)).one(), session.scalars(select(Instance.consent_key)).one()
    return consent_links.token(key, Question(row.id, row.kind, row.holder_id, row.target, row.asked_at))


def _actors(session: Session, own: Side) -> dict[str, Actor]:
    domain = domains.get(session, own.domain, actor=SYSTEM)
    mailbox = mailboxes.get(session, own.mailbox, actor=SYSTEM)
    whose = {"tenant_id": own.tenant, "domain_id": domain.id}
    return {
        "O": Actor("operator", "o"),
        "R": Actor("reseller", "r", own.reseller),
        "C": Actor("customer", "c", own.tenant),
        "D": Actor("domain", "d", **whose),
        "F": Actor("domain", "f", **whose, rights=frozenset({"aliases"})),
        "S": Actor("support", "s", own.reseller),
        "M": Actor("mailbox", own.mailbox, domain_id=domain.id, mailbox_id=mailbox.id),
        "K": Actor("customer", "key:k", own.tenant, addresses=frozenset({own.domain})),
    }


@pytest.fixture(scope="module")
def cheap_secrets() -> Iterator[None]:
    """One RSA key for all, and hashes that are no hurdle: who may do a thing does not depend on what it costs."""
    one = rsa.generate_private_key(65537, 2048)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signing_keys.rsa, "generate_private_key", lambda exponent, size: one)
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="module")
def stage(cheap_secrets: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with make_office(tmp_path_factory.mktemp("stage")) as office:
        with unit_of_work(office.engine) as session:
            sides, host_rule = _furnish(session, office)
            actors, consent = _actors(session, sides[OWN]), _consent_link(session, sides[OWN])
        app, given = office.app, office.app.state.wiring
        names = (name for name in given.__dataclass_fields__)
        app.state.wiring = Rehearsal(**{name: getattr(given, name) for name in names})
        more = {"host_rule": host_rule, "static": "panel.css", "consent": consent}
        made = Stage(office, office.client().client, actors, sides, more)
        _seat(made)
        yield made


def _seat(stage: Stage) -> None:
    """Whoever is `stage.now` asks, through either door, and no form is too old."""

    def call(request: Request) -> Caller:
        return Caller(stage.now, wiring_of(request), request.url.path)

    def sit(request: Request) -> Desk:
        request.state.me = me = Me(stage.now, False, 0)
        return Desk(request, wiring_of(request), me)

    async def take(request: Request) -> Typed:
        async with request.form() as posted:
            return Typed({name: str(value) for name, value in posted.items()})

    async def take_sent(request: Request) -> Sent:
        return Sent(await take(request), None, "")

    async def take_chosen(request: Request) -> Chosen:
        return Chosen(await take(request), [])

    fields = {read_form: take, read_sent: take_sent, read_chosen: take_chosen}
    stage.office.app.dependency_overrides |= {caller: call, changing_password: sit, **fields}


def _values(stage: Stage, side: Side) -> dict[str, str]:
    offered = _pem(side.domain)
    values = {name: str(getattr(side, name)) for name in side.__dataclass_fields__}
    values |= {name: str(value) for name, value in stage.more.items()}
    return values | {"route": f"@{side.domain}", "chain": offered.chain, "private_key": offered.key}


_MADE: dict[str, SimpleNamespace] = {}


def _pem(domain: str) -> SimpleNamespace:
    if domain not in _MADE:
        offered = certificates.make_self_signed(f"smtp.{domain}")
        _MADE[domain] = SimpleNamespace(chain=offered.chain, key=offered.key.decode())
    return _MADE[domain]


_PARAMETERS = {
    "name": "domain", "tenant_id": "tenant", "rule": "domain_rule", "number": "certificate", "public_id": "key",
    "account": "account", "disposable": "disposable",
}  # fmt: skip


def _path(pattern: str, rule: Rule, values: dict[str, str]) -> str:
    """*pattern* with what it names filled in."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        place = rule.path.get(name) or ("alias" if "/aliases/{" in pattern else "mailbox") * (name == "address")
        place = place or ("relay" if rule.noun == "relay" else _PARAMETERS[name])
        return values[place]

    return re.sub(r"\{([a-z_]+)(?::[a-z]+)?\}", fill, pattern)


def _filled(body: Any, values: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {name: _filled(value, values) for name, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, values) for value in body]
    if isinstance(body, str) and (match := re.fullmatch(r"\{(tenant|reseller)\}", body)):
        return int(values[match[1]])
    if isinstance(body, str):
        return re.sub(r"\{([a-z_]+)\}", lambda match: values[match[1]], body)
    return body


def ask(stage: Stage, operation: tuple[str, str], who: str, where: str, *, below: str | None = None) -> tuple[int, str]:
    """Status and text of what *who* gets for *operation* on what is *where*; *below*: where all but the first thing is."""
    verb, pattern = operation
    rule = RULES[operation]
    stage.now = stage.actors[who]
    values = _values(stage, stage.sides[where])
    others = values if below is None else _values(stage, stage.sides[below])
    body = _filled(rule.body, others)
    options: dict[str, Any] = {}
    if isinstance(body, bytes):
        options = {"content": body, "headers": {"Content-Type": "text/plain"}}
    elif pattern.startswith("/api/") and body is not None:
        options = {"json": body}
    elif verb == "POST" and not pattern.startswith("/api/"):
        options = {"data": body or {}}
    first, brace, rest = pattern.partition("}")
    path = _path(first + brace, rule, values) + _path(rest, rule, others)
    response = stage.client.request(verb, path, **options)
    return response.status_code, response.text


def _sees(rule: Rule, who: str, where: str) -> bool:
    """Is the thing in his part, so that a refusal may say so?"""
    if who == "O" or rule.noun == "nothing":
        return True
    if rule.noun == "host" or where == FOREIGN:
        return False
    if where == HIGHER and rule.noun != "mailbox":
        return False
    by_noun = {
        "tenant": SEES_TENANT, "account": SEES_TENANT, "key": SEES_TENANT, "certificate": SEES_TENANT, "relay": SEES_TENANT,
        "plan": "ORS", "appointment": SEES_TENANT,
        "job": SEES_TENANT, "webhook": SEES_TENANT, "removal": SEES_DOMAIN,
        "reseller": "ORS", "domain": SEES_DOMAIN, "alias": SEES_DOMAIN, "pem": ALL,
        "mailbox": SEES_DOMAIN if where == HIGHER else SEES_DOMAIN + "M",
    }  # fmt: skip
    return who in by_noun[rule.noun]


def expected(operation: tuple[str, str], who: str, where: str) -> str:
    """What has to become of it."""
    rule = RULES[operation]
    if who not in rule.door:
        return FORBIDDEN
    if not _sees(rule, who, where):
        return HIDDEN
    changes = operation[0] != "GET" or rule.is_power
    is_above = where == HIGHER and (rule.spares_root or (rule.noun == "mailbox" and changes and who != "O"))
    return DONE if who in rule.who and not is_above else FORBIDDEN


def test_every_route_has_its_line(stage):
    """A new operation is not served before somebody has said who may do it."""
    assert routes_of(stage.office) == set(RULES)


@pytest.mark.parametrize("operation", RULES, ids=" ".join)
def test_who_may(stage, operation):
    """By every actor, on what is his, a stranger's, and above him; and nobody ever learns more than he may."""
    rule = RULES[operation]
    wrong = []
    for where in (OWN,) if rule.noun in ("nothing", "host") else (OWN, FOREIGN, HIGHER):
        for who in ROLES:
            status, text = ask(stage, operation, who, where)
            wanted = expected(operation, who, where)
            fits = {
                DONE: status < 400 or status in rule.also,
                FORBIDDEN: status == 403 or (not rule.hides and 400 <= status < 500),
                HIDDEN: status == 404 or (not rule.hides and 400 <= status < 500),
            }[wanted]
            if not fits:
                wrong.append(f"{who} on {where}: wanted {wanted}, got {status} {_sentence(text)}")
    assert not wrong, "\n".join(wrong)


def _sentence(text: str) -> str:
    found = re.search(r'"detail":"([^"]*)"|<h1>([^<]*)', text)
    return next(part for part in found.groups() if part) if found else ""


def test_what_is_hidden_is_told_in_the_words_for_what_is_not_there(stage):
    """A sentence must not tell what the status hides."""
    gone = replace(stage.sides[FOREIGN], domain="gone.test", mailbox="joe@gone.test", alias="info@gone.test")
    for operation in [
        rule for rule in RULES if rule[1].startswith("/api/") and RULES[rule].noun in ("domain", "mailbox", "alias")
    ]:
        told = []
        for side in (stage.sides[FOREIGN], gone):
            stage.sides["asked"] = side
            status, text = ask(stage, operation, "C", "asked")
            told.append((status, text.replace("gone.test", "foreign.test")))
        assert told[0] == told[1], operation


def _names_two(stage: Stage, operation: tuple[str, str]) -> bool:
    """Does its path name one thing, and it or the body another that differs from side to side?"""
    rule = RULES[operation]
    first, _, rest = operation[1].partition("}")
    if "{" not in first or rule.noun in ("nothing", "host"):
        return False
    here, there = (_values(stage, stage.sides[where]) for where in (OWN, FOREIGN))
    said = [(_path(rest, rule, values), str(_filled(rule.body, values))) for values in (here, there)]
    return said[0] != said[1]


def test_below_what_is_his_nobody_reaches_what_is_a_strangers(stage):
    """His own domain with another's rule, his own mailbox with another's alias: whoever guesses a number gets nothing by it."""
    pairs = [operation for operation in RULES if _names_two(stage, operation)]
    assert len(pairs) > 20
    wrong = [
        f"{' '.join(operation)}: {who} got {status} {_sentence(text)}"
        for operation in pairs
        for who in ROLES.replace("O", "")
        for status, text in [ask(stage, operation, who, OWN, below=FOREIGN)]
        if status < 400
    ]
    assert not wrong, "\n".join(wrong)


_ASKED_BY_NAME = ("domain", "mailbox", "address", "holder", "search", "subject", "actor", "sender", "recipient", "name")
_ASKED_BY_NUMBER = ("tenant", "tenant_id", "under", "parent_id")


@pytest.mark.parametrize("who", ROLES.replace("O", ""))
def test_what_stands_behind_the_question_mark_shows_nothing_of_a_stranger(stage, who):
    """Every list and page that names nothing in its path, asked for what is a stranger's in all parameters there are."""
    side = stage.sides[FOREIGN]
    told = (
        side.domain,
        side.relay,
        side.mailbox,
        side.alias,
        side.account,
        side.clerk,
        side.key,
        side.job,
        side.webhook,
    )
    told = (*told, side.disposable, "foreign customer", "foreign reseller")
    questions = [(_ASKED_BY_NAME, value) for value in (side.domain, side.mailbox, side.account, "foreign")]
    questions += [(_ASKED_BY_NUMBER, str(number)) for number in (side.tenant, side.reseller)]
    stage.now = stage.actors[who]
    wrong, looked = [], 0
    for verb, path in RULES:
        if verb != "GET" or "{" in path or path.endswith("/openapi.json"):
            continue
        for names, value in questions:
            response = stage.client.get(path, params=dict.fromkeys(names, value))
            looked += response.status_code == 200
            seen = [text for text in told if text in response.text and text not in value]
            wrong += [f"{path} with {names[0]}={value}: {', '.join(seen)}"] * bool(seen)
    assert looked > 50
    assert not wrong, "\n".join(wrong)


def test_the_world_is_as_it_was(stage):
    """Or the later lines of the matrix would have been tried on nothing."""
    with unit_of_work(stage.office.engine, dry_run=True) as session:
        for side in stage.sides.values():
            if side.domain != "gone.test":
                assert not domains.get(session, side.domain, actor=SYSTEM).suspended
                assert mailboxes.get(session, side.mailbox, actor=SYSTEM).quota_bytes == 0


def test_actors_of_the_matrix_are_all_there_are(stage):
    """A new kind of actor has to be tried, too."""
    assert {actor.kind for actor in stage.actors.values()} == set(Part.__annotations__["kind"].__args__) - {"system"}
