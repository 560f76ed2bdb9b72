"""What is a person's own: his sessions, his history - for accounts and mailbox owners alike."""

import pytest

from appliance.database.session import unit_of_work
from appliance.errors import Forbidden, NotFound
from appliance.models import AuditEntry, LoginAttempt, LoginSession
from appliance.services import accounts, domains, login_history, mailboxes, persons, programs, sessions, tenants
from appliance.services.actor import Actor
from tests.fixtures.database import OPERATOR

ANNA = "anna@own.test"


@pytest.fixture
def session(engine):
    """Taken back at the end."""
    with unit_of_work(engine, dry_run=True) as session:
        yield session


@pytest.fixture
def anna(session):
    domains.create(session, "own.test", actor=OPERATOR)
    mailboxes.create(session, ANNA, actor=OPERATOR, sealed_hash="x")
    return sessions.create(session, ANNA, source="192.0.2.1", program="Firefox, Linux")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox, Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0",
            "Edge, Windows",
        ),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("<script>alert(1)</script>", "a program"),
        ("", "a program"),
        ("x" * programs.LONGEST + "Firefox/1", "a program"),
    ],
)
def test_a_browser_is_named_in_plain_words_and_in_no_others(said, words):
    """Whatever it says of itself, only words of ours are kept."""
    assert programs.named(said) == words


def test_one_sees_and_ends_ones_own_sessions_only(session, anna):
    """Another one's session is not there."""
    tenant = tenants.own(session, OPERATOR).id
    accounts.create(session, "clerk", actor=OPERATOR, tenant_id=tenant, sealed_hash="x")
    clerk = sessions.create(session, "clerk")
    second = sessions.create(session, ANNA, source="192.0.2.2")
    assert [login.id for login in sessions.of_own(session, actor=anna.actor)] == [second.id, anna.id]
    with pytest.raises(NotFound):
        sessions.end_of_own(session, actor=anna.actor, number=clerk.id)
    assert sessions.end_of_own(session, actor=anna.actor, number=second.id) == 1
    assert sessions.find(session, anna.token).id == anna.id
    assert sessions.end_of_own(session, actor=anna.actor) == 1
    assert session.query(LoginSession).count() == 1
    assert session.query(AuditEntry).filter_by(action="session.ended", subject=ANNA).count() == 2


def test_support_sees_none_of_it(session, anna):
    """Whoever looks at what somebody sees is not him."""
    looking = sessions.create(session, ANNA, support_by="helper")
    with pytest.raises(Forbidden):
        sessions.of_own(session, actor=looking.actor)
    assert [login.id for login in sessions.of_own(session, actor=anna.actor)] == [anna.id]
    assert len(login_history.of(session, persons.own(session, anna.actor))) == 1


def test_the_history_is_bounded_and_wrong_guesses_push_no_success_out(session, anna):
    """However many there are."""
    person = persons.own(session, anna.actor)
    for _ in range(login_history.KEPT + 20):
        login_history.note(session, person, "password", accepted=False, source="203.0.113.9")
    found = login_history.of(session, person)
    assert len(found) == login_history.KEPT + 1
    assert [row.source for row in found if row.accepted] == ["192.0.2.1"]
    assert session.query(LoginAttempt).count() == login_history.KEPT + 1


def test_nobody_who_does_not_sign_in_has_such_pages(session, anna):
    """Keys and the command line."""
    for actor in (Actor("customer", "key:0011", 1), Actor("system", "cli:root")):
        with pytest.raises(NotFound):
            persons.own(session, actor)
