"""TLS without sockets: what is shown to whom, what is refused, and that nothing a client sends is worse than a closed line."""

import contextlib
import dataclasses
import os
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.roles.tls import openssl
from mta.roles.tls.certificates import Keeper
from mta.roles.tls.desk import Desk
from mta.roles.tls.tunnel import Broken, Tunnel
from mta.seal import TLS_KEY, Opener, make_key_pair
from mta.snapshot.reader import Snapshot
from mta.vocabulary import MAX_CHAIN, MAX_PRIVATE_KEY
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair
from mta.wire.loop import Loop
from mta.wire.netstring import unpack
from tests.fixtures import certificates

DEFAULT, ONE, WILD = (certificates.make(name) for name in ("mx.example.test", "one.test", "*.wild.test"))
ALL = {"": DEFAULT, "one.test": ONE, "*.wild.test": WILD}


@pytest.fixture
def told():
    return []


@pytest.fixture
def keeper(tmp_path, told):
    certificates.publish(tmp_path, ALL)
    made = Keeper(
        Snapshot.open(tmp_path / "snapshot/certificates"),
        Opener((tmp_path / "keys/tls.key").read_bytes(), TLS_KEY),
        lambda *event: told.append(event),
    )
    made.look()
    return made


class Client:
    """OpenSSL's client side in memory, against a `Tunnel`."""

    def __init__(self, keeper, name="mx.example.test", session=None, context=None):
        self.context = context or trusting(DEFAULT, ONE, WILD)
        self.received, self.to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.received, self.to_send, server_hostname=name, session=session)
        self.server = Tunnel(keeper.context)

    def shake(self):
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.exchange()
        assert self.server.secured
        return self

    def exchange(self):
        """Everything to the other side; answers the plaintext that the server made of it."""
        octets = self.to_send.read()
        try:
            plaintext = self.server.receive(octets) if octets else b""
        finally:
            self.received.write(self.server.take())
        return plaintext

    def shown(self):
        return self.tls.getpeercert()["subjectAltName"][0][1]


def trusting(*pairs):
    context = ssl.create_default_context()
    context.load_verify_locations(cadata="".join(pair.chain.decode() for pair in pairs))
    return context


def careless(**how):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in how.items():
        setattr(context, name, value)
    return context


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("one.test", "one.test"),
        ("ONE.test", "one.test"),
        ("a.wild.test", "*.wild.test"),
        ("mx.example.test", "mx.example.test"),
    ],
)
def test_the_name_asked_for_chooses_the_certificate(keeper, asked, shown):
    """Its own, else one for the names beside it, else the default; verified as a strict client does."""
    client = Client(keeper, asked).shake()
    assert client.shown() == shown
    assert client.server.server_name == asked.lower().encode()


