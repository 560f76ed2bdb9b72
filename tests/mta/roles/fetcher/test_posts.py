"""What the compiler has said to tenants' web servers: to the one it names, if it may be called at all."""

import contextlib
import ipaddress
import ssl
import time

import pytest

from mta import roster
from mta.roles.fetcher import __main__ as fetcher
from mta.roles.fetcher import posts
from mta.roles.fetcher.addresses import is_public, usable
from mta.wire import messages as m
from tests.fakes.house import House
from tests.fakes.receiver import Receiver, answering
from tests.fixtures.authorities import Authority

HOST = "hook.own.test"
BODY = b'{"type":"mailbox.created"}'
FIELDS = (b"content-type", b"application/json", b"webhook-id", b"evt_1")


class Rig:
    """The role, the compiler's and the resolver's ends, and what name servers say."""

    def __init__(self, house):
        self.house = house
        self.compiler, self.resolver, self.journal = (
            house.client("compiler"),
            house.server("resolver"),
            house.server("journal"),
        )
        self.addresses = {b"A": (b"127.0.0.1",)}
        self.asked = []

    def post(self, port, host=HOST, body=BODY, fields=FIELDS, target=b"/hook?x=1", tag=1):
        self.compiler.send(m.Post(tag, host.encode(), port, target, body, fields))

    def hear(self, count=1, seconds=10.0):
        """What is told about so many posts."""
        told, end = [], time.monotonic() + seconds
        while len(told) < count and time.monotonic() < end:
            self.house.serve_for(0.01)
            for asked in self.house.hear(self.resolver):
                self.asked.append((asked.name, asked.kind))
                records = self.addresses.get(asked.kind, ())
                self.resolver.send(m.Found(asked.tag, b"answer" if records else b"none", False, records))
            told += self.house.hear(self.compiler)
        return told

    def told(self, *args, **more):
        self.post(*args, **more)
        (answer,) = self.hear()
        return answer.status, answer.why


def _breaks_off(_):
    raise ConnectionResetError


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def receive(tmp_path, authority):
    made = []

    def make(*scripts, certificate=None):
        made.append(Receiver(tmp_path, certificate or authority.give(HOST), *scripts))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def rig_for(tmp_path, authority):
    """The role, where the operator listed these hosts: `rig_for("hook.own.test:8443")`."""
    houses = []

    def make(*hosts):
        context = ssl.create_default_context(cafile=str(authority.save(tmp_path)))
        houses.append(House(roster.FETCHER, {posts.HOSTS: " ".join(hosts).encode()}))
        fetcher.serve(houses[-1].loop, houses[-1].start, context)
        return Rig(houses[-1])

    yield make
    for house in houses:
        for _, callback in list(house.loop._watched.values()):
            callback.__self__.close()  # connections that are open still, as the end of the process would
        house.__exit__()


def test_it_says_what_it_is_given_and_tells_the_status(rig_for, receive) -> None:
    """The header fields as they are, and those that every request has."""
    receiver = receive(answering(202, body=b"thanks"))
    rig = rig_for(f"{HOST}:{receiver.port}")
    assert rig.told(receiver.port) == (202, b"")
    (heard,) = receiver.heard
    assert (heard.target, heard.body) == ("/hook?x=1", BODY)
    assert heard.fields == {
        "host": f"{HOST}:{receiver.port}", "user-agent": "Postern", "content-type": "application/json",
        "webhook-id": "evt_1", "content-length": str(len(BODY)), "connection": "close",
    }  # fmt: skip


@pytest.mark.parametrize("status", [200, 301, 404, 410, 500])
def test_every_answer_is_an_answer(rig_for, receive, status) -> None:
    """A redirection is not followed: nobody agreed to where it leads."""
    other = receive(answering(200))
    receiver = receive(answering(status, b"Location: https://%s:%d/\r\n" % (HOST.encode(), other.port)))
    rig = rig_for(f"{HOST}:{receiver.port}", f"{HOST}:{other.port}")
    assert rig.told(receiver.port) == (status, b"")
    assert not other.heard


def test_nobody_reads_an_answer_without_an_end(rig_for, receive) -> None:
    """Its status was told already."""

    def endless(client):
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                client.sendall(b"x" * 16_384)

    receiver = receive(endless)
    assert rig_for(f"{HOST}:{receiver.port}").told(receiver.port) == (200, b"")


def test_a_server_that_is_silent_is_given_up_and_keeps_nobody_waiting(rig_for, receive, monkeypatch) -> None:
    """Those that answer are heard meanwhile."""
    monkeypatch.setattr(posts, "SECONDS", 0.5)
    silent, quick = receive(lambda client: client.recv(1)), receive()
    rig = rig_for(f"{HOST}:{silent.port}", f"{HOST}:{quick.port}")
    rig.post(silent.port, tag=1)
    rig.post(quick.port, tag=2)
    first, second = rig.hear(2)
    assert (first.tag, first.status) == (2, 204)
    assert (second.tag, second.status, second.why) == (1, 0, b"no answer within 0 seconds")
    assert second.milliseconds >= 400


