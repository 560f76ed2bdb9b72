"""A TLS cell in this process, its peers' ends in the test's hands."""

import socket
import ssl

from mta.roles.tls.cell import Cell, Contexts
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair
from tests.fixtures import certificates

HOST = certificates.make("mx.example.test")


def test_a_client_that_must_begin_anew_gets_through() -> None:
    """RFC 8446 4.1.4: its first key share is of no group that we take. The key is asked for once all the same."""
    contexts = Contexts()
    for context in (contexts.first, contexts.second):
        context.set_ecdh_curve("secp384r1")
    ours, served = socket.socketpair()
    asker, keeper, journal = pair(), pair(), pair()
    keeper[1].send(m.Certified(HOST.chain, HOST.key).encode())
    cell = Cell(
        m.Secure(7, b"s1", b"smtp"), served, contexts,
        asker=Channel(asker[0], "smtpd", permits.readable_by_server("smtpd", "tlsspawn")),
        keeper=Channel(keeper[0], "tls", permits.readable_by_client("tls", "tls")),
        journal=Channel(journal[0], "journal", permits.readable_by_client("tls", "journal")),
    )  # fmt: skip
    trusting = ssl.create_default_context(cadata=HOST.chain.decode())
    ours.setblocking(False)
    with trusting.wrap_socket(ours, server_hostname="mx.example.test", do_handshake_on_connect=False) as client:
        for _ in range(6):
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                cell.step()
        assert client.version() == "TLSv1.3"
        cell.step()
    smtpd = Channel(asker[1], "tlsspawn", permits.readable_by_client("smtpd", "tlsspawn"))
    secured, descriptors = next(smtpd.receive())
    assert isinstance(secured, m.Secured)
    socket.socket(fileno=descriptors[0]).close()
    cell.step()
    cell.step()
    asked = [read for read in (keeper[1].recv(1000), keeper[1].recv(1000)) if read]
    assert asked == [m.KeyOf(b"s1", b"mx.example.test").encode()]
    smtpd.close()
    for end in (keeper[1], journal[1], journal[0]):
        end.close()
