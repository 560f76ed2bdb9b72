"""Many domains with a little mail each: their waits for the disk are shared, in an order that loses nothing."""

import errno
import os

import pytest

from mta import events
from mta.roles.localspawn import spawner as module
from mta.roles.localspawn import together
from mta.roles.localspawn.domains import Steps
from mta.roles.localspawn.together import MANY_DOMAINS, WINDOW_SECONDS, Disk, Moment
from mta.wire import channel
from mta.wire import messages as m
from tests.mta.roles.localspawn._rig import House

DOMAINS = [b"d%d.example" % number for number in range(MANY_DOMAINS)]


@pytest.fixture
def house(tmp_path):
    """A house in a busy moment: each of DOMAINS has had one message, by itself, and has its local."""
    for number in range(200):
        (tmp_path / f"00063f8a3c1d2e4f{number:04x}").write_bytes(b"content %d" % number)
    house = House(tmp_path)
    for number, domain in enumerate(DOMAINS):
        house.deliver(number, domain=domain)
        house.open_stores()
        (write,) = house.writes()
        assert isinstance(write, m.Write)
        house.confirm([write])
    assert len(house.answers()) == MANY_DOMAINS
    house.time += WINDOW_SECONDS
    yield house
    house.close()


def go_on(house, seconds=0.0):
    """Time passes, and a round of the loop ends."""
    house.time += seconds
    house.settle()
    house.settle()  # What a round decides at its end happens in the next.


def stay_busy(house):
    """As if all of DOMAINS had mail all the time."""
    house.spawner._moment.is_busy = lambda domain: True


def stages(house, number):
    """The deliveries of each Stage that the local has been handed, as (tag, queue id)."""
    found = []
    for message in house.writes(number):
        assert isinstance(message, m.Stage), message
        found.append([(int(tag), queue_id) for tag, queue_id, *_ in zip(*[iter(message.deliveries)] * 5, strict=True)])
    return found


def staged(house, number, tags, size=10):
    house.locals[number][1].send(m.Staged(tuple(field for tag in tags for field in (b"%d" % tag, b"%d" % size))))
    house.settle()


def test_a_gathered_delivery_is_written_synced_renamed_synced_and_then_delivered(house):
    """No step before the one in front of it is on the disk; one sync a step, however many domains."""
    house.deliver(100, domain=DOMAINS[0])
    house.deliver(101, domain=DOMAINS[1])
    assert house.writes(0) == house.writes(1) == []

    go_on(house, WINDOW_SECONDS)
    tags = [tag for number in (0, 1) for [(tag, _)] in [*stages(house, number)]]
    assert house.disk.syncs == 0

    staged(house, 0, tags[:1])
    assert house.disk.syncs == 0, "the other is still writing"
    staged(house, 1, tags[1:])
    assert house.disk.syncs == 1
    assert stages(house, 0) == stages(house, 1) == [[]], "rename what is sure, and nothing more to write"
    assert house.answers() == {}

    staged(house, 0, [])
    staged(house, 1, [])
    assert house.disk.syncs == 2
    assert {tag: (a.action, a.size) for tag, a in house.answers().items()} == dict.fromkeys(
        (100, 101), (b"delivered", 10)
    )
    assert stages(house, 0) == stages(house, 1) == []


