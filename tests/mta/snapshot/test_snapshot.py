"""What is published is found as a whole or not at all, by any reader, whatever happened to the writer."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mta.events import EVENTS
from mta.snapshot import format as formats
from mta.snapshot.cdb import CdbError
from mta.snapshot.reader import NOTHING_YET, Snapshot, SnapshotMissing, tell_state
from mta.snapshot.writer import NotContinued, SnapshotWriter

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of syncs are not what is tested here
INSTANCE = b"i" * 16
KEYS = st.binary(min_size=1, max_size=3)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=8), max_size=6)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def writer(folder):
    writer = SnapshotWriter(folder)
    writer.publish_all(INSTANCE, 1, [(b"a", b"1"), (b"b", b"2")])
    return writer


def delta(folder):
    """The one delta there is."""
    (found,) = folder.glob("*.delta")
    return found


def test_a_reader_before_anything_was_published_says_so_and_sees_it_when_it_comes(folder):
    """Missing is not the same as empty: a directory that knows nothing must not say `unknown`."""
    reader = Snapshot.open(folder)
    with pytest.raises(SnapshotMissing):
        reader.get(b"a")
    assert reader.trouble == NOTHING_YET
    SnapshotWriter(folder).publish_all(INSTANCE, 1, [(b"a", b"1")])
    assert reader.refresh()
    assert reader.get(b"a") == b"1"
    assert not reader.trouble


def test_what_cannot_be_read_is_not_told_as_nothing_published(folder):
    """Else an operator waits for a publication, where permissions want mending."""
    (folder / "current").symlink_to("current")
    reader = Snapshot.open(folder)
    assert "cannot be read" in reader.trouble
    (folder / "current").unlink()
    reader.refresh()
    assert reader.trouble == NOTHING_YET


@pytest.mark.parametrize(
    ("trouble", "event"),
    [("", "snapshot-in-use"), (NOTHING_YET, "snapshot-awaited"), ("damaged", "snapshot-trouble")],
)
def test_to_wait_for_the_first_snapshot_is_no_trouble(trouble, event):
    """Every first start does so: an operator who reads of trouble there learns to overlook it."""
    told = []
    tell_state(lambda name, why: told.append((name, why)), trouble)
    assert told == [(event, trouble)]
    assert EVENTS[event].quiet == (event != "snapshot-trouble")


def test_a_batch_is_seen_by_an_open_reader(folder, writer):
    """Puts, changes and removals; the change number goes with them; a look at nothing new says so."""
    reader = Snapshot.open(folder)
    assert not reader.refresh()
    writer.publish_changes(INSTANCE, 7, [(b"a", b"one"), (b"b", None), (b"c", b"")])
    assert reader.refresh()
    assert [reader.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"one", None, b"", None]
    assert reader.header == formats.Header(INSTANCE, 7)
    assert not reader.refresh()


def test_a_new_generation_replaces_the_former_under_an_open_reader(folder, writer):
    """Nothing of the former shines through, and its files are gone."""
    reader = Snapshot.open(folder)
    writer.publish_changes(INSTANCE, 2, [(b"old", b"x")])
    writer.publish_all(INSTANCE, 3, [(b"new", b"y")])
    reader.refresh()
    assert (reader.get(b"new"), reader.get(b"old"), reader.get(b"a")) == (b"y", None, None)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("missing", range(1, 40))
def test_a_torn_batch_is_ignored_until_it_is_whole(folder, writer, missing):
    """However many octets the end lacks: all of the batch before, nothing of the torn one, then the whole."""
    writer.publish_changes(INSTANCE, 2, [(b"a", b"two")])
    writer.publish_changes(INSTANCE, 3, [(b"a", b"three"), (b"z", b"zzzzzzzzzzz")])
    whole = delta(folder).read_bytes()
    assert missing < len(whole)
    delta(folder).write_bytes(whole[:-missing])
    reader = Snapshot.open(folder)
    assert (reader.get(b"a"), reader.get(b"z"), reader.header.change) == (b"two", None, 2)
    delta(folder).write_bytes(whole)
    assert reader.refresh()
    assert (reader.get(b"a"), reader.get(b"z"), reader.header.change) == (b"three", b"zzzzzzzzzzz", 3)


def test_a_writer_after_a_crash_overwrites_the_torn_end(folder, writer):
    """The next batch stands where the torn one began; an open reader takes it."""
    writer.publish_changes(INSTANCE, 2, [(b"a", b"lost" * 100)])
    whole = delta(folder).read_bytes()
    delta(folder).write_bytes(whole[:-50])
    reader = Snapshot.open(folder)
    assert reader.get(b"a") == b"1"
    SnapshotWriter(folder).publish_changes(INSTANCE, 2, [(b"a", b"again")])
    reader.refresh()
    assert reader.get(b"a") == b"again"
    assert delta(folder).stat().st_size < len(whole) - 50


def test_a_flipped_octet_ends_the_delta_there(folder, writer):
    """A damaged batch is not taken, nor any after it: they may build on it."""
    writer.publish_changes(INSTANCE, 2, [(b"a", b"two")])
    good = delta(folder).stat().st_size
    writer.publish_changes(INSTANCE, 3, [(b"a", b"three")])
    writer.publish_changes(INSTANCE, 4, [(b"a", b"four")])
    octets = bytearray(delta(folder).read_bytes())
    octets[good + 20] ^= 1
    delta(folder).write_bytes(octets)
    assert Snapshot.open(folder).get(b"a") == b"two"


def test_a_frame_from_another_place_is_not_a_batch(folder, writer):
    """Blocks that a crashed file system puts elsewhere, or left over from another generation, do not pass."""
    writer.publish_changes(INSTANCE, 2, [(b"a", b"two")])
    frame = delta(folder).read_bytes()
    writer.publish_all(INSTANCE, 3, [(b"a", b"three")])
    delta(folder).write_bytes(frame)
    assert Snapshot.open(folder).get(b"a") == b"three"


@pytest.mark.parametrize("damage", ["octet", "cut", "garbage", "empty", "short-cdb", "no-cdb", "no-delta"])
def test_a_damaged_new_generation_leaves_the_reader_with_what_it_has(folder, writer, damage):
    """It goes on with the former, says what is wrong, and takes the next good one."""
    reader = Snapshot.open(folder)
    writer.publish_all(INSTANCE, 2, [(b"a", b"new")])
    spoil(folder, damage)
    assert not reader.refresh()
    assert reader.get(b"a") == b"1"
    assert reader.trouble
    SnapshotWriter(folder).publish_all(INSTANCE, 3, [(b"a", b"newer")])
    assert reader.refresh()
    assert reader.get(b"a") == b"newer"
    assert not reader.trouble


def spoil(folder, damage):
    current = folder / formats.CURRENT
    octets = current.read_bytes()
    (cdb,) = folder.glob("*.cdb")
    match damage:
        case "octet":
            current.write_bytes(octets.replace(b"1:2,", b"1:3,"))
        case "cut":
            current.write_bytes(octets[:-9])
        case "garbage":
            current.write_bytes(b"\xff" * 200)
        case "empty":
            current.write_bytes(b"")
        case "short-cdb":
            cdb.write_bytes(cdb.read_bytes()[:-1])
        case "no-cdb":
            cdb.unlink()
        case "no-delta":
            delta(folder).unlink()


@pytest.mark.parametrize("position", [0, 4, 8, 2040])
def test_a_damaged_constant_database_is_an_error_and_never_an_answer(folder, position):
    """A table of contents that points outside: `missing`, not `no such key`."""
    SnapshotWriter(folder).publish_all(INSTANCE, 1, [(b"%d" % number, b"v") for number in range(2000)])
    (cdb,) = folder.glob("*.cdb")
    octets = bytearray(cdb.read_bytes())
    octets[position : position + 4] = b"\xff\xff\xff\x7f"
    cdb.write_bytes(octets)
    reader = Snapshot.open(folder)
    assert reader.trouble
    with pytest.raises(SnapshotMissing):
        reader.get(b"5")


def test_nothing_that_goes_backward_or_comes_from_elsewhere_is_appended(writer):
    """An older change number, or another instance's: refused before a byte is written."""
    writer.publish_changes(INSTANCE, 5, [(b"a", b"5")])
    with pytest.raises(NotContinued):
        writer.publish_changes(INSTANCE, 4, [(b"a", b"4")])
    with pytest.raises(NotContinued):
        writer.publish_changes(b"x" * 16, 9, [(b"a", b"9")])
    assert writer.published().change == 5


