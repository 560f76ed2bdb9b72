"""Mail to hosts that have to prove who they are: by DANE, by MTA-STS, by a route; each with right and wrong certificates."""

import base64
import hashlib
import os

import pytest

from tests.fakes.mx import Manners, StubMx
from tests.fakes.zone import Zone
from tests.fixtures.authorities import Authority, self_signed
from tests.fixtures.house import House, free_port, wait_until
from tests.fixtures.served import PATIENT
from tests.mta.roles.fetcher._rig import WebServer, page, says

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="web servers are asked at port 443, which only root can listen on"),
]

SENDER = "joe@house.example"
CONTENT = b"From: joe@house.example\r\nTo: x\r\nSubject: out\r\nMessage-ID: <1@house.example>\r\n\r\nbody\r\n"
# Of this process: another that runs tests of this module beside us listens at port 443, too.
NETWORK = f"127.{20 + os.getpid() // 250 % 200}.{os.getpid() % 250}"
KINDS = ("right", "expired", "wrong name", "self-signed", "wrong chain", "no TLS")


class World:
    """Domains with a host each, what it shows of itself, and the web servers where their policies are."""

    def __init__(self, zone, folder):
        self.zone, self.port, self._folder = zone, free_port(), folder
        self.authority, self._stranger = Authority(), Authority("Of nobody")
        self._things = []

    def host(self, domain, kind):
        """Where mail for *domain* goes; with a certificate of this *kind*. Answers the host and the certificate."""
        name = f"mx.{domain}"
        certificate = {
            "right": lambda: self.authority.give(name),
            "expired": lambda: self.authority.expired(name),
            "wrong name": lambda: self.authority.give("mx.evil.example"),
            "self-signed": lambda: self_signed(name),
            "wrong chain": lambda: self._stranger.give(name),
            "no TLS": lambda: self.authority.give(name),
        }[kind]()
        context = None if kind == "no TLS" else certificate.context(self._folder, domain)
        address = self._address()
        stub = StubMx(Manners(context=context), address, self.port)
        self._things.append(stub)
        self.zone.records |= {domain: {"MX": [f"10 {name}."]}, name: {"A": [address]}}
        return stub, certificate

    def dane(self, domain, record):
        """*domain* is signed, and this is its host's TLSA record."""
        self.zone.signed.add(domain)
        self.zone.records[f"_{self.port}._tcp.mx.{domain}"] = {"TLSA": [record]}

    def policy(self, domain, mode, mx=None):
        """*domain* has an MTA-STS policy."""
        text = f"version: STSv1\nmode: {mode}\nmx: {mx or f'mx.{domain}'}\nmax_age: 86400\n".encode()
        address = self._address()
        certificate = self.authority.give(f"mta-sts.{domain}")
        self._things.append(WebServer(self._folder, certificate, says(page(text)), (address, 443)))
        self.zone.records |= {
            f"_mta-sts.{domain}": {"TXT": ['"v=STSv1; id=1;"']}, f"mta-sts.{domain}": {"A": [address]},
        }  # fmt: skip

    def _address(self):
        return f"{NETWORK}.{len(self._things) + 1}"

    def close(self):
        for thing in self._things:
            thing.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Zone() as zone:
        world = World(zone, tmp_path_factory.mktemp("world"))
        yield world
        world.close()


