"""The state table of ARCHITECTURE.md, walked step by step and cut off after every one."""

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.roles.cleaner.broom import clean
from mta.roles.enqueuer.recovery import recover
from mta.spool.envelope import Envelope, Generation, Recipient, render, seal
from mta.spool.layout import Folder
from mta.spool.states import OWED, State, state_of

CONTENT = b"Received: by mx.test\r\n\r\nhello\r\n"
ENVELOPE = render(Envelope(1, len(CONTENT), b"", b"", b"", b"", Generation.ORDINARY, (Recipient(b"joe@x.test"),)))
NEWER = seal([b"postern-envelope 9", b"whatever"])
ID = b"0123456789abcdef0123"


@pytest.mark.parametrize(
    ("content", "envelope", "progress", "state"),
    [
        (None, None, False, State.S0),
        (len(CONTENT), None, False, State.S1),
        (3, None, False, State.S1),
        (3, ENVELOPE[:-1], False, State.S1),
        (len(CONTENT), ENVELOPE[:-1], False, State.S1),
        (len(CONTENT) - 1, ENVELOPE, False, State.S1),
        (None, ENVELOPE, False, State.S1),
        (len(CONTENT), ENVELOPE, False, State.S2),
        (len(CONTENT), ENVELOPE, True, State.S3),
        (len(CONTENT), None, True, State.S4),
        (None, None, True, State.S4),
        (9, NEWER, False, State.S2),
    ],
)
def test_every_combination_is_a_row_of_the_table(content, envelope, progress, state):
    """The row is read off the files and nothing else."""
    assert state_of(content, envelope, progress=progress) is state


class Spool:
    """The three folders, and the steps that roles take, each cut off after any of its system calls."""

    def __init__(self, root):
        self.root = root
        for part in ("content", "envelope", "progress"):
            (root / part).mkdir(parents=True)
        self.content, self.envelope, self.progress = (Folder.open(root, p) for p in ("content", "envelope", "progress"))
        self.calls = 0

    def close(self):
        for folder in (self.content, self.envelope, self.progress):
            os.close(folder.descriptor)
        shutil.rmtree(self.root)

    def put(self, folder, octets):
        """create, two writes: three places to be killed at."""
        yield (descriptor := folder.create(ID))
        yield os.write(descriptor, octets[: len(octets) // 2])
        yield os.write(descriptor, octets[len(octets) // 2 :])
        os.close(descriptor)

    def life(self, *, progress):
        """Every step of one message, in the table's order; a word marks the moment 250 may have been said."""
        yield from self.put(self.content, CONTENT)
        yield from self.put(self.envelope, ENVELOPE)
        yield "accepted"
        if progress:
            yield from self.put(self.progress, b"some lines")
        yield "finished"
        for folder in (self.envelope, self.progress, self.content):
            yield folder.remove(ID)

    @property
    def state(self):
        return state_of(self.content.size(ID), self.envelope.read(ID, 999), progress=self.progress.size(ID) is not None)


@settings(max_examples=60)
@given(st.integers(0, 16), st.booleans(), st.integers(1, 3))
def test_killed_after_any_step_recovery_keeps_what_was_accepted_and_removes_what_was_not(
    tmp_path_factory, kill_after, progress, starts
):
    """Accepted and unfinished: owed, however often recovery runs. Not accepted: gone. Finished: never owed again."""
    spool = Spool(tmp_path_factory.mktemp("states") / "spool")
    said = []
    for _, step in zip(range(kill_after), spool.life(progress=progress), strict=False):
        said.append(step)
    before = spool.state
    for _ in range(starts):
        recover(spool.content, spool.envelope)
    if "accepted" in said and "finished" not in said:
        assert spool.state is before
        assert before in OWED
    elif "finished" in said and before in OWED:
        assert spool.state is before  # Cut off before the cleaner began: delivered again, onto the same file.
    else:
        assert spool.state in (State.S0, State.S2, State.S4)
        assert spool.state is not State.S2 or before is State.S2
        assert "accepted" in said or spool.content.size(ID) is None or spool.state is State.S2
    # And from wherever it stands, the cleaner brings it to nothing.
    assert clean(ID, (spool.envelope, spool.progress, spool.content))
    assert spool.state is State.S0
    spool.close()


def test_recovery_keeps_what_a_newer_postern_wrote_and_says_so(tmp_path):
    """It is accepted mail; being unable to read it is no reason to remove it."""
    spool = Spool(tmp_path / "spool")
    for folder, octets in ((spool.content, b"?"), (spool.envelope, NEWER)):
        for _ in spool.put(folder, octets):
            pass
    found = recover(spool.content, spool.envelope)
    assert (found.owed, found.removed, found.unknown_version, found.newest) == (1, 0, (ID,), ID)
    assert spool.envelope.read(ID, 999) == NEWER
    spool.close()