def test_nothing_is_appended_to_nothing(folder):
    """A delta needs a generation below it."""
    with pytest.raises(NotContinued):
        SnapshotWriter(folder).publish_changes(INSTANCE, 1, [])


def test_two_writers_in_turn_see_each_others_work(folder, writer):
    """The command publishes between two batches of the compiler: neither overwrites the other."""
    other = SnapshotWriter(folder)
    writer.publish_changes(INSTANCE, 2, [(b"a", b"two")])
    other.publish_changes(INSTANCE, 3, [(b"b", b"three")])
    writer.publish_changes(INSTANCE, 4, [(b"c", b"four")])
    other.publish_all(INSTANCE, 5, [(b"d", b"five")])
    writer.publish_changes(INSTANCE, 6, [(b"e", b"six")])
    reader = Snapshot.open(folder)
    assert [reader.get(key) for key in (b"a", b"d", b"e")] == [None, b"five", b"six"]
    assert reader.header.change == 6


def test_a_compaction_changes_nothing_but_the_files(folder, writer):
    """Batches that come while it runs are not lost; removed keys do not come back; the delta is short again."""
    for number in range(2, 300):
        writer.publish_changes(INSTANCE, number, [(b"%d" % (number % 50), b"v%d" % number), (b"a", None)])
    before = delta(folder).stat().st_size
    steps = writer.compaction()
    next(steps)
    writer.publish_changes(INSTANCE, 300, [(b"during", b"yes"), (b"7", None)])
    for _ in steps:
        pass
    assert delta(folder).stat().st_size < before / 50
    reader = Snapshot.open(folder)
    assert (reader.get(b"during"), reader.get(b"7"), reader.get(b"a"), reader.get(b"b")) == (b"yes", None, None, b"2")
    assert (reader.get(b"8"), reader.header.change) == (b"v258", 300)