@pytest.fixture(scope="module")
def house(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("authorities")
    settings = PATIENT | {
        "dns.servers": f'["{world.zone.address}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        "outbound.routes": f'{{ "fixed.example" = "{NETWORK}.250:{world.port}" }}',
        "outbound.authorities": f'"{world.authority.save(folder)}"', "smtpd.relay_clients": '["127.0.0.1/32"]',
    }  # fmt: skip
    with House(tmp_path_factory.mktemp("secured") / "house", settings=settings) as house:
        house.add_domain("house.example")
        house.add_mailbox(SENDER)
        house.wait_until_known(SENDER)
        yield house


def send(house, domain):
    """One message there; what became of it: the event, and why."""
    recipient = f"ann@{domain}"
    with house.smtp() as client:
        client.sendmail(SENDER, [recipient], CONTENT)
    return house.wait_for_fate(recipient)


def results(house, domain):
    """What was counted of handshakes there, as policies and results; by another role, so perhaps a moment later."""

    def told():
        found = [each for each in house.events("tls-results") if each["domain"] == domain]
        return {(each["policy"], each["result"]) for each in found}

    return wait_until(told, 30, house.said)


def name_of(*parts):
    return "-".join(part.lower().replace(" ", "-") for part in parts) + ".example"


@pytest.mark.must_show
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_demand_mail_goes_to_whoever_is_there(house, world, kind):
    """RFC 7435: under TLS by whatever certificate, and in the clear where there is none."""
    domain = name_of("may", kind)
    stub, _ = world.host(domain, kind)
    assert send(house, domain)["event"] == "relayed"
    assert stub.heard[-1].is_secured is (kind != "no TLS")
    policy = "no-policy-found"
    assert results(house, domain) == {(policy, "starttls-not-supported" if kind == "no TLS" else "success")}


@pytest.mark.must_show
@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_dane_lets_pass_whom_the_record_speaks_of(house, world, kind, usage):
    """Usage 3: the server's own key, whatever else is wrong with it; usage 2: all of the chain. Else nothing is sent."""
    domain = name_of("dane", str(usage), kind)
    stub, certificate = world.host(domain, kind)
    key = certificate.public_key if usage == 3 else world.authority.public_key
    world.dane(domain, f"{usage} 1 1 {hashlib.sha256(key).hexdigest()}")
    goes = kind == "right" or (usage == 3 and kind != "no TLS")
    became = send(house, domain)
    assert became["event"] == ("relayed" if goes else "deferred"), became
    assert bool(stub.contents) is goes
    assert all(heard.is_secured for heard in stub.heard if heard.contents)
    if not goes:
        assert became["status"] in ("4.7.4", "4.7.5")
    assert {policy for policy, _ in results(house, domain)} == {"tlsa"}


@pytest.mark.must_show
def test_dane_refuses_every_key_but_the_one(house, world):
    """Not even a certificate of a public authority for the right name helps."""
    domain = "dane-another-key.example"
    stub, _ = world.host(domain, "right")
    world.dane(domain, f"3 1 1 {'ab' * 32}")
    assert send(house, domain)["status"] == "4.7.5"
    assert stub.contents == []


@pytest.mark.must_show
def test_records_that_somebody_withholds_keep_the_mail(house, world):
    """The name server fails about TLSA alone: the host is not connected to."""
    domain = "bogus.example"
    stub, _ = world.host(domain, "right")
    world.zone.signed.add(domain)
    world.zone.failing.add(f"_{world.port}._tcp.mx.{domain}")
    assert send(house, domain)["status"] == "4.7.5"
    assert stub.heard == []


@pytest.mark.must_show
@pytest.mark.parametrize("mode", ["enforce", "testing"])
@pytest.mark.parametrize("kind", KINDS)
def test_mta_sts_enforced_lets_pass_the_right_one_and_tried_all(house, world, kind, mode):
    """What fails is counted either way."""
    domain = name_of("sts", mode, kind)
    stub, _ = world.host(domain, kind)
    world.policy(domain, mode)
    goes = kind == "right" or mode == "testing"
    became = send(house, domain)
    assert became["event"] == ("relayed" if goes else "deferred"), became
    assert bool(stub.contents) is goes
    counted = {result for policy, result in results(house, domain) if policy == "sts"}
    wanted = {
        "right": "success", "expired": "certificate-expired", "wrong name": "certificate-host-mismatch",
        "self-signed": "certificate-not-trusted", "wrong chain": "certificate-not-trusted", "no TLS": "starttls-not-supported",
    }[kind]  # fmt: skip
    assert wanted in counted


@pytest.mark.must_show
def test_a_host_that_the_policy_does_not_name_gets_nothing(house, world):
    """Whoever forged the MX may have the best of certificates for his own host."""
    domain = "sts-other-mx.example"
    stub, _ = world.host(domain, "right")
    world.policy(domain, "enforce", mx="mail.other.example")
    assert send(house, domain)["status"] == "4.7.5"
    assert stub.heard == []


@pytest.mark.must_show
@pytest.mark.parametrize("kind", ["right", "wrong name", "no TLS"])
def test_a_route_may_demand_a_certificate_that_holds(house, world, kind):
    """`postern route set`, in force at once."""
    domain = name_of("route", kind)
    stub, _ = world.host(domain, kind)
    house.postern("route", "set", domain, "--next-hop", f"mx.{domain}:{world.port}", "--tls", "verify")
    became = send(house, domain)
    assert became["event"] == ("relayed" if kind == "right" else "deferred"), became
    assert bool(stub.contents) is (kind == "right")


@pytest.mark.must_show
@pytest.mark.parametrize("kind", ["right", "wrong name"])
def test_a_smarthost_of_a_domain_gets_its_password_when_it_proves_who_it_is(house, world, kind):
    """What house.example sends to a domain without a host of its own; the password is never said to anybody else."""
    domain = name_of("smarthost", kind)
    stub, _ = world.host(domain, kind)
    stub.manners.extensions += (b"AUTH PLAIN",)
    stub.manners.answers[b"AUTH"] = b"235 2.7.0 welcome"
    house.postern(
        "route", "set", "@house.example", "--next-hop", f"mx.{domain}:{world.port}", "--tls", "verify", "--login", "us",
        "--password-stdin", stdin="correct horse\n",
    )  # fmt: skip
    try:
        became = send(house, f"nobody-knows-{domain}")
    finally:
        house.postern("route", "remove", "@house.example")
    assert became["event"] == ("relayed" if kind == "right" else "deferred"), became
    said = [line for heard in stub.heard for line in heard.commands if line.startswith(b"AUTH")]
    assert said == ([b"AUTH PLAIN " + base64.b64encode(b"\0us\0correct horse")] if kind == "right" else [])
    assert "correct horse" not in house.said()


@pytest.mark.must_show
def test_a_route_may_say_from_which_address_mail_leaves(house, world):
    """What house.example sends leaves from there, whoever it is for; from an address that is not ours, nothing does."""
    domain = "from-elsewhere.example"
    stub, _ = world.host(domain, "right")
    try:
        house.postern("route", "set", "@house.example", "--source-address", "127.0.9.77")
        assert send(house, domain)["event"] == "relayed"
        house.postern("route", "set", "@house.example", "--source-address", "192.0.2.77")
        world.zone.records["not-ours.example"] = {"MX": [f"10 mx.{domain}."]}
        became = send(house, "not-ours.example")
    finally:
        house.postern("route", "remove", "@house.example")
    assert [heard.client for heard in stub.heard] == ["127.0.9.77"]
    assert became["event"] == "deferred"
    assert "192.0.2.77" in became["diagnostic_code"]


@pytest.mark.must_show
def test_the_settings_file_fixes_next_hops(house, world):
    """Before MX, which this domain does not even have; a next hop there may be this machine itself."""
    stub = StubMx(Manners(), f"{NETWORK}.250", world.port)
    try:
        assert send(house, "fixed.example")["event"] == "relayed"
        assert len(stub.contents) == 1
    finally:
        stub.close()
