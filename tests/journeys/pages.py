"""Pages of the panel that no address alone opens: what a stranger is shown, and what answers a form.

A reader would otherwise get wrong: whoever adds a page adds it here or to PAGES of `tests.journeys.screenshots`; else
tests/web/test_looks.py fails, which shows all of them to axe.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyotp
from sqlalchemy import select

from appliance import consent_links, recovery_links
from appliance.consent_links import Question
from appliance.database.session import Session, unit_of_work
from appliance.models import ConsentRequest, Instance, Mailbox, RecoveryMail
from appliance.recovery_links import Mail
from appliance.services import aliases, domains, persons, recovery, second_factors
from appliance.services.actor import Actor, Part, acting
from tests.fixtures.panel import PASSWORD, SYSTEM, Office

Filled = str | bool | Callable[[Any], str]  # True: it is ticked or chosen


class Answer(NamedTuple):
    """A form at *path*; what is typed into it, by selector; and the words of the button that sends it."""

    path: str
    typed: Mapping[str, Filled]
    button: str
    is_operators: bool = True  # else it is for somebody of his own each time, who cannot do it twice


def code_now(page: Any) -> str:
    """What the app would show, to whom the page has just told its secret."""
    return pyotp.TOTP(page.input_value("input[name=secret]")).now()


# By the template of the page that comes.
ANSWERS: Mapping[str, Answer] = {
    "account/backup_codes.html": Answer(
        "/account/app", {"#code": code_now, "#password": PASSWORD}, "Ask for codes from now on", is_operators=False
    ),
    "bulk/choose.html": Answer(
        "/domains/harbour.example/mailboxes", {"td.tick input >> nth=0": True}, "Change what is ticked …"
    ),
    "keys/created.html": Answer("/keys/new", {"#name": "Billing system"}, "Make the key"),
    "mailboxes/app_password.html": Answer(
        "/mailboxes/anna@northwind.example/sending", {"#name": "mail on my phone"}, "Make a password"
    ),
    "people/lost.html": Answer("/people", {"#name": "nobody"}, "Take it away"),
    "tenants/administrator.html": Answer("/tenants/3", {"#account": lambda page: f"a{secrets.token_hex(4)}"}, "Add"),
    "webhooks/created.html": Answer(
        "/webhooks/new", {"#url": "https://billing.example.com/postern"}, "Add the webhook"
    ),
}


def send(page: Any, url: str, answer: Answer) -> None:
    """Fill the form in, and be on the page that answers it."""
    page.goto(url + answer.path)
    for selector, value in answer.typed.items():
        if value is True:
            page.check(selector)
        else:
            page.fill(selector, value(page) if callable(value) else value)
    with page.expect_navigation():
        page.get_by_role("button", name=answer.button, exact=True).click()


def strangers(office: Office) -> dict[str, str]:
    """What is shown to who has not signed in: the gate, and where links in mails and in billing panels lead."""
    with unit_of_work(office.engine) as session:
        confirm = _recovery(session, "ben@northwind.example")
        recovery.confirm(session, _recovery(session, "chiara@northwind.example"), source="")
        recovery.ask(session, "chiara@northwind.example", source="")
        reset = _link(session, "chiara@northwind.example", "reset")
        return {
            "login": "/login", "forgotten": "/login/forgotten", "link": "/login/link/any", "consent": _consent(session),
            "confirm": f"/recovery/confirm/{confirm}", "reset": f"/recovery/reset/{reset}",
        }  # fmt: skip


def begin_two_steps(office: Office) -> str:
    """The name of somebody who signs in with PASSWORD, and is then asked for a code."""
    name = f"two.{secrets.token_hex(4)}"
    office.account(name, 1)
    with unit_of_work(office.engine) as session:
        second_factors.turn_app_on(
            session, office.seals.second_factor(b"0123456789abcdefghij"), 1, actor=Actor("domain", name)
        )
    return name


def _recovery(session: Session, name: str) -> str:
    """What confirms the address that the mailbox called *name* gets now."""
    person = persons.find(session, name)
    assert isinstance(person, Mailbox)
    himself = acting(name, [Part("mailbox", domain_id=person.domain_id, mailbox_id=person.id)], "")
    recovery.name_address(session, f"{secrets.token_hex(4)}@away.example", actor=himself)
    return _link(session, name, "confirm")


def _link(session: Session, name: str, kind: str) -> str:
    """What stands in the last mail of its *kind* to the owner of *name*."""
    person = persons.find(session, name)
    assert person is not None
    wanted = select(RecoveryMail).where(RecoveryMail.kind == kind, RecoveryMail.mailbox_id == person.id)
    row = session.scalars(wanted.order_by(RecoveryMail.id.desc())).first()
    assert row is not None
    mail = Mail(row.id, row.kind, row.account_id, row.mailbox_id, row.target, row.asked_at)
    return recovery_links.token(_key(session), mail)


def _consent(session: Session) -> str:
    """Where somebody elsewhere is asked whether mail may be sent on to him."""
    tenant = domains.get(session, "northwind.example", actor=SYSTEM).tenant_id
    alias = f"partners-{secrets.token_hex(4)}@northwind.example"
    aliases.create(session, alias, ["ann@away.example"], actor=Actor("customer", "c", tenant))
    row = session.scalars(select(ConsentRequest).order_by(ConsentRequest.id.desc())).first()
    assert row is not None
    asked = Question(row.id, row.kind, row.holder_id, row.target, row.asked_at)
    return f"/consent/{consent_links.token(_key(session), asked)}"


def _key(session: Session) -> str:
    return session.scalars(select(Instance.consent_key)).one()
