"""Promise P5 in small, where only arriving is demanded; in full size the figures are."""

from pathlib import Path

import pytest

from benchmarks import undeliverable

pytestmark = [pytest.mark.alone, pytest.mark.must_show]


@pytest.mark.timeout(1800)
def test_fresh_mail_does_not_notice_a_queue_for_hosts_that_take_nothing(
    tmp_path: Path, figure, full_size: bool
) -> None:
    """A hundred thousand messages for twenty thousand domains; in small the slowest fresh message still takes under a second."""
    messages, domains, samples = (100_000, 20_000, 200) if full_size else (300, 60, 6)
    figures = undeliverable.measure(tmp_path, messages, domains, samples)
    print("\n".join(undeliverable.report(figures)))
    figure("P5: 99th percentile, times the empty queue's", round(figures.times, 2))
    figure("P5: scheduler, MiB", figures.scheduler_mib)
    assert figures.still_queued > messages * 0.9, "what nobody takes waits, and is not lost"
    assert max(figures.full_mailbox.p99, figures.full_remote.p99) < undeliverable.MOST_SECONDS
    assert figures.scheduler_mib < undeliverable.MOST_MIB
    assert figures.is_met or not full_size
