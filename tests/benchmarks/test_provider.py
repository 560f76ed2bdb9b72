"""A provider's house with a million of all: every page of the panel, and what the API does in a second.

In small one house that runs is asked for both.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import api, panel, provider
from tests.fixtures.smtpd_house import reachable

FULL = bool(os.environ.get("POSTERN_FULL"))
# In small no time is asked for: what is answered on the other database tests/web shows, and what a page weighs is the same.
DATABASES = [pytest.param(each, marks=pytest.mark.alone) for each in ("sqlite", "postgresql")] if FULL else ["sqlite"]
pytestmark = [pytest.mark.must_show, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[provider.House]:
    """With a little of all."""
    root = reachable(tmp_path_factory.mktemp("provider")) / "house"
    root.mkdir()
    house = provider.House(root, 20, 10)
    house.make()
    house.start()
    try:
        yield house
    finally:
        house.stop()


@pytest.mark.parametrize("database", DATABASES)
def test_the_panel_at_a_million(tmp_path: Path, figure, full_size: bool, database: str, request) -> None:
    """In full size the promised bounds are demanded; in small it is shown that every page can be asked for, and is light."""
    if full_size:
        root = reachable(tmp_path) / "house"
        found = panel.measure(panel.make(root, 10_000, 100, postgresql=_url(request, database)), 100)
    else:
        found = panel.ask(request.getfixturevalue("small"), 1, (panel.OPERATOR, panel.NOBODY))
    print(*panel.table(found), sep="\n")
    seen = {page.address for page in found.pages}
    figure("pages", len(found.pages))
    figure("slowest page p99 ms", round(max(page.p99 for page in found.pages), 1))
    figure("slowest search p99 ms", round(max(page.p99 for page in found.searches), 1))
    figure("heaviest page KiB", round(max(page.kib for page in found.pages), 1))
    assert {"/domains", "/domains/{name}", "/audit", "/queue/{queue_id}", "/login", "/login/link/{token}"} <= seen
    assert found.heavy == []
    assert len(found.searches) > 5
    if full_size:
        assert found.slow == []


@pytest.mark.parametrize("database", DATABASES)
def test_the_api_at_a_million(tmp_path: Path, figure, full_size: bool, database: str, request) -> None:
    """In full size the promised bounds are demanded; in small it is shown that all of it works and what came out."""
    if full_size:
        found = api.measure(reachable(tmp_path) / "house", 10_000, 100, postgresql=_url(request, database))
    else:
        # A customer there may have two thousand mailboxes.
        found = api.ask(request.getfixturevalue("small"), seconds=0.3, reads=8, size=50)
    for name, value in dataclasses.asdict(found).items():
        figure(name, round(value, 1))
    assert found.single_per_second > 0
    assert found.web_mib < 200
    if full_size:
        assert found.single_per_second >= 150 or database == "postgresql"
        assert found.batch_per_second >= 1500
        assert found.list_ms < 50
        assert found.search_ms < 50


def _url(request: pytest.FixtureRequest, database: str) -> str | None:
    if database == "sqlite":
        return None
    server = request.getfixturevalue("postgresql")
    return str(server.tcp_url(server.empty()))