def test_several_for_one_domain_are_handed_over_in_one_packet(house):
    house.deliver(100, 101, 102, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    [stage] = stages(house, 0)
    assert [queue_id for _, queue_id in stage] == [b"00063f8a3c1d2e4f%04x" % number for number in (100, 101, 102)]


def test_a_stage_carries_the_content_of_each_in_order(house):
    house.deliver(100, 101, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    ((_, descriptors),) = list(house.locals[0][1].receive())
    assert [os.read(descriptor, 100) for descriptor in descriptors] == [b"content 100", b"content 101"]
    for descriptor in descriptors:
        os.close(descriptor)


def test_the_next_stage_renames_and_writes_at_once(house):
    """Under load a local wakes once for both."""
    stay_busy(house)
    house.deliver(100, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    [[(first, _)]] = stages(house, 0)
    house.deliver(101, domain=DOMAINS[0])
    staged(house, 0, [first])
    assert stages(house, 0) == [], "what gathers is waited for"
    go_on(house, WINDOW_SECONDS)
    [[(second, _)]] = stages(house, 0)
    assert house.disk.syncs == 1
    staged(house, 0, [second])
    assert set(house.answers()) == {100}
    staged(house, 0, [])
    assert set(house.answers()) == {101}


def test_a_local_that_does_not_answer_keeps_nobody_else(house):
    stay_busy(house)
    house.deliver(100, domain=DOMAINS[0])
    house.deliver(101, domain=DOMAINS[1])
    go_on(house, WINDOW_SECONDS)
    stages(house, 0)
    [[(tag, _)]] = stages(house, 1)
    staged(house, 1, [tag])
    go_on(house, WINDOW_SECONDS)
    assert stages(house, 1) == [[]]
    staged(house, 1, [])
    go_on(house, WINDOW_SECONDS)
    assert set(house.answers()) == {101}
    house.deliver(102, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    assert stages(house, 0) == [], "one Stage at a time"


def test_what_gathered_in_numbers_waits_no_longer(house, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 3)
    for number in range(3):
        house.deliver(100 + number, domain=DOMAINS[number])
    assert [len(stages(house, number)) for number in range(3)] == [1, 1, 1]


def test_a_domain_with_much_mail_goes_its_own_way(house):
    """It makes batches by itself, and would be held up by the steps of the others."""
    for number in range(module.SEVERAL):
        house.scheduler.send(
            m.Deliver(100 + number, b"00063f8a3c1d2e4f%04x" % number, b"", b"joe@x", DOMAINS[0], b"joe", b"")
        )
    house.settle()
    assert [type(message) for message in house.writes(0)] == [m.Write] * module.SEVERAL


def test_a_domain_whose_turn_is_over_begins_nothing_more(house, monkeypatch):
    """When others wait for a place, it finishes what it has in hand and ends."""
    stay_busy(house)
    house.deliver(100, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    [[(tag, _)]] = stages(house, 0)
    house.deliver(101, domain=DOMAINS[0])
    monkeypatch.setattr(module, "TURN", 1)
    monkeypatch.setattr(module, "MAX_DOMAINS", MANY_DOMAINS)
    for domain in list(house.spawner._living)[1:]:
        domain.in_hand[-1] = domain  # All places are taken, and nobody in them is idle.
    house.deliver(102, domain=b"last.example")
    staged(house, 0, [tag])
    go_on(house, WINDOW_SECONDS)
    assert stages(house, 0) == [[]]
    staged(house, 0, [])
    go_on(house, WINDOW_SECONDS)
    assert set(house.answers()) == {100}
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())


def test_a_lone_message_waits_for_nobody(house):
    """However busy it was a moment before."""
    go_on(house, WINDOW_SECONDS)
    house.deliver(100, domain=DOMAINS[0])
    assert [type(message) for message in house.writes(0)] == [m.Write]


@pytest.mark.parametrize("trouble", ["rests", "another file system"])
def test_without_a_disk_to_share_each_local_syncs_by_itself(house, trouble):
    if trouble == "rests":
        house.disk._rests_until = house.time + 60
    else:
        for domain in house.spawner._domains.values():
            domain.shares_disk = False
    house.deliver(100, domain=DOMAINS[0])
    assert [type(message) for message in house.writes(0)] == [m.Write]


def test_a_disk_that_refuses_delays_what_it_was_asked_for(house):
    """What was written may not be there, and what was renamed may not be: nothing of it is delivered, nothing renamed."""
    house.deliver(100, domain=DOMAINS[0])
    house.deliver(101, domain=DOMAINS[1])
    go_on(house, WINDOW_SECONDS)
    [[(tag, _)]] = stages(house, 0)
    stages(house, 1)
    house.disk.refuses = True
    staged(house, 0, [tag])
    go_on(house, WINDOW_SECONDS)
    assert {tag: a.action for tag, a in house.answers().items()} == {100: b"delayed"}
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())
    assert house.spawner._held == 1
    told = house.told(house.journal)[0]
    assert told.name == b"disk-refused"
    assert "localspawn" in events.EVENTS["disk-refused"].roles


@pytest.mark.parametrize("step", ["asked", "written", "renaming", "renamed"])
def test_a_local_that_is_lost_at_any_step_leaves_its_deliveries_delayed(house, step):
    house.deliver(100, domain=DOMAINS[0])
    house.deliver(101, domain=DOMAINS[1])  # whose local says nothing, so that steps are taken when we say
    go_on(house, WINDOW_SECONDS)
    [[(tag, _)]] = stages(house, 0)
    if step != "asked":
        staged(house, 0, [tag])
    if step in ("renaming", "renamed"):
        go_on(house, WINDOW_SECONDS)
    if step == "renamed":
        staged(house, 0, [])
    house.end(0)
    go_on(house, WINDOW_SECONDS)
    assert {tag: a.action for tag, a in house.answers().items()} == {100: b"delayed"}

    house.deliver(102, domain=DOMAINS[0])
    house.open_stores()
    go_on(house, WINDOW_SECONDS)
    assert house.writes()


def test_what_could_not_be_done_is_answered_for_itself(house):
    """A Stage of two, of which one cannot be written and the other cannot be renamed."""
    house.deliver(100, 101, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    [[(one, _), (two, _)]] = stages(house, 0)
    house.locals[0][1].send(m.Attempted(one, b"delayed", b"4.3.1", b"ENOSPC", 0))
    staged(house, 0, [two])
    house.locals[0][1].send(m.Attempted(two, b"delayed", b"4.3.0", b"ENOENT", 0))
    staged(house, 0, [])
    assert {tag: (a.action, a.status) for tag, a in house.answers().items()} == {
        100: (b"delayed", b"4.3.1"),
        101: (b"delayed", b"4.3.0"),
    }
    assert house.spawner._held == 0


@pytest.mark.parametrize(
    "sizes",
    [(), (b"1",), (b"1", b"2"), (b"x", b"1"), (b"9" * 30, b"1")],
    ids=["nothing", "half a pair", "not its delivery", "no number", "no number of ours"],
)
def test_a_local_that_says_it_did_something_else_is_hung_up_on(house, sizes):
    house.deliver(100, domain=DOMAINS[0])
    go_on(house, WINDOW_SECONDS)
    stages(house, 0)
    house.locals[0][1].send(m.Staged(sizes))
    house.settle()
    assert house.answers()[100].action == b"delayed"
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())


def test_a_local_that_was_asked_nothing_has_nothing_to_say(house):
    house.locals[0][1].send(m.Staged(()))
    house.settle()
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())


def test_nothing_is_left_of_it_afterwards(house):
    """Neither deliveries nor a step that is always due."""
    for turn in range(3):
        for number, domain in enumerate(DOMAINS):
            house.deliver(20 * (turn + 1) + number, domain=domain)
        go_on(house, WINDOW_SECONDS)
        for number in range(MANY_DOMAINS):
            staged(house, number, [tag for stage in stages(house, number) for tag, _ in stage])
        for number in range(MANY_DOMAINS):
            staged(house, number, [tag for stage in stages(house, number) for tag, _ in stage])
        assert len(house.answers()) == MANY_DOMAINS
    spawner = house.spawner
    assert (spawner._held, spawner._due, spawner._stepping, spawner._gathering) == (0, 0.0, {}, {})
    assert all(domain.is_idle for domain in spawner._domains.values())


# --- the parts


def test_a_moment_is_busy_after_a_window_with_many_domains_and_no_longer():
    now = [0.0]
    moment = Moment(lambda: now[0])
    assert not any(moment.is_busy(domain) for domain in DOMAINS)
    now[0] += WINDOW_SECONDS
    assert all(moment.is_busy(domain) for domain in DOMAINS)
    now[0] += WINDOW_SECONDS
    assert moment.is_busy(DOMAINS[0])
    now[0] += WINDOW_SECONDS
    assert not moment.is_busy(DOMAINS[0]), "one domain is not many"


def test_a_domain_is_counted_once():
    now = [0.0]
    moment = Moment(lambda: now[0])
    for _ in range(100):
        moment.is_busy(b"one.example")
    now[0] += WINDOW_SECONDS
    assert not moment.is_busy(b"one.example")


def test_a_step_is_not_taken_before_the_one_in_front_of_it_is_synced():
    """Written, renamed and delivered are three syncs' worth of one order."""
    steps = Steps(asked={1: 0}, outstanding=True)
    assert steps.synced() == {}
    assert steps.sure == {}, "what is being written now is not what the sync had"
    assert steps.answered({1: 7})
    assert steps.need_sync
    assert steps.synced() == {}
    assert steps.sure == {1: 7}


@pytest.mark.parametrize(("seconds", "rests"), [(0.1, False), (0.3, True)])
def test_a_slow_disk_is_left_to_the_locals_for_a_while(tmp_path, monkeypatch, seconds, rests):
    now = [0.0]
    monkeypatch.setattr(together, "sync_filesystem", lambda _: now.__setitem__(0, now[0] + seconds))
    folder = os.open(tmp_path, os.O_RDONLY)
    disk = Disk(folder, lambda: now[0])
    assert disk.holds(os.stat(tmp_path))
    assert disk.sync()
    assert disk.rests is rests
    now[0] += together.REST_SECONDS
    assert not disk.rests
    os.close(folder)


def test_a_disk_that_refused_rests_too(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(together, "sync_filesystem", broken)
    folder = os.open(tmp_path, os.O_RDONLY)
    disk = Disk(folder)
    assert not disk.sync()
    assert disk.rests
    os.close(folder)
