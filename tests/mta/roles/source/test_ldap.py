"""Recipients in a real LDAP directory, and in things that only look like one."""

import ssl
from types import SimpleNamespace

import pytest

from mta.roles.source import ldap
from mta.roles.source.ldap import Search
from mta.seal import SOURCE_SECRET, seal
from mta.streams import secure
from mta.vocabulary import Word
from mta.wire.loop import Loop
from tests.fakes.house import events
from tests.fixtures.slapd import BASE, BIND_DN, PASSWORD
from tests.mta.roles.source._rig import PUBLIC


def settings(slapd, **other):
    sealed = seal(PUBLIC, SOURCE_SECRET, PASSWORD.encode())
    return {
        "url": slapd.url,
        "base": BASE,
        "filter": "(mail=%s)",
        "bind_dn": BIND_DN,
        "sealed_password": sealed,
    } | other


def test_who_has_an_entry_exists_and_who_has_none_does_not(rig, slapd):
    """Whatever the case; many at once over one connection, which is used again."""
    rig.publish(corp_example=(b"ldap", settings(slapd)))
    assert rig.ask(b"joe@corp.example", b"jim@corp.example", b"joseph@corp.example") == [
        Word.ACCEPT, Word.UNKNOWN, Word.ACCEPT,
    ]  # fmt: skip
    assert rig.ask(*[b"u%d@corp.example" % number for number in range(50)]) == [Word.UNKNOWN] * 50


def test_an_address_is_never_part_of_the_filter(rig, slapd):
    """A star is a star and a bracket a bracket: nobody finds Joe by asking for j*."""
    rig.publish(corp_example=(b"ldap", settings(slapd)))
    guesses = (
        b"j*@corp.example",
        b"*",
        b"x)(cn=*",
        b"joe@corp.example)(cn=*",
        b"\\2a@corp.example",
        b"\0@corp.example",
    )
    rig.publish(corp_example=(b"ldap", settings(slapd)))
    words = rig.ask(*[guess if guess.endswith(b"@corp.example") else guess + b"@corp.example" for guess in guesses])
    assert words == [Word.UNKNOWN] * len(guesses)
    assert rig.ask(b"star*(x)\\y@corp.example") == [Word.ACCEPT]


def test_a_filter_may_ask_for_more_than_the_address(rig, slapd):
    """As the operator wrote it."""
    wanted = "(&(objectClass=inetOrgPerson)(|(mail=%s)(uid=none)))"
    rig.publish(corp_example=(b"ldap", settings(slapd, filter=wanted)))
    assert rig.ask(b"joe@corp.example", b"jim@corp.example") == [Word.ACCEPT, Word.UNKNOWN]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind_dn": "cn=nobody," + BASE},
        {"sealed_password": seal(PUBLIC, SOURCE_SECRET, b"another")},
        {"sealed_password": b"not sealed"},
        {"base": "dc=elsewhere,dc=example"},
        {"filter": "(mail=%s"},
        {"url": "ldap://127.0.0.1:1"},
    ],
)
def test_a_directory_that_cannot_be_asked_is_try_later_and_told_to_the_operator(rig, slapd, wrong):
    """A wrong password, base or filter must not make everybody unknown."""
    rig.publish(corp_example=(b"ldap", settings(slapd, **wrong)))
    assert rig.ask(b"joe@corp.example") == [Word.TRY_LATER]
    ((name, pairs),) = events(rig.journal, rig.house)
    assert (name, pairs[b"domain"]) == (b"source-trouble", b"corp.example")
    assert PASSWORD.encode() not in b"".join(pairs.values())


def test_tls_is_spoken_where_the_url_says_so_and_the_certificate_must_hold(rig, slapd, authorities):
    """Before its authority is known the directory is not believed; afterwards it is."""
    rig.publish(corp_example=(b"ldap", settings(slapd, url=slapd.secure_url)))
    assert rig.ask(b"joe@corp.example") == [Word.TRY_LATER]
    authorities.load_verify_locations(slapd.authority)
    assert rig.ask(b"joseph@corp.example", b"jim@corp.example") == [Word.ACCEPT, Word.UNKNOWN]


@pytest.mark.parametrize("said", [b"", b"220 hello\r\n", b"\x30\x84\xff\xff\xff\xff", b"\x30" * 1000, bytes(300_000)])
def test_what_only_looks_like_a_directory_is_try_later(rig, serve, said, monkeypatch):
    """Nonsense, a message without end, silence."""
    monkeypatch.setattr(ldap, "PATIENCE_SECONDS", 0.3)

    def script(server, client):
        client.recv(1000)
        client.sendall(said)
        client.recv(1000)

    server = serve(script)
    url = f"ldap://127.0.0.1:{server.port}"
    rig.publish(corp_example=(b"ldap", {"url": url, "base": BASE}))
    assert rig.ask(b"joe@corp.example") == [Word.TRY_LATER]


def test_the_password_does_not_stand_in_what_is_shown_of_us():
    """A traceback or a debugger's line is read by many."""
    assert "secret" not in repr(ldap.Login("cn=x", "secret"))
    assert Search("dc=x", "(mail=%s)").filter_for(b"a@b").value == b"a@b"


def test_a_connection_that_is_lost_over_a_search_answers_all_who_wait(monkeypatch):
    """Bound, and gone at the first search: the others' searches find no connection, and are told to try later too."""

    class Lost:
        def __init__(self, _loop, _address, user):
            self.user, self.sent = user, 0

        def send(self, _octets):
            self.sent += 1
            if self.sent > 1:  # the first was to bind
                self.user.closed("it was lost")

        def close(self):
            """Nothing is open."""

    monkeypatch.setattr(ldap, "Stream", Lost)
    heard, found = [], []
    directory = ldap.Directory(Loop(), found.append, ldap.Login(), Search("dc=x", "(mail=%s)"))
    for number in range(3):
        directory.ask(b"u%d@corp.example" % number, heard.append)
    found.pop()(("127.0.0.1", 389))
    directory.received(bytes.fromhex("300c02010161070a010004000400"))  # BindResponse: success
    assert heard == [Word.TRY_LATER] * 3


class NewNegotiation:
    """A client's side of TLS whose server begins to negotiate anew: until it was heard, nothing can be said."""

    def do_handshake(self):
        """At once."""

    def read(self, _most):
        error = ssl.SSLWantReadError()
        error.reason = None  # as the library leaves it
        raise error

    write = read


def test_a_server_that_negotiates_tls_anew_is_hung_up_on(monkeypatch):
    """TLS 1.2 lets it; whoever waits is told once, and the role goes on."""
    closed = []
    stream = SimpleNamespace(send=lambda _octets: None, close=lambda: None)
    monkeypatch.setattr(secure, "Stream", lambda *_: stream)
    user = SimpleNamespace(opened=lambda: None, received=lambda _octets: None, closed=closed.append)
    secured = secure.Secured(Loop(), ("127.0.0.1", 636), user, lambda _incoming, _outgoing: NewNegotiation())
    secured.opened()
    secured.send(b"question")
    secured.send(b"another")
    secured.received(b"more")
    assert len(closed) == 1
