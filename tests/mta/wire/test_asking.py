"""How long whom we asked may take: longer where our question may be what starts it."""

import pytest

from mta import roster
from mta.wire import asking
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, pair
from mta.wire.loop import Loop


class Away:
    """Takes every question and answers none."""

    def tell(self, _name: str, _message: m.Message) -> bool:
        return True

    def event(self, _name: str, **_pairs: bytes | str | int) -> None:
        raise AssertionError("nothing is to be told")


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch):
    """Asks a role for no time at all; answers after how many looks it was given up, at most ten."""
    monkeypatch.setattr(asking, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(asking, "WAKING_SECONDS", 3600.0)
    loop = Loop()
    desk = Asking(loop)
    desk.peers = Away()

    def ask(peer: str, *, answered: bool = False, lost: bool = False) -> bool:
        if answered:
            ours, theirs = pair()
            with ours, theirs:
                desk.answered(Channel(ours, peer, frozenset()), (m.Found(0, b"failed", False, ()), ()))
        if lost:
            desk.lost(peer)
        heard: list[m.Message | None] = []
        assert desk.ask(peer, lambda tag: m.LookUp(tag, b"example.test", b"A"), 0.0, heard.append)
        for _ in range(10):
            loop.run_once(0.0)
        return heard == [None]

    yield ask
    loop.close()


def test_who_may_sleep_has_time_to_start(wait) -> None:
    """Until it answered once, and again when another came in its place."""
    assert roster.RESOLVER.when_asked
    assert not wait("resolver")
    assert wait("resolver", answered=True)
    assert not wait("resolver", lost=True)


def test_who_never_sleeps_has_no_more_than_its_time(wait) -> None:
    assert not roster.LEDGER.when_asked
    assert wait("ledger")