def test_a_generation_published_during_a_compaction_wins(folder, writer):
    """The compaction gives up and leaves nothing behind."""
    steps = writer.compaction()
    next(steps)
    SnapshotWriter(folder).publish_all(INSTANCE, 9, [(b"k", b"v")])
    for _ in steps:
        pass
    reader = Snapshot.open(folder)
    assert (reader.get(b"k"), reader.get(b"a")) == (b"v", None)
    assert len(list(folder.iterdir())) == 3


def test_a_dead_writers_leftovers_are_removed_and_never_read(folder, writer):
    """Half a generation under its temporary name does no harm, and is gone after the next."""
    (folder / "2.cdb.new").write_bytes(b"half")
    (folder / "2.delta").write_bytes(b"half")
    reader = Snapshot.open(folder)
    assert reader.get(b"a") == b"1"
    writer.publish_all(INSTANCE, 2, [(b"a", b"2")])
    assert sorted(path.name for path in folder.iterdir()) == ["3.cdb", "3.delta", "current"]


def test_a_delta_that_outgrew_its_generation_asks_for_compaction(folder, writer):
    """Readers hold the delta in memory, so it may not grow for ever."""
    assert not writer.wants_compaction
    writer.publish_changes(INSTANCE, 2, [(b"k%d" % number, b"v" * 1000) for number in range(1100)])
    assert writer.wants_compaction
    for _ in writer.compaction():
        pass
    assert not writer.wants_compaction
    assert Snapshot.open(folder).get(b"k77") == b"v" * 1000


