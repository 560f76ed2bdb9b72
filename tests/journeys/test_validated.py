"""Mail out as it is in the world: port 25, addresses of the Internet, zones that are signed, and unbound to validate them.

In a network of its own, with the settings that a new house has; `test_secured` tries more kinds of certificates, with a name server
that merely says that it validated.
"""

import hashlib
import os
import signal
import ssl
import time

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdataset
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes.mx import HELLO, Manners, StubMx
from tests.fixtures.authorities import Authority
from tests.fixtures.house import House, children, wait_until
from tests.fixtures.network import OURS, OURS_6, WORLD_6, Network
from tests.fixtures.served import PATIENT
from tests.fixtures.unbound import PROGRAM, Unbound
from tests.mta.roles.fetcher._rig import WebServer, page, says

pytestmark = [
    pytest.mark.journey,
    pytest.mark.must_show,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own"),
    pytest.mark.skipif(PROGRAM is None, reason="needs unbound, see tools/system-packages"),
]

SENDER = "joe@house.example"
CONTENT = b"From: joe@house.example\r\nTo: x\r\nSubject: out\r\nMessage-ID: <1@house.example>\r\n\r\nbody\r\n"
HEAD = """
@ 300 IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 90
@ 300 IN NS ns.{zone}.
ns 300 IN A 127.0.0.1
"""
REQUIRETLS = (*HELLO, b"REQUIRETLS")


class World:
    """Hosts at addresses of their own, and the zones that lead to them."""

    def __init__(self, network, folder):
        self.network, self.folder, self.authority = network, folder, Authority()
        self.hosts, self.webs = {}, {}
        self._lines = {"signed.example": [], "plain.example": [], "spoilt.example": []}

    def host(self, domain, *, extensions=HELLO, address="", tlsa=None, is_secured=True):
        """Where mail for *domain* goes. *tlsa*: whether the record is about its certificate, or another; None: there is none."""
        name, zone = domain.partition(".")[::2]
        certificate = self.authority.give(f"mx.{domain}")
        context = certificate.context(self.folder, domain) if is_secured else None
        address = address or self.free_address()
        with self.network.world():
            self.hosts[domain] = StubMx(Manners(extensions=extensions, context=context), address, 25)
        kind = "AAAA" if ":" in address else "A"
        self.say(zone, f"{name} 300 IN MX 10 mx.{domain}.", f"mx.{name} 300 IN {kind} {address}")
        if tlsa is not None:
            digest = hashlib.sha256(certificate.public_key if tlsa else b"another").hexdigest()
            self.say(zone, f"_25._tcp.mx.{name} 300 IN TLSA 3 1 1 {digest}")

    def policy(self, domain):
        """*domain* enforces MTA-STS."""
        name, zone = domain.partition(".")[::2]
        text = f"version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 86400\n".encode()
        address = self.free_address()
        with self.network.world():
            certificate = self.authority.give(f"mta-sts.{domain}")
            self.webs[domain] = WebServer(self.folder, certificate, says(page(text)), (address, 443))
        self.say(zone, f'_mta-sts.{name} 300 IN TXT "v=STSv1; id=1;"', f"mta-sts.{name} 300 IN A {address}")

    def say(self, zone, *lines):
        """Records of *zone*."""
        self._lines[zone] += lines

    def free_address(self):
        """One that nobody has yet."""
        return f"11.25.0.{len(self.hosts) + len(self.webs) + 1}"

    def name_server(self):
        """unbound with all zones, and the keys of those that are signed."""
        anchors, files = [], {}
        for name, lines in self._lines.items():
            text = HEAD.format(zone=name) + "\n".join(lines) + "\n"
            zone = dns.zone.from_text(text, origin=f"{name}.", relativize=False)
            if name != "plain.example":
                anchors.append(sign(zone, name))
            if name == "spoilt.example":
                forge(zone, "victim.spoilt.example")
            files[name] = self.folder / name
            zone.to_file(str(files[name]), relativize=False)
        (self.folder / "anchors").write_text("\n".join(anchors) + "\n")
        return Unbound(self.folder / "unbound", (), (), validates=self.folder / "anchors", zones_from=files)

    def close(self):
        for each in (*self.hosts.values(), *self.webs.values()):
            each.close()


def sign(zone, name):
    """Sign all of it by a key of its own; answers the trust anchor."""
    key, now = ec.generate_private_key(ec.SECP256R1()), int(time.time())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    with zone.writer() as transaction:
        dns.dnssec.sign_zone(
            zone, transaction, keys=[(key, dnskey)], dnskey_ttl=300, inception=now - 3600, expiration=now + 86_400
        )  # fmt: skip
    return f"{name}. 300 IN DNSKEY {dnskey.to_text()}"


def forge(zone, name):
    """Lead its mail elsewhere than what was signed does."""
    node = zone.nodes[dns.name.from_text(name)]
    node.replace_rdataset(dns.rdataset.from_text("IN", "MX", 300, "10 mx.open.plain.example."))


@pytest.fixture(scope="module")
def network():
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def world(network, tmp_path_factory):
    world = World(network, tmp_path_factory.mktemp("world"))
    world.host("mx.signed.example", is_secured=False)
    world.say("signed.example", "mx 300 IN MX 5 dead.signed.example.", "dead 300 IN A 11.25.0.200")
    world.host("six.signed.example", address=WORLD_6)
    world.say("signed.example", "null 300 IN MX 0 .", "nowhere 300 IN MX 10 gone.signed.example.")
    world.host("right.signed.example", tlsa=True, extensions=REQUIRETLS)
    world.host("simple.signed.example", tlsa=True)
    world.host("wrong.signed.example", tlsa=False)
    world.host("bare.signed.example", tlsa=True, is_secured=False)
    world.host("open.plain.example", tlsa=False, extensions=REQUIRETLS)
    world.host("policy.plain.example")
    world.policy("policy.plain.example")
    world.host("victim.spoilt.example")
    yield world
    world.close()


