"""A database that is a server: who may call it, and where."""

import os
import subprocess
import sys
import textwrap

import pytest

from appliance.database import server
from appliance.errors import SettingsError
from mta import roster
from mta.sandbox import promises


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("postgresql://p:x@127.0.0.1/mail", 5432),
        ("postgresql://p@[::1]:5433/mail", 5433),
        ("postgresql+psycopg://p:x@192.0.2.1:1/mail?sslmode=require", 1),
    ],
)
def test_a_server_has_an_address_and_a_port(url, port):
    assert server.is_server(url)
    assert server.port_of(url) == port


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://p:x@db.example.test/mail",
        "postgresql://p@/mail?host=/run/postgresql",
        "postgresql://127.0.0.1/mail",
        "postgresql://p@127.0.0.1:none/mail",
        "postgresql://p@127.0.0.1/mail?host=/run/postgresql",
    ],
)
def test_what_the_roles_could_not_reach_is_refused_before_they_start(url):
    with pytest.raises(SettingsError, match="by TCP to an address"):
        server.port_of(url)


def test_only_the_control_plane_may_call_it_and_gets_nothing_else():
    for role in (roster.WEB, roster.COMPILER):
        assert roster.beside_server(role).promises - role.promises == {roster.Promise.CALL_DATABASE}
        assert not role.promises & {roster.Promise.CALL_DATABASE, roster.Promise.CALL_OUT}
    with pytest.raises(ValueError, match="tracer"):
        roster.beside_server(roster.TRACER)


def test_the_promise_is_for_no_socket_inside_the_machine_and_none_to_be_called_on():
    rules = promises.rules(frozenset({roster.Promise.CALL_DATABASE}), 0, None)
    assert not {"bind", "listen", "accept", "accept4"} & rules.keys()
    families = [check.values for alternative in rules["socket"] for check in alternative if check.argument == 0]
    assert families == [(2, 10)]


def test_it_leads_to_that_one_port(tmp_path):
    """Behind the walls, in a process of its own: the port of the database answers, its neighbour is refused."""
    program = textwrap.dedent("""
        import socket, sys
        from mta import roster
        from mta.sandbox import confinement, identity
        from mta.sandbox import _install
        listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        mine, other = (each.getsockname()[1] for each in listening)
        judges_ports = confinement.abi() >= confinement.NETWORK_ABI
        identity.harden()
        confinement.confine((), (mine,))
        _install(roster.beside_server(roster.COMPILER), None)
        socket.socket().connect(("127.0.0.1", mine))
        for attempt in (
            *([lambda: socket.socket().connect(("127.0.0.1", other))] if judges_ports else []),
            lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        ):
            try:
                attempt()
            except PermissionError:
                continue
            sys.exit("got through")
        print("held")
    """)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=os.getcwd(), timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("held\n", "")