def test_however_large_a_generation_is_its_delta_has_a_bound():
    """A reader's memory must not depend on how many addresses there are."""
    huge = 1 << 32
    assert not formats.wants_compaction(formats.MAX_DELTA, huge)
    assert formats.wants_compaction(formats.MAX_DELTA + 1, huge)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_publishes_belongs_to_the_folders_owner(folder):
    """So that the compiler under its own uid can go on from there, and the reader's group may read."""
    os.chown(folder, 54321, 54322)
    SnapshotWriter(folder).publish_all(INSTANCE, 1, [])
    for path in folder.iterdir():
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (54321, 54322, 0o644), path


# --- other versions of the format ------------------------------------------------------------------------------------


def older_layout():
    """Version 0, as it might have been: batches say `key=value` in lines, values lack a last octet that today's have."""

    def batch(payload):
        change, *lines = payload.split(b"\n")
        pairs = [line.split(b"=", 1) for line in lines]
        return formats.Batch(int(change), tuple((key, value or None) for key, value in pairs))

    return formats.Layout(batch=batch, modernise=lambda key, value: value + b"!")


def publish_as_version(monkeypatch, folder, version, *args):
    monkeypatch.setattr("mta.snapshot.writer.FORMAT_VERSION", version)
    monkeypatch.setattr(formats, "LAYOUTS", {version: formats.Layout()})
    SnapshotWriter(folder).publish_all(*args)
    monkeypatch.undo()


