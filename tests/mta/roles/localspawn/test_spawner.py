"""The judgement of localspawn, in process: locals and storekeeper are played by the test."""

import os

import pytest

from mta.roles.localspawn import spawner as module
from mta.roles.localspawn.spawner import Pool
from mta.wire import channel
from mta.wire import messages as m
from tests.fakes.descriptors import open_descriptors
from tests.mta.roles.localspawn._rig import POOL, House


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """One for all: fifteen hundred files take longer than any test of them. Whoever changes it changes it back."""
    folder = tmp_path_factory.mktemp("content")
    for number in range(1500):
        (folder / f"00063f8a3c1d2e4f{number:04x}").write_bytes(b"content")
    return folder


@pytest.fixture
def make_house(content):
    """Makes houses with a pool of uids, and closes them."""
    made = []

    def make(pool=POOL):
        made.append(House(content, pool))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture
def house(make_house):
    return make_house()


def test_a_delivery_goes_to_a_local_of_its_domain_and_its_answer_back(house):
    """Storekeeper is asked once; the content travels as a descriptor; the tag is the scheduler's own again."""
    house.deliver(1, 2)
    assert house.open_stores() == [b"one.example"]
    writes = house.writes()
    assert [(w.recipient, w.store) for w in writes] == [(b"joe@one.example", b"joe")] * 2
    house.confirm(writes, size=77)
    answers = house.answers()
    assert {tag: (a.action, a.status, a.size) for tag, a in answers.items()} == dict.fromkeys(
        (1, 2), (b"delivered", b"2.0.0", 77)
    )

    house.deliver(3)
    assert house.open_stores() == []
    assert len(house.locals) == 1
    assert len(house.writes()) == 1


def test_the_descriptor_is_the_content_and_cannot_be_written(house):
    house.deliver(5)
    house.open_stores()
    ((_, (descriptor,)),) = list(house.locals[0][1].receive())
    assert os.read(descriptor, 100) == b"content"
    with pytest.raises(OSError):
        os.write(descriptor, b"x")
    os.close(descriptor)


@pytest.mark.parametrize("kind", ["link", "folder", "missing", "fifo"])
def test_what_is_not_a_file_is_not_handed_on(house, content, kind):
    """A link in the spool would let whoever wrote it choose what is delivered; a FIFO would block."""
    path = content / "00063f8a3c1d2e4fffff"
    {
        "link": lambda: path.symlink_to("/etc/passwd"),
        "folder": path.mkdir,
        "missing": lambda: None,
        "fifo": lambda: os.mkfifo(path),
    }[kind]()
    house.deliver(0xFFFF)
    house.open_stores()
    try:
        assert house.writes() == []
        assert house.answers()[0xFFFF].action == b"delayed"
    finally:
        if kind == "folder":
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "message",
    [
        m.Deliver(1, b"../../etc/passwd0000", b"", b"joe@one.example", b"one.example", b"joe", b""),
        m.Deliver(1, b"00063f8a3c1d2e4f0001", b"", b"joe@one.example", b"../one.example", b"joe", b""),
        m.Deliver(1, b"00063f8a3c1d2e4f0001", b"", b"joe@one.example", b"one.example", b"..", b""),
        m.Deliver(1, b"00063f8a3c1d2e4f0001", b"", b"joe@one.example", b"one.example", b"\xff", b""),
    ],
    ids=["queue id", "domain", "store", "not text"],
)
def test_a_name_that_would_be_another_path_hangs_up(house, message):
    house.scheduler.send(message)
    house.settle()
    with pytest.raises(channel.ChannelClosed):
        list(house.scheduler.receive())


def test_a_lost_local_s_deliveries_are_delayed_and_the_next_gets_a_new_one_once_it_is_reaped(house):
    """Two processes of one uid at once must never be."""
    house.deliver(1, 2)
    house.open_stores()
    assert len(house.writes()) == 2
    house.locals[0][1].close()
    house.settle()
    assert {(a.action, a.status) for a in house.answers().values()} == {(b"delayed", b"4.3.0")}

    house.deliver(3)
    assert house.open_stores() == []
    assert len(house.locals) == 1

    house.locals[0][2](9)
    house.settle()
    assert house.open_stores() == [b"one.example"]
    assert len(house.locals) == 2
    house.confirm(house.writes())
    assert house.answers()[3].action == b"delivered"


