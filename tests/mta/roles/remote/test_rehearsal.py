"""What the nursery does before it forks: a delivery to itself, which comes to its end and leaves nothing behind."""

import gc
import os
import socket
import ssl

from mta.roles.remote import rehearsal
from mta.roles.remote.security import Contexts
from mta.wire import messages as m


class Plain(Contexts):
    """Without this machine's list of authorities, which takes long to read."""

    def __init__(self):
        self.trusting = self.verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_a_rehearsal_delivers_a_message_each_time():
    """Else it would teach remotes how to fail."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        assert [rehearsal._Rehearsal(Plain(), listening).hold() for _ in range(3)] == [True] * 3


def test_nothing_stays_open_and_the_language_is_ready():
    """What is open would be in every remote."""
    rehearsal.rehearse(Plain())
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    rehearsal.rehearse(Plain())
    assert set(os.listdir("/proc/self/fd")) == before
    assert "_read" in m.Hurry.__dict__, "also what no rehearsal needs"


def test_without_loopback_there_is_none(monkeypatch):
    """It is for speed alone."""

    def fail(*_args, **_rest):
        raise OSError(99, "no such address")

    monkeypatch.setattr(socket, "create_server", fail)
    rehearsal.rehearse(Plain())
