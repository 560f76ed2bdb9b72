"""The role fetcher in this process, for the tests of this folder."""

import ssl

import pytest

from mta import roster
from mta.roles.fetcher import __main__ as fetcher
from tests.fakes.house import House
from tests.fixtures.authorities import Authority
from tests.mta.roles.fetcher._rig import HOST, Rig, WebServer, page, says


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Whom the role believes."""
    return Authority()


@pytest.fixture
def serve(tmp_path, authority):
    """Web servers: `serve(script, certificate)`."""
    made = []

    def make(script=None, certificate=None):
        made.append(WebServer(tmp_path, certificate or authority.give(HOST), script or says(page())))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def rig_at(tmp_path, authority):
    """The role where web servers listen at a test's port: `rig_at(port)`."""
    houses = []

    def make(port, private_too=True, shelf=None):
        context = ssl.create_default_context(cafile=str(authority.save(tmp_path)))
        settings = {fetcher.LOOPBACK_TOO: b"true" if private_too else b"false"}
        houses.append(House(roster.FETCHER, settings))
        fetcher.serve(houses[-1].loop, houses[-1].start, context, shelf, port)
        return Rig(houses[-1])

    yield make
    for house in houses:
        for _, callback in list(house.loop._watched.values()):
            callback.__self__.close()  # connections that are open still, as the end of the process would
        house.__exit__()
