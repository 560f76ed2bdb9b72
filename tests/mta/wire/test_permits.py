"""The table of who may say what holds what the roster has use for, and no more."""

from mta import roster
from mta.wire import messages as m
from mta.wire import permits

# Whom a role makes itself, over a pair of sockets of its own.
CHILDREN = {("localspawn", "local"), ("remotespawn", "nursery"), ("remotespawn", "remote")}


def test_nobody_may_speak_where_there_is_no_way() -> None:
    """Each pair is an edge of the roster, the edge of a cell where its maker introduces it, or of a child with its parent."""
    edges = {(edge.client, edge.server) for edge in roster.EDGES}
    cells = {(permits.INTRODUCES[client], server) for client, server in edges if client in permits.INTRODUCES}
    assert set(permits.PAIRS) - edges - cells == CHILDREN


def test_whoever_has_a_way_may_speak() -> None:
    """An edge without a word would be a descriptor for nothing."""
    edges = {(edge.client, edge.server) for edge in roster.EDGES if edge.server != "journal"}
    assert edges - set(permits.PAIRS) == set()
    introduced = {client for client, server in edges if permits.readable_by_server(client, server) == {m.Attach}}
    assert introduced <= set(permits.INTRODUCES)
