"""The listening sockets. Bound here, once: a role that is restarted finds its callers still waiting.

A reader would otherwise get wrong: options set on a listening socket pass to every socket accepted from it, so nobody sets
them again for each connection.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from mta.record import dataclass

_BACKLOG = 4096  # The kernel cuts it at net.core.somaxconn.


class PortError(Exception):
    """We cannot listen there; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Listening:
    """One bound and listening socket."""

    service: str
    address: str
    socket: socket.socket


def listen(wanted: Mapping[str, Sequence[tuple[str, int]]]) -> list[Listening]:
    """Bind all that is *wanted* (service: addresses and ports; a path is an address without a port).

    Raises:
        PortError: one of them is taken or not ours.
    """
    return [_listen(service, host, port) for service, places in wanted.items() for host, port in places]


def _listen(service: str, host: str, port: int) -> Listening:
    if host.startswith("/"):
        return _listen_locally(service, host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = f"[{host}]:{port}" if family is socket.AF_INET6 else f"{host}:{port}"
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PortError(f"cannot listen on {address} for {service}: {os.strerror(error.errno or 0)}") from error
    return Listening(service, address, sock)


def _listen_locally(service: str, path: str) -> Listening:
    """A socket in the file system. Everybody may connect: whose program it is, the kernel tells the listener."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        Path(path).unlink(missing_ok=True)  # of a former start; we hold the lock of this state folder
        sock.bind(path)
        Path(path).chmod(0o666)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PortError(f"cannot listen on {path} for {service}: {error.strerror or error}") from error
    return Listening(service, path, sock)