def test_answers_that_a_local_gave_before_it_was_killed_are_heard(house):
    """Delivered is delivered: asking again would only repeat it."""
    house.deliver(1, 2)
    house.open_stores()
    first, _ = house.writes()
    house.locals[0][1].send(m.Attempted(first.tag, b"delivered", b"2.0.0", b"", 1))
    house.locals[0][1].close()
    house.locals[0][2](9)
    house.settle()
    assert {tag: a.action for tag, a in house.answers().items()} == {1: b"delivered", 2: b"delayed"}


def test_the_ledger_is_told_of_counted_mailboxes_only_and_never_of_a_delay(house):
    for number, (counted, action) in enumerate(
        [
            (b"joe@one.example", b"delivered"),
            (b"", b"delivered"),
            (b"joe@one.example", b"failed"),
            (b"joe@one.example", b"delayed"),
        ]
    ):
        house.deliver(number, counted=counted)
        house.open_stores()
        house.confirm(house.writes(), action=action, status={b"d": b"2.0.0", b"f": b"5.4.6"}[action[:1]], size=42)
    assert house.told(house.ledger) == [
        m.Stored(b"00063f8a3c1d2e4f0000", b"joe@one.example", 42),
        m.Release(b"00063f8a3c1d2e4f0002", b"joe@one.example"),
    ]


@pytest.mark.parametrize(
    ("uid", "pool"),
    [(0, Pool(5000, 10)), (4999, Pool(5000, 10)), (5010, Pool(5000, 10)), (1, Pool(0, 1))],
)
def test_a_uid_outside_the_range_is_not_believed(make_house, uid, pool):
    """Not even storekeeper's word makes a process of root or of a role."""
    house = make_house(pool)
    house.deliver(1)
    house.open_stores(uid)
    assert house.locals == []
    assert house.answers()[1].action == b"delayed"
    assert house.told(house.journal)[0].name == b"store-refused"


def test_a_folder_of_another_uid_is_not_believed(make_house, content):
    own = os.stat(content).st_uid
    house = make_house(Pool(own + 1, 10))
    house.deliver(1)
    house.open_stores(own + 1)
    assert house.locals == []
    assert house.answers()[1].action == b"delayed"


def test_two_domains_with_one_uid_do_not_live_at_once(make_house, content):
    uid = 5000
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    before = content.stat()
    os.chown(content, uid, uid)
    try:
        house = make_house(Pool(uid, 10))
        house.deliver(1, domain=b"one.example")
        house.open_stores(uid)
        house.deliver(2, domain=b"two.example")
        house.open_stores(uid)
    finally:
        os.chown(content, before.st_uid, before.st_gid)
    assert len(house.locals) == 1
    assert house.answers()[2].action == b"delayed"


def test_storekeeper_s_no_is_passed_on(house):
    house.deliver(1)
    for message, _ in house.storekeeper.receive():
        house.storekeeper.send(m.StoreDone(message.tag, False, b"no space"))
    house.settle()
    answer = house.answers()[1]
    assert (answer.action, answer.status) == (b"delayed", b"4.3.0")
    assert b"no space" in answer.diagnostic_code


def test_deliveries_wait_for_a_storekeeper_that_is_restarted(house):
    """Its question is asked anew; nobody is told of a delay that was a second long."""
    house.deliver(1)
    house.storekeeper.close()
    house.settle()
    house.deliver(2)
    house.time += module.HOLD_SECONDS / 2
    house.spawner.sweep()
    house.storekeeper = house.join("storekeeper", serving=False)
    house.settle()
    assert house.open_stores() == [b"one.example"]
    house.confirm(house.writes())
    assert {a.action for a in house.answers().values()} == {b"delivered"}


def test_but_not_for_ever(house):
    house.storekeeper.close()
    house.settle()
    house.deliver(1)
    house.time += module.HOLD_SECONDS + 1
    house.spawner.sweep()
    assert house.answers()[1].action == b"delayed"


def test_an_idle_local_is_ended_and_a_busy_one_is_not(house):
    house.deliver(1)
    house.open_stores()
    house.time += module.IDLE_SECONDS + 1
    house.spawner.sweep()
    house.settle()
    writes = house.writes()
    house.confirm(writes)

    house.time += module.IDLE_SECONDS + 1
    house.spawner.sweep()
    house.settle()
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())


def test_a_local_that_never_answers_is_hung_up_on(house):
    house.deliver(1)
    house.open_stores()
    house.time += module.STUCK_SECONDS + 1
    house.spawner.sweep()
    house.settle()
    assert house.answers()[1].action == b"delayed"


