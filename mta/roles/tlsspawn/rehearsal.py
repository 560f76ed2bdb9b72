"""Handshakes with ourselves before the first client comes, so that cells are born knowing what is learnt on the way.

A reader would otherwise get wrong: this is for speed alone. OpenSSL looks its algorithms up when they are first used, and
Python learns as it runs; a cell would learn all of that anew, on pages that it must copy. The key that we use for it is made
here, serves no one, and is forgotten: tlsspawn never holds one that is worth anything.
"""

import contextlib
import os
import socket
import ssl
from types import ModuleType
from typing import Any, Final

from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair

TIMES: Final = 30  # after which Python 3.11 has specialised what it will
_ASKED: Final = m.Secure(0, b"rehearsal", b"smtp")
_LINE: Final = b"x" * 76 + b"\r\n"
_STEPS: Final = 20  # more than any handshake takes


def throwaway_pair() -> tuple[bytes, bytes]:
    """Chain and key in PEM of a certificate for nobody; made by a child, so that its library does not stay in our memory.

    Raises:
        OSError: the child made none.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):  # The parent sees by what is missing that it went wrong.
            os.write(writing, _make_pair())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        chain, end, key = pipe.read().partition(b"-----END CERTIFICATE-----\n")
    os.waitpid(pid, 0)
    if not key:
        raise OSError("no certificate to rehearse with")
    return chain + end, key


def _make_pair() -> bytes:
    import datetime as dt  # noqa: PLC0415 - in the child only

    from cryptography import x509  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rehearsal.invalid")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def rehearse(program: ModuleType, chain: bytes, key: bytes) -> None:
    """Hold conversations under TLS with cells of *program* that live in this process."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for number in range(TIMES):
        context.maximum_version = ssl.TLSVersion.TLSv1_2 if number % 5 == 0 else ssl.TLSVersion.TLSv1_3
        _converse(program, context, m.Certified(chain, key))


def _converse(program: ModuleType, context: ssl.SSLContext, certified: m.Certified) -> None:
    ours, served = socket.socketpair()
    names = {"asker": ("smtpd", "tlsspawn"), "keeper": ("tls", "tls"), "journal": ("tls", "journal")}
    pairs = {name: pair() for name in names}
    ends: dict[str, Any] = {
        "asker": Channel(pairs["asker"][0], "smtpd", permits.readable_by_server(*names["asker"])),
        "keeper": Channel(pairs["keeper"][0], "tls", permits.readable_by_client(*names["keeper"])),
        "journal": Channel(pairs["journal"][0], "journal", permits.readable_by_client(*names["journal"])),
    }
    smtpd = Channel(pairs["asker"][1], "tlsspawn", permits.readable_by_client(*names["asker"]))
    pairs["keeper"][1].send(certified.encode())
    cell = program.Cell(_ASKED, served, program.Contexts(), **ends)
    ours.setblocking(False)
    with context.wrap_socket(ours, server_hostname="rehearsal.invalid", do_handshake_on_connect=False) as client:
        for _ in range(_STEPS):
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                cell.step()
        cell.step()
        plain = socket.socket(fileno=next(smtpd.receive())[1][0])
        with plain:
            for size in (1, 50):
                client.sendall(_LINE * size)
                cell.step()
                plain.recv(1 << 16)
                plain.sendall(b"250 2.0.0 OK\r\n")
                cell.step()
                client.recv(1 << 12)
        cell.step()
    cell.step()
    assert cell.over
    for channel in (*ends.values(), smtpd):
        channel.close()
    for _, other in pairs.values():
        other.close()
