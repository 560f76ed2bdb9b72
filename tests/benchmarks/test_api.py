"""What the API does in a second, and how long it takes where there is a million of all."""

import dataclasses
import os

import pytest

from benchmarks import api

FULL = bool(os.environ.get("POSTERN_FULL"))


@pytest.mark.must_show
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "database",
    # In small no time is asked for, and what the API answers on the other database tests/web shows.
    [pytest.param(each, marks=pytest.mark.alone) for each in ("sqlite", "postgresql")] if FULL else ["sqlite"],
)
def test_the_api_at_a_million(tmp_path, figure, full_size: bool, database: str, request) -> None:
    """In full size the promised bounds are demanded; in small it is shown that all of it works and what came out."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    url = None
    if database == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.tcp_url(server.empty())
    if full_size:
        found = api.measure(tmp_path / "house", 10_000, 100, postgresql=url)
    else:
        found = api.measure(tmp_path / "house", 20, 50, postgresql=url, seconds=1.0, reads=40)
    for name, value in dataclasses.asdict(found).items():
        figure(name, round(value, 1))
    assert found.single_per_second > 0
    assert found.web_mib < 200
    if full_size:
        assert found.single_per_second >= 150 or database == "postgresql"
        assert found.batch_per_second >= 1500
        assert found.list_ms < 50
        assert found.search_ms < 50