@pytest.mark.parametrize(
    "answer",
    [
        lambda tag: m.Attempted(tag + 1000, b"delivered", b"2.0.0", b"", 1),
        lambda tag: m.Attempted(tag, b"relayed", b"2.0.0", b"", 1),
    ],
    ids=["not its delivery", "not a local's word"],
)
def test_a_local_that_lies_about_more_than_its_own_is_hung_up_on(house, answer):
    """A taken-over local can say false things of its own domain's mail, and of nothing else."""
    house.deliver(1)
    house.open_stores()
    (write,) = house.writes()
    house.locals[0][1].send(answer(write.tag))
    house.settle()
    assert house.answers()[1].action == b"delayed"
    with pytest.raises(channel.ChannelClosed):
        list(house.locals[0][1].receive())


def test_what_a_local_says_is_made_harmless(house):
    """It goes into a log and into a notification to a stranger."""
    house.deliver(1)
    house.open_stores()
    (write,) = house.writes()
    house.locals[0][1].send(m.Attempted(write.tag, b"failed", b"9.9\r\nX: y", b"line\r\nbreak\xff", 1))
    house.settle()
    answer = house.answers()[1]
    assert answer.status == b"4.3.0"
    assert answer.diagnostic_code == b"line??break?"


def test_a_local_has_no_more_in_hand_than_one_batch(house):
    """So its descriptors are bounded, whatever the scheduler sends."""
    house.deliver(*range(200))
    house.open_stores()
    first = house.writes()
    assert len(first) == module.IN_HAND
    house.confirm(first)
    rest = house.writes()
    assert len(rest) == module.IN_HAND


def test_a_domain_with_much_mail_does_not_keep_others_waiting(house, monkeypatch):
    """With one place for two domains they take turns, although the first has more to do."""
    monkeypatch.setattr(module, "MAX_DOMAINS", 1)
    monkeypatch.setattr(module, "TURN", 100)
    house.deliver(*range(1000), domain=b"big.example")
    house.open_stores()
    house.deliver(1001, domain=b"small.example")
    delivered = 0
    while len(house.locals) == 1 and delivered < 1000:
        try:
            writes = house.writes()
        except channel.ChannelClosed:
            house.end()
            house.open_stores()
            continue
        delivered += len(writes)
        house.confirm(writes)
    assert delivered <= 100 + module.IN_HAND
    house.confirm(house.writes())
    assert house.answers()[1001].action == b"delivered"
    # And then it is the big one's turn again, with all that is left.
    house.end()
    house.open_stores()
    assert len(house.writes()) == module.IN_HAND


def test_with_all_places_taken_the_one_idle_longest_makes_room(house, monkeypatch):
    monkeypatch.setattr(module, "MAX_DOMAINS", 2)
    for number, domain in enumerate((b"one.example", b"two.example")):
        house.time += 1
        house.deliver(number, domain=domain)
        house.open_stores()
        house.confirm(house.writes())
    house.deliver(3, domain=b"three.example")
    assert house.open_stores() == []
    house.end(0)
    assert house.open_stores() == [b"three.example"]
    house.confirm(house.writes())
    assert house.answers()[3].action == b"delivered"
    assert house.locals[1][1].closed is False


def test_more_than_it_can_hold_is_left_to_the_scheduler(house, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD", 5)
    house.deliver(*range(8))
    assert {tag: (a.action, a.status) for tag, a in house.answers().items()} == dict.fromkeys(
        (5, 6, 7), (b"delayed", b"4.3.2")
    )


def test_what_a_lost_scheduler_asked_and_nobody_began_is_forgotten(house):
    """Its successor asks for all of it anew. What was begun is finished, and counted no more."""
    house.deliver(*range(100))
    house.open_stores()
    house.scheduler.close()
    house.settle()
    writes = house.writes()
    house.confirm(writes)
    assert house.writes() == []
    house.scheduler = house.join("scheduler", serving=True)
    house.settle()
    house.deliver(7)
    house.confirm(house.writes())
    assert house.answers()[7].action == b"delivered"
    assert house.spawner._held == 0


def test_nothing_is_left_behind_when_all_is_done(house):
    """No domain, no descriptor, however many came and went."""
    before = open_descriptors()
    for number in range(30):
        house.deliver(number, domain=b"d%d.example" % number)
        house.open_stores()
        house.confirm(house.writes())
        house.end()
    house.time += 100
    house.spawner.sweep()
    house.settle()
    assert house.spawner._domains == {}
    assert house.spawner._living == {}
    assert house.spawner._held == 0
    assert open_descriptors() <= before


def test_a_fork_that_fails_delays(house, monkeypatch):
    def none(*_):
        raise BlockingIOError(11, "no process")

    monkeypatch.setattr(house.spawner, "_start_local", none)
    house.deliver(1)
    house.open_stores()
    assert house.answers()[1].action == b"delayed"
    assert house.spawner._living == {}