@pytest.fixture(scope="module")
def house(world, tmp_path_factory):
    authorities = world.authority.save(tmp_path_factory.mktemp("authorities"))
    with world.name_server() as names:
        settings = PATIENT | {
            "dns.servers": f'["{names.address}"]', "outbound.authorities": f'"{authorities}"',
            "smtpd.relay_clients": '["127.0.0.1/32"]',
        }  # fmt: skip
        with House(tmp_path_factory.mktemp("validated") / "house", settings=settings, awake=True) as house:
            house.add_domain("house.example")
            house.add_mailbox(SENDER)
            house.wait_until_known(SENDER)
            yield house


def send(house, domain, *options, name="ann"):
    """One message there; what became of it: the event, and why."""
    recipient = f"{name}@{domain}"
    with house.smtp() as client:
        if options:
            client.starttls(context=ssl._create_unverified_context())
        client.sendmail(SENDER, [recipient], CONTENT, options)
    return house.wait_for_fate(recipient)


def test_the_second_host_takes_it_when_the_first_is_dead(house, world):
    """MX, at port 25."""
    became = send(house, "mx.signed.example")
    assert (became["event"], len(world.hosts["mx.signed.example"].contents)) == ("relayed", 1)
    assert became["remote_mta"].startswith("mx.mx.signed.example (11.25.0.")


def test_a_host_that_has_only_an_address_of_ipv6(house, world):
    """Under TLS, since it offers it."""
    assert send(house, "six.signed.example")["event"] == "relayed"
    [heard] = world.hosts["six.signed.example"].heard
    assert (heard.is_secured, ":" in heard.client) == (True, True)


@pytest.mark.parametrize(
    ("domain", "event", "status"),
    [
        ("null.signed.example", "failed", "5.1.10"), ("nobody.signed.example", "failed", "5.1.2"),
        ("nowhere.signed.example", "failed", "5.4.4"), ("victim.spoilt.example", "deferred", "4.4.3"),
    ],
)  # fmt: skip
def test_what_the_zones_say_of_domains_without_a_host(house, world, domain, event, status):
    """No mail (RFC 7505), no domain, no host; and an MX that somebody forged leads nowhere."""
    became = send(house, domain)
    assert (became["event"], became["status"]) == (event, status)
    assert world.hosts["victim.spoilt.example"].heard == []


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        ("simple.signed.example", ""), ("wrong.signed.example", "4.7.5"), ("bare.signed.example", "4.7.4"),
        ("open.plain.example", ""),
    ],
)  # fmt: skip
def test_dane_where_the_zone_is_signed_and_nowhere_else(house, world, domain, status):
    """The right key, another, no TLS at all; and a wrong record that nobody signed, which says nothing."""
    became = send(house, domain)
    assert became["event"] == ("deferred" if status else "relayed"), became
    assert not status or became["status"] == status
    stub = world.hosts[domain]
    assert bool(stub.contents) is not bool(status)
    assert all(heard.is_secured for heard in stub.heard if heard.contents)


@pytest.mark.parametrize(
    ("domain", "event"),
    [("right.signed.example", "relayed"), ("simple.signed.example", "failed"), ("open.plain.example", "failed")],
)
def test_requiretls_goes_to_who_is_proven_and_passes_it_on(house, world, domain, event):
    """RFC 8689 4.2.1: to a host that has the extension, and whom DNSSEC and its certificate vouch for; else 5.7.30, at once."""
    became = send(house, domain, "REQUIRETLS", name="bob")
    assert became["event"] == event, became
    mails = [line for heard in world.hosts[domain].heard for line in heard.commands if b"REQUIRETLS" in line]
    assert len(mails) == (event == "relayed")
    assert event == "relayed" or became["status"] == "5.7.30"


def test_a_policy_is_not_forgotten_with_the_process(house, world):
    """MTA-STS: fetched; then web server and right certificate are gone, and fetcher ends. Its domain's mail still waits."""
    domain = "policy.plain.example"
    assert send(house, domain)["event"] == "relayed"
    world.webs[domain].close()
    world.hosts[domain].manners.context = Authority("Of nobody").give(f"mx.{domain}").context(world.folder, "wrong")
    known = house.state / "policies/known"  # where a policy stands two seconds after it was fetched
    wait_until(lambda: domain.encode() in known.read_bytes(), 30, house.said)
    former = house.pid("fetcher")
    [nursery] = children(house.pid("remotespawn"))
    for pid in (former, *children(nursery)):  # remotes too: one of them still has the connection that was proven
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: house.pids("fetcher") not in ([], [former]), 30, house.said)
    became = send(house, domain, name="bob")
    assert (became["event"], became["status"]) == ("deferred", "4.7.5")
    assert len(world.hosts[domain].contents) == 1


def test_all_of_it_left_from_one_address(house, world):
    """The house's own of each family, and nothing tried to reach anybody else."""
    for domain in ("simple.signed.example", "six.signed.example"):
        assert send(house, domain, name="carl")["event"] == "relayed"
    callers = {heard.client for stub in world.hosts.values() for heard in stub.heard}
    assert callers == {OURS, OURS_6}
