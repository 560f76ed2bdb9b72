"""A million mailboxes in ten thousand domains: what publishing, asking and changing cost there."""

import dataclasses
import os
from pathlib import Path

import pytest

from benchmarks import million


@pytest.mark.must_show
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.geteuid() != 0, reason="another uid's memory map is read, which only root may")
def test_publishing_asking_and_changing_at_a_million(tmp_path: Path, figure, full_size: bool) -> None:
    """In full size the promised bounds are demanded; in small it is shown that all of it works and what came out."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    if full_size:
        found = million.measure(tmp_path / "house", 10_000, 100, churned=200_000)
    else:
        found = million.measure(tmp_path / "house", 50, 40, churned=5_000, seconds=0.2)
    for name, value in dataclasses.asdict(found).items():
        figure(name, round(value, 2))
    assert found.worst_change_ms < 1000
    assert found.late_change_ms < 1000
    assert found.most_own_mib < 150
    assert found.publish_seconds < 60
    if full_size:
        assert found.p99_ms < 2
