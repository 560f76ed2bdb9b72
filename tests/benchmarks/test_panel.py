"""Every page of the panel, where there is a million of all: how long the server takes, and what a browser has to load."""

import os
from pathlib import Path

import pytest

from benchmarks import panel

FULL = bool(os.environ.get("POSTERN_FULL"))


@pytest.mark.must_show
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "database",
    # In small no time is asked for, and what a page weighs does not depend on the database.
    [pytest.param(each, marks=pytest.mark.alone) for each in ("sqlite", "postgresql")] if FULL else ["sqlite"],
)
def test_the_panel_at_a_million(tmp_path: Path, figure, full_size: bool, database: str, request) -> None:
    """In full size the promised bounds are demanded; in small it is shown that every page can be asked for, and is light."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    url = None
    if database == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.tcp_url(server.empty())
    size, reads, roles = (
        ((10_000, 100), 100, panel.ROLES) if full_size else ((20, 10), 1, (panel.OPERATOR, panel.NOBODY))
    )
    found = panel.measure(panel.make(tmp_path / "house", *size, postgresql=url), reads, roles)
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