def test_an_upgraded_reader_reads_what_the_version_before_wrote(folder, monkeypatch):
    """The program of version N+1 finds a snapshot of version N - constant part and delta - and answers in its own form."""
    publish_as_version(monkeypatch, folder, 0, INSTANCE, 3, [(b"a", b"1"), (b"b", b"2")])
    generation = formats.generation_of(delta(folder).name)
    delta(folder).write_bytes(formats.pack_frame(b"4\nb=two\nc=three", generation, 0))
    reader = Snapshot.open(folder, {0: older_layout(), **formats.LAYOUTS})
    assert [reader.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1!", b"two!", b"three!", None]
    assert reader.header.change == 4
    SnapshotWriter(folder)  # and the upgraded writer replaces it by its own
    SnapshotWriter(folder).publish_all(INSTANCE, 5, [(b"a", b"today")])
    assert reader.refresh()
    assert reader.get(b"a") == b"today"


def test_todays_reader_refuses_a_later_version_and_goes_on(folder, writer, monkeypatch):
    """After a rollback: clear words, the former snapshot stays in use, nothing is guessed."""
    reader = Snapshot.open(folder)
    publish_as_version(monkeypatch, folder, formats.FORMAT_VERSION + 1, INSTANCE, 2, [(b"a", b"new")])
    assert not reader.refresh()
    assert reader.get(b"a") == b"1"
    later, known = formats.FORMAT_VERSION + 1, formats.FORMAT_VERSION
    assert f"version {later}; this program reads up to {known}" in reader.trouble


def test_todays_reader_says_missing_when_only_a_later_version_is_there(folder, monkeypatch):
    """From a cold start it has nothing: `try later`, not `unknown`."""
    publish_as_version(monkeypatch, folder, formats.FORMAT_VERSION + 1, INSTANCE, 2, [(b"a", b"new")])
    reader = Snapshot.open(folder)
    with pytest.raises(SnapshotMissing, match=f"version {formats.FORMAT_VERSION + 1}"):
        reader.get(b"a")


def test_todays_writer_does_not_append_to_another_version(folder, monkeypatch):
    """Neither to a later one, which it cannot read, nor to an earlier one, whose batches look different."""
    publish_as_version(monkeypatch, folder, formats.FORMAT_VERSION + 1, INSTANCE, 2, [(b"a", b"new")])
    with pytest.raises(formats.TooNew):
        SnapshotWriter(folder).publish_changes(INSTANCE, 3, [])


# --- any history -----------------------------------------------------------------------------------------------------


class History(RuleBasedStateMachine):
    """Random publications, crashes and compactions: an old and a fresh reader equal a dictionary, and a past state of it."""

    @initialize(start=st.dictionaries(KEYS, st.binary(max_size=8)))
    def begin(self, start):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-snapshot-", dir=MEMORY))
        self.change = 1
        self.writer = SnapshotWriter(self.folder)
        self.writer.publish_all(INSTANCE, 1, start.items())
        self.now = dict(start)
        self.old = Snapshot.open(self.folder)
        self.steps = None

    @rule(changes=CHANGES)
    def publish(self, changes):
        self.change += 1
        self.writer.publish_changes(INSTANCE, self.change, changes.items())
        self.now = {key: value for key, value in (self.now | changes).items() if value is not None}

    @rule(changes=CHANGES.filter(bool), data=st.data())
    def crash_while_publishing(self, changes, data):
        before = self.writer.published().delta_octets
        self.writer.publish_changes(INSTANCE, self.change + 1, changes.items())
        after = delta(self.folder).stat().st_size
        os.truncate(delta(self.folder), data.draw(st.integers(before, after - 1)))
        self.writer, self.steps = SnapshotWriter(self.folder), None

    @rule(new=st.dictionaries(KEYS, st.binary(max_size=8)))
    def publish_all(self, new):
        self.change += 1
        self.writer.publish_all(INSTANCE, self.change, new.items())
        self.now = dict(new)

    @precondition(lambda self: self.steps is None)
    @rule()
    def begin_compaction(self):
        self.steps = self.writer.compaction()
        next(self.steps, None)

    @precondition(lambda self: self.steps is not None)
    @rule(count=st.integers(1, 300))
    def go_on_with_compaction(self, count):
        for _ in range(count):
            if next(self.steps, True):
                self.steps = None
                break

    @rule()
    def another_writer_takes_over(self):
        self.writer, self.steps = SnapshotWriter(self.folder), None

    @invariant()
    def readers_equal_the_dictionary(self):
        if not hasattr(self, "old"):
            return
        self.old.refresh()
        fresh = Snapshot.open(self.folder)
        for reader in (self.old, fresh):
            assert not reader.trouble
            for key in (b"\0", b"\1", b"\0\0", b"\0\1"):  # where small examples live; also those that are gone
                assert reader.get(key) == self.now.get(key)
            for key, value in self.now.items():
                assert reader.get(key) == value
        fresh.close()

    def teardown(self):
        if hasattr(self, "old"):
            self.old.close()
            shutil.rmtree(self.folder)


History.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestHistory = History.TestCase


def test_a_truncated_constant_database_is_refused_by_its_length(folder, writer):
    """Before it is mapped: a map beyond the end of a file kills the process that looks there."""
    (cdb,) = folder.glob("*.cdb")
    os.truncate(cdb, 100)
    assert "length" in Snapshot.open(folder).trouble


def test_more_than_four_gibibytes_are_refused(folder, monkeypatch):
    """Positions have 32 bits: refusing is better than a file that lies. The former stays published."""
    writer = SnapshotWriter(folder)
    writer.publish_all(INSTANCE, 1, [(b"a", b"1")])
    monkeypatch.setattr("mta.snapshot.cdb._LIMIT", 50_000)
    with pytest.raises(CdbError, match="4 GiB"):
        writer.publish_all(INSTANCE, 2, [(b"%d" % number, b"v" * 100) for number in range(1000)])
    monkeypatch.undo()
    assert Snapshot.open(folder).get(b"a") == b"1"