@pytest.mark.parametrize("asked", [None, "stranger.test", "two.levels.wild.test", "wild.test"])
def test_other_names_and_none_get_the_default(keeper, asked):
    """RFC 6125 6.4.3: a wildcard stands for one label."""
    client = Client(keeper, asked, context=careless())
    client.shake()
    chain = client.tls.getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(chain).split() == DEFAULT.chain.decode().split()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_plaintext_goes_both_ways_in_any_size(keeper, version):
    """And is told with the version and the cipher that a Received field names."""
    context = careless(maximum_version=version)
    client = Client(keeper, context=context).shake()
    assert client.server.protection.startswith(version.name.replace("_", ".").encode() + b" ")
    for size in (1, 16_384, 16_385, 300_000):
        octets = os.urandom(size)
        client.tls.write(octets)
        assert client.exchange() == octets
        client.server.send(octets)
        client.exchange()
        client.received.write(client.server.take())
        got = b""
        while len(got) < size:
            got += client.tls.read(size)
        assert got == octets


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_comes_again_resumes_whatever_name_it_asks_for(keeper, version):
    """One ticket key for all certificates; the full handshake is the dear one."""
    context = careless(maximum_version=version)
    first = Client(keeper, "one.test", context=context).shake()
    first.server.send(b"x")
    first.exchange()
    first.received.write(first.server.take())
    assert first.tls.read(1) == b"x"
    again = Client(keeper, "one.test", session=first.tls.session, context=context).shake()
    assert again.tls.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused_with_an_alert(keeper, version):
    """RFC 8996."""
    context = careless(minimum_version=version, maximum_version=version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    client = Client(keeper, context=context)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    with pytest.raises(Broken, match="UNSUPPORTED_PROTOCOL"):
        client.exchange()
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        client.tls.do_handshake()


def test_a_cipher_without_forward_secrecy_is_refused(keeper):
    context = careless(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    client = Client(keeper, context=context)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    with pytest.raises(Broken, match="NO_SHARED_CIPHER"):
        client.exchange()


def test_the_end_is_told_by_either_side(keeper):
    """A client's close_notify is an end, after which it still hears us (RFC 8446 6.1); ours reaches it as one."""
    client = Client(keeper).shake()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert client.exchange() == b""
    assert client.server.ended
    client.server.send(b"bye")
    client.server.close()
    assert client.server.take()


def test_a_certificate_is_replaced_under_open_conversations(keeper, tmp_path):
    """New ones are shown the new one from the next look on; what is under way goes on."""
    before = Client(keeper, "one.test").shake()
    renewed = certificates.make("one.test")
    certificates.publish(tmp_path, ALL | {"one.test": renewed})
    assert keeper.look()
    after = Client(keeper, "one.test", context=trusting(renewed)).shake()
    assert after.shown() == "one.test"
    before.tls.write(b"still here")
    assert before.exchange() == b"still here"


def test_a_removed_certificate_is_shown_no_more(keeper, tmp_path):
    certificates.publish(tmp_path, {"": DEFAULT})
    keeper.look()
    client = Client(keeper, "one.test", context=careless()).shake()
    assert ssl.DER_cert_to_PEM_cert(client.tls.getpeercert(binary_form=True)).split() == DEFAULT.chain.decode().split()


def test_without_a_default_nothing_is_offered_and_strangers_hear_an_alert(keeper, tmp_path):
    certificates.publish(tmp_path, {"one.test": ONE})
    assert not keeper.look()
    assert Client(keeper, "one.test").shake().shown() == "one.test"
    client = Client(keeper, "stranger.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    with pytest.raises(Broken):
        client.exchange()


def test_what_cannot_be_used_is_told_once_and_the_next_best_is_shown(keeper, tmp_path, told):
    """Sealed to another key; a key of another certificate; no certificate at all."""
    certificates.publish(tmp_path, {"one.test": ONE}, public_key=make_key_pair()[1])
    for _ in range(3):
        assert not keeper.look()
        assert keeper.context_for(b"one.test") is None
    assert [name for name, _ in told] == [b"one.test"]
    mixed = certificates.Pair(("one.test",), ONE.chain, DEFAULT.key, 0)
    odd = certificates.Pair(("two.test",), b"no certificate", ONE.key, 0)
    certificates.publish(tmp_path, {"one.test": mixed, "two.test": odd, "": DEFAULT})
    assert keeper.look()
    assert keeper.context_for(b"one.test") is keeper.context_for(b"two.test") is keeper.context_for(b"")
    assert len(told) == 3


def test_contexts_kept_ready_are_bounded(keeper, monkeypatch):
    monkeypatch.setattr("mta.roles.tls.certificates.MAX_CONTEXTS", 2)
    for name in (b"one.test", b"a.wild.test", b"", b"b.wild.test"):
        assert keeper.context_for(name) is not None
    assert len(keeper._made) == 2


def test_a_key_with_a_password_is_not_asked_for_at_the_terminal():
    """OpenSSL's own way would be to ask whoever sits there."""
    key = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----\n"
    with pytest.raises(openssl.NotLoaded):
        openssl.load(openssl.server_context(), ONE.chain, key)


def test_the_library_is_the_interpreters_own():
    """The address that we read out of the context is that of an SSL_CTX: it says about itself what ssl says."""
    context = openssl.server_context()
    get_options = openssl._function("SSL_CTX_get_options", openssl.ctypes.c_uint64, openssl.ctypes.c_void_p)
    assert get_options(openssl._address(context)) == context.options & (1 << 64) - 1


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=5), st.booleans())
def test_noise_is_a_broken_connection_and_nothing_else(noise, secured):
    """Before and after the handshake."""
    context = openssl.server_context()
    openssl.load(context, DEFAULT.chain, DEFAULT.key)

    class Fixed:
        pass

    fixed = Fixed()
    fixed.context = context
    client = Client(fixed, context=careless())
    if secured:
        client.shake()
    for octets in noise:
        try:
            client.server.receive(octets)
        except Broken:
            break


def test_neither_renegotiation_nor_compression_is_to_be_had(keeper):
    """TLS 1.2 would let a client begin anew at any time, at our cost; compression tells lengths (RFC 7525 3.3, 3.5)."""
    get_options = openssl._function("SSL_CTX_get_options", openssl.ctypes.c_uint64, openssl.ctypes.c_void_p)
    for context in (keeper.context, keeper.context_for(b"one.test")):
        options = get_options(openssl._address(context))
        assert options & ssl.OP_NO_RENEGOTIATION
        assert options & ssl.OP_NO_COMPRESSION


def test_a_pair_that_no_packet_holds_is_shown_by_nobody(tmp_path, told):
    """Role tls says so and shows the default in its place; the longest that it takes does fit in a packet."""
    long = dataclasses.replace(ONE, chain=ONE.chain + b"x" * MAX_CHAIN)
    certificates.publish(tmp_path, {"": DEFAULT, "one.test": long})
    opener = Opener((tmp_path / "keys/tls.key").read_bytes(), TLS_KEY)
    keeper = Keeper(Snapshot.open(tmp_path / "snapshot/certificates"), opener, lambda *event: told.append(event))
    assert keeper.pair_for(b"one.test") == (DEFAULT.chain, DEFAULT.key)
    assert told == [(b"one.test", "the chain or the key is too long")]
    longest = m.Certified(b"c" * MAX_CHAIN, b"k" * MAX_PRIVATE_KEY)
    assert m.read_message(unpack(longest.encode()), frozenset({m.Certified})) == longest


def test_what_is_no_socket_ends_who_handed_it_and_no_conversation() -> None:
    """A taken-over smtpd has pipes too; that one hands us one must not cost the others' clients."""
    ours, theirs = pair()
    smtpd = Channel(theirs, "tls", permits.readable_by_client("smtpd", "tls"))
    asker = Channel(ours, "smtpd", permits.readable_by_server("smtpd", "tls"))
    desk = Desk(Loop(), Snapshot.__new__(Snapshot), None, 10)
    reading, writing = os.pipe()
    desk.asked(asker, (m.Secure(1, b"s1", b"smtp"), (reading,)))
    assert asker.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    os.close(writing)
    smtpd.close()
