"""From a domain to addresses, against a resolver that the test plays."""

import itertools

import pytest

from mta.roles.remote.hosts import Finder, Host, split_host_port
from mta.roles.remote.outcome import Outcome
from mta.wire import messages as m


class Zone:
    """Answers as `Asking` does: each question once, here at once."""

    def __init__(self, records, *, failing=(), away=False, secure=False):
        self.records, self.failing, self.away, self.secure = records, failing, away, secure
        self.asked = []

    def ask(self, peer, make, seconds, hear):
        assert peer == "resolver"
        question = make(1)
        self.asked.append((question.name, question.kind))
        if self.away:
            return False
        found = self.records.get((question.name, question.kind))
        if (question.name, question.kind) in self.failing:
            hear(None)
        elif found is None and not any(name == question.name for name, _ in self.records):
            hear(m.Found(1, b"nxdomain", self.secure, ()))
        else:
            hear(m.Found(1, b"answer" if found else b"none", self.secure, found or ()))
        return True


def find(zone, domain=b"example.test", **rest):
    heard = []
    finder = Finder(zone, b"mx.here.test", 25, shuffle=lambda names: names.sort(), **rest)
    if domain.startswith(b"@"):
        finder.find_at(domain[1:], heard.append)
    else:
        finder.find(domain, heard.append)
    (answer,) = heard
    return (answer.action.value, answer.status) if isinstance(answer, Outcome) else [
        (host.name, host.address, host.port) for host in answer
    ]  # fmt: skip


MX, A, AAAA = b"MX", b"A", b"AAAA"
DOMAIN = b"example.test"


def test_the_preferred_ones_first_and_six_and_four_in_turn():
    """RFC 5321 5.1."""
    zone = Zone({
        (DOMAIN, MX): (b"20 b.test", b"10 a.test."),
        (b"a.test", A): (b"192.0.2.1", b"192.0.2.2"), (b"a.test", AAAA): (b"2001:db8::1",), (b"b.test", A): (b"192.0.2.3",),
    })  # fmt: skip
    assert find(zone) == [
        (b"a.test", "2001:db8::1", 25), (b"a.test", "192.0.2.1", 25), (b"a.test", "192.0.2.2", 25), (b"b.test", "192.0.2.3", 25),
    ]  # fmt: skip


def test_who_calls_from_an_address_asks_hosts_that_it_can_reach():
    """A route's source address: hosts of the other family are passed over, unless there are no others."""
    both = Zone({(DOMAIN, A): (b"192.0.2.1",), (DOMAIN, AAAA): (b"2001:db8::1",)})
    assert find(both, source="192.0.2.7") == [(DOMAIN, "192.0.2.1", 25)]
    assert find(both, source="2001:db8::7") == [(DOMAIN, "2001:db8::1", 25)]
    assert find(Zone({(DOMAIN, A): (b"192.0.2.1",)}), source="2001:db8::7") == [(DOMAIN, "192.0.2.1", 25)]


def test_equals_are_in_no_fixed_order():
    """RFC 5321 5.1: to spread the load."""
    orders = set()
    for _ in range(60):
        names = Finder(Zone({}), b"x.test", 25).ordered((b"5 a.test", b"5 b.test", b"5 c.test", b"6 d.test"))
        assert names[-1] == b"d.test"
        orders.add(tuple(names))
    assert len(orders) > 2


def test_without_mx_the_domain_itself_is_the_host():
    """Implicit MX; but with an MX that leads nowhere it is not."""
    assert find(Zone({(DOMAIN, A): (b"192.0.2.1",)})) == [(DOMAIN, "192.0.2.1", 25)]
    assert find(Zone({(DOMAIN, MX): (b"1 a.test",), (DOMAIN, A): (b"192.0.2.1",)})) == (b"failed", b"5.4.4")


