"""A lone message goes to the disk at once; in a busy moment a batch grows, and never for long."""

from mta.roles.enqueuer.gather import BUSY_SECONDS, ENOUGH, GATHER_SECONDS, SEVERAL, Gather
from mta.wire.loop import Loop


class Rig:
    """A gatherer whose clock and queue the test holds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.queued = 0
        self.committed: list[int] = []
        self.gather = Gather(Loop(), lambda: self.queued, self.commit, lambda: self.now)

    def commit(self) -> None:
        self.committed.append(self.queued)
        self.queued = 0

    def burst(self, count: int, after: float = 0.0) -> None:
        self.now += after
        self.queued += count
        self.gather()


def test_a_lone_message_does_not_wait():
    """Nor the next one, nor the first of a crowd."""
    rig = Rig()
    for count in (1, 1, SEVERAL):
        rig.burst(count, after=1.0)
    assert rig.committed == [1, 1, SEVERAL]


def test_in_a_busy_moment_a_batch_grows_until_it_is_due():
    """What comes meanwhile goes with it; what comes after begins a new one."""
    rig = Rig()
    rig.burst(SEVERAL)
    rig.burst(1)
    rig.burst(2, after=GATHER_SECONDS / 2)
    assert rig.committed == [SEVERAL]
    rig.burst(0, after=GATHER_SECONDS)
    assert rig.committed == [SEVERAL, 3]


def test_enough_is_not_kept_waiting():
    """A batch that is worth its wait goes at once."""
    rig = Rig()
    rig.burst(SEVERAL)
    rig.burst(ENOUGH)
    assert rig.committed == [SEVERAL, ENOUGH]


def test_the_moment_passes():
    """After a pause the first message is a lone one again."""
    rig = Rig()
    rig.burst(SEVERAL)
    rig.burst(1, after=BUSY_SECONDS * 2)
    assert rig.committed == [SEVERAL, 1]


def test_the_timer_brings_the_commit_by_itself():
    """On a real loop, with nothing more arriving."""
    loop, queued, committed = Loop(), [SEVERAL], []

    def commit() -> None:
        committed.append(queued[0])
        queued[0] = 0

    loop.after_burst.append(Gather(loop, lambda: queued[0], commit))
    loop.run_once(0.0)
    queued[0] = 1
    loop.run_once(0.0)
    assert committed == [SEVERAL]
    for _ in range(3):
        loop.run_once(1.0)
    assert committed == [SEVERAL, 1]