@pytest.mark.parametrize("kind", ["of another name", "of a stranger", "expired"])
def test_without_a_certificate_that_holds_not_one_octet_is_said(rig_for, receive, authority, kind) -> None:
    """The authorities are those of the machine, and nothing leaves it out."""
    made = {
        "of another name": lambda: authority.give("other.own.test"), "of a stranger": lambda: Authority("X").give(HOST),
        "expired": lambda: authority.expired(HOST),
    }  # fmt: skip
    receiver = receive(certificate=made[kind]())
    rig = rig_for(f"{HOST}:{receiver.port}")
    assert rig.told(receiver.port) == (0, b"its certificate does not hold")
    assert not receiver.heard


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "localhost", "::1", "own", "x y"])
def test_what_the_operator_did_not_list_is_not_called_at_another_port(rig_for, receive, host) -> None:
    """Nor by its address."""
    receiver = receive()
    rig = rig_for("other.own.test:8443")
    assert rig.told(receiver.port, host) == (0, b"the operator has not listed this host and port")
    assert not rig.asked
    assert not receiver.heard


@pytest.mark.parametrize(
    "addresses",
    [{b"A": (b"127.0.0.1", b"10.0.0.1")}, {b"AAAA": (b"::1", b"::ffff:10.0.0.1")}, {b"A": (b"junk",)}, {}],
)
def test_a_name_that_leads_into_a_network_of_ours_is_not_called(rig_for, addresses) -> None:
    """It is judged after the look-up, at the very address that would be called: whoever owns the name may answer so at any time."""
    rig = rig_for()
    rig.addresses = addresses
    assert rig.told(443) == (0, b"its name leads to no public address")
    assert {kind for _, kind in rig.asked} == {b"A", b"AAAA"}


def test_a_listed_host_may_be_named_by_its_address(rig_for, receive, authority) -> None:
    """It is called without asking anybody; and its certificate has to be for the address, not for a name that looks like it."""
    receiver = receive(certificate=authority.give("127.0.0.1"))
    rig = rig_for(f"127.0.0.1:{receiver.port}")
    assert rig.told(receiver.port, "127.0.0.1") == (0, b"its certificate does not hold")
    assert not rig.asked


def test_another_address_is_tried_while_nothing_was_said(rig_for, receive) -> None:
    """And no more once something was: it may have been taken."""
    receiver = receive(answering(200))
    rig = rig_for(f"{HOST}:{receiver.port}")
    rig.addresses = {b"A": (b"127.0.0.9", b"127.0.0.1")}
    assert rig.told(receiver.port) == (200, b"")
    receiver.scripts = [_breaks_off]
    rig.addresses = {b"A": (b"127.0.0.1", b"127.0.0.1")}
    assert rig.told(receiver.port)[0] == 0
    assert len(receiver.heard) == 2


@pytest.mark.parametrize("fields", [(b"webhook-id", b"a\r\nevil: 1"), (b"", b"x"), (b"a b", b"x")])
def test_fields_that_would_begin_another_request_are_not_sent(rig_for, receive, fields) -> None:
    """Whoever makes them."""
    receiver = receive()
    status, why = rig_for(f"{HOST}:{receiver.port}").told(receiver.port, fields=fields)
    assert status == 0
    assert why.startswith(b"it cannot be asked")
    assert not receiver.heard


def test_too_much_at_once_is_refused(rig_for, monkeypatch) -> None:
    """And what has ended makes room."""
    monkeypatch.setattr(posts, "MAX_POSTS", 1)
    rig = rig_for()
    rig.post(443, tag=1)
    rig.post(443, tag=2)
    told = rig.hear(2)
    assert {each.tag: each.why for each in told} == {
        2: b"too much is under way", 1: b"its name leads to no public address",
    }  # fmt: skip
    assert rig.told(443, tag=3)[1] == b"its name leads to no public address"


def test_who_says_something_else_is_hung_up_on(rig_for) -> None:
    """The compiler speaks of posts alone."""
    rig = rig_for()
    errand = posts.Posts(rig.house.loop, None, None)
    errand.asked(rig.compiler, (m.Noticed(1, True), ()))
    assert rig.compiler.closed


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3", "127.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
        "::", "::1", "::10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::", "fe80::1", "fc00::1",
        "fec0::1", "ff02::1", "2001:db8::1", "2001:0:7f00:1:0:0:f5ff:fffe",
    ],
)  # fmt: skip
def test_an_address_of_ours_is_none_of_the_internet_however_it_is_written(text) -> None:
    """Nor through a gateway that would turn it back into one."""
    assert not is_public(ipaddress.ip_address(text))
    assert usable(text.encode()) == ""
    assert usable(text.encode(), private_too=True)


@pytest.mark.parametrize(
    "text", ["192.0.43.8", "2606:4700::1111", "::ffff:192.0.43.8", "64:ff9b::c000:2b08", "2002:c000:2b08::1"]
)
def test_an_address_of_the_internet_is(text) -> None:
    assert is_public(ipaddress.ip_address(text))