@pytest.mark.parametrize(
    ("records", "failing", "outcome"),
    [
        ({}, (), (b"failed", b"5.1.2")), ({(DOMAIN, MX): (b"0 .",)}, (), (b"failed", b"5.1.10")),
        ({(DOMAIN, b"TXT"): (b"x",)}, (), (b"failed", b"5.4.4")), ({}, ((DOMAIN, MX),), (b"delayed", b"4.4.3")),
        ({(DOMAIN, MX): (b"1 a.test",)}, ((b"a.test", A),), (b"delayed", b"4.4.3")),
        ({(DOMAIN, MX): (b"10 mx.here.test", b"20 b.test"), (b"b.test", A): (b"192.0.2.1",)}, (), (b"failed", b"5.4.6")),
        ({(DOMAIN, A): (b"127.0.0.1",)}, (), (b"failed", b"5.4.6")),
        ({(DOMAIN, AAAA): (b"::ffff:127.0.0.1", b"::1", b"::", b"ff02::1")}, (), (b"failed", b"5.4.6")),
        ({(DOMAIN, A): (b"0.0.0.0", b"224.0.0.1")}, (), (b"failed", b"5.4.6")),
        ({(DOMAIN, A): (b"no address",)}, (), (b"failed", b"5.4.4")),
        ({(DOMAIN, MX): (b"junk", b"x y")}, (), (b"failed", b"5.1.10")),
    ],
)  # fmt: skip
def test_what_leads_nowhere(records, failing, outcome):
    """For good where the name servers say so, for now where they say nothing."""
    assert find(Zone(records, failing=failing)) == outcome


def test_among_a_domains_hosts_only_those_are_asked_who_are_preferred_to_us():
    """RFC 5321 5.1: the others would send it back to us."""
    records = {
        (DOMAIN, MX): (b"5 a.test", b"10 MX.here.test", b"10 b.test", b"20 c.test"),
        **{(name, A): (b"192.0.2.1",) for name in (b"a.test", b"b.test", b"c.test", b"mx.here.test")},
    }
    assert find(Zone(records)) == [(b"a.test", "192.0.2.1", 25)]


def test_a_null_mx_beside_others_says_nothing():
    """RFC 7505 3: that is no null MX."""
    assert find(Zone({(DOMAIN, MX): (b"0 .", b"1 a.test"), (b"a.test", A): (b"192.0.2.1",)})) == [
        (b"a.test", "192.0.2.1", 25)
    ]


def test_without_a_resolver_nobody_knows():
    """Delayed, never failed."""
    assert find(Zone({}, away=True)) == (b"delayed", b"4.4.3")
    assert find(Zone({}, away=True), b"@next.test:26") == (b"delayed", b"4.4.3")


@pytest.mark.parametrize(
    ("next_hop", "host"),
    [
        (b"192.0.2.9:2525", (b"192.0.2.9", "192.0.2.9", 2525)), (b"[2001:db8::9]:26", (b"2001:db8::9", "2001:db8::9", 26)),
        (b"127.0.0.1", (b"127.0.0.1", "127.0.0.1", 25)), (b"next.test:587", (b"next.test", "192.0.2.7", 587)),
        (b"[::1]", (b"::1", "::1", 25)), (b"::1", (b"::1", "::1", 25)),
    ],
)  # fmt: skip
def test_a_route_names_its_host_itself(next_hop, host):
    """No MX is asked for; and it may be this machine."""
    zone = Zone({(b"next.test", A): (b"192.0.2.7",), (b"next.test", MX): (b"1 other.test",)})
    assert find(zone, b"@" + next_hop) == [host]
    assert all(kind != MX for _, kind in zone.asked)
    assert split_host_port(next_hop, 25)[1] == host[2]


def test_what_is_vouched_for_says_so():
    """For those who look at certificates by DNS."""
    heard = []
    Finder(Zone({(DOMAIN, A): (b"192.0.2.1",)}, secure=True), b"x.test", 25).find(DOMAIN, heard.append)
    assert heard == [[Host(DOMAIN, "192.0.2.1", 25, is_mx_secure=True, is_address_secure=True)]]


def test_a_domain_with_very_many_hosts_costs_a_bounded_number_of_questions():
    """And an address is what it says, however many there are."""
    many = {(DOMAIN, MX): tuple(b"%d h%d.test" % (number, number) for number in range(100))}
    many |= {(b"h%d.test" % number, A): tuple(b"192.0.2.%d" % octet for octet in range(1, 50)) for number in range(100)}
    zone = Zone(many)
    assert len(find(zone)) == 60
    assert len(zone.asked) == 41
    assert len(list(itertools.groupby(zone.asked))) == 41
