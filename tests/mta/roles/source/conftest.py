"""The role source in this process, for the tests of this folder."""

import os
import ssl

import pytest

from mta import roster
from mta.roles.source import __main__ as source
from mta.roles.source import desk
from mta.seal import SOURCE_SECRET, Opener
from tests.fakes.house import House
from tests.mta.roles.source._rig import PRIVATE, Rig, Server


@pytest.fixture
def serve():
    made = []

    def make(script):
        made.append(Server(script))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def authorities():
    """Whom the role believes about certificates; a test may add to it."""
    return ssl.create_default_context()


@pytest.fixture
def rig(tmp_path, monkeypatch, authorities):
    """The role, with a key of its own for sealed passwords."""
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    folder = tmp_path / "sources"
    folder.mkdir()
    (tmp_path / "hooks").mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.SOURCE, {"host.name": b"mx.example"}) as house:
        hooks = source.Hooks(f"{tmp_path}/hooks", f"{tmp_path}/hooks")
        makers = source.Makers(house.loop, b"mx.example", hooks, Opener(PRIVATE, SOURCE_SECRET), authorities)
        source.serve(house.loop, house.start, descriptor, makers)
        yield Rig(folder, house)
        for _, callback in list(house.loop._watched.values()):
            callback.__self__.close()  # connections that are kept open, as the end of the process would
    os.close(descriptor)
