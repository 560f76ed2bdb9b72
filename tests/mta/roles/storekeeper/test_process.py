"""storekeeper as the process it is: uids, folders, the trash, and a domain that fights back."""

import os
import signal
import stat
import time

import pytest

from mta import roster
from mta.maildir import make_store
from mta.roles.storekeeper import inside
from mta.wire import messages as m
from tests.fixtures.lone_role import UID_BASE, finish, open_way_to_mail, readable, receive, run_as, start_as

FIRST = UID_BASE + roster.DOMAIN_UIDS_FROM
MODES = pytest.mark.parametrize("root", [True, False], ids=["root", "ordinary"])


@pytest.fixture
def keeper(lone_role, state):
    """Starts it; answers the role and the channels of its two clients."""

    def start(*, root=True):
        role = lone_role(roster.STOREKEEPER, state, root=root)
        localspawn, compiler = role.as_client("localspawn"), role.as_client("compiler")
        assert receive(role.control)[0] == m.Ready()
        return role, localspawn, compiler

    return start


def ask(channel, message):
    channel.send(message)
    return receive(channel)


def opened(localspawn, domain, tag=1):
    """uid and folder of *domain*; the test closes the descriptor by its end at the latest."""
    answer, descriptors = ask(localspawn, m.OpenStore(tag, domain))
    assert isinstance(answer, m.Store), answer
    return answer.uid, descriptors[0]


def hunt():
    """Stop the first process that can be stopped; answers its pid. Who is not dumpable shows as root's, so try them all."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) != os.getpid():
                try:
                    os.kill(int(pid), signal.SIGSTOP)
                except OSError:
                    continue
                return pid
    return ""


def test_each_domain_has_a_folder_under_a_uid_of_its_own(keeper, state):
    _, localspawn, _ = keeper()
    for number, domain in enumerate((b"one.example", b"two.example")):
        uid, folder = opened(localspawn, domain)
        found = os.stat(state / "mail" / domain.decode())
        assert uid == FIRST + number == found.st_uid == found.st_gid
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert os.path.samestat(found, os.fstat(folder))
        os.close(folder)


def test_the_uid_of_one_domain_cannot_enter_the_folder_of_another(keeper, state):
    """What P8 rests on, tried by the kernel's own judgement."""
    _, localspawn, _ = keeper()
    open_way_to_mail(state)
    (one, _), (two, _) = (opened(localspawn, domain) for domain in (b"one.example", b"two.example"))
    assert run_as(one, lambda: os.listdir(state / "mail/one.example")) == "[]"
    assert run_as(two, lambda: os.listdir(state / "mail/one.example")) == "PermissionError"


@MODES
def test_a_store_is_made_once_and_twice_is_as_good(keeper, state, root):
    _, _, compiler = keeper(root=root)
    for tag in (1, 2):
        assert ask(compiler, m.MakeStore(tag, b"one.example", b"joe"))[0] == m.StoreDone(tag, True, b"")
    for part in ("tmp", "new", "cur"):
        found = os.stat(state / "mail/one.example/joe/Maildir" / part)
        assert found.st_uid == (FIRST if root else os.geteuid())
        assert stat.S_IMODE(found.st_mode) == 0o700


def test_as_an_ordinary_user_there_is_one_uid_and_no_list(keeper, state):
    _, localspawn, _ = keeper(root=False)
    uid, folder = opened(localspawn, b"one.example")
    os.close(folder)
    assert uid == 0
    assert not (state / "mail/.uids").exists()


def test_many_stores_of_many_domains_are_all_made(keeper, state):
    """More requests than one child takes and more domains than there are children at once."""
    _, _, compiler = keeper()
    asked = [(b"d%d.example" % (n % 12), b"box%d" % n) for n in range(200)]
    for tag, (domain, store) in enumerate(asked):
        compiler.send(m.MakeStore(tag, domain, store))
    answers = [receive(compiler)[0] for _ in asked]
    assert {a.done for a in answers} == {True}
    assert sorted(a.tag for a in answers) == list(range(200))
    assert len(list((state / "mail").glob("*/box*/Maildir/new"))) == 200


@MODES
def test_a_mailbox_that_goes_is_put_aside_with_its_mail(keeper, state, root):
    _, _, compiler = keeper(root=root)
    ask(compiler, m.MakeStore(1, b"one.example", b"joe"))
    (state / "mail/one.example/joe/Maildir/new/mail").write_text("kept")

    assert ask(compiler, m.TrashStore(2, b"one.example", b"joe"))[0].done
    assert ask(compiler, m.TrashStore(3, b"one.example", b"joe"))[0].done

    assert not (state / "mail/one.example/joe").exists()
    (kept,) = (state / "mail/one.example/.trash").iterdir()
    assert kept.name.endswith("-joe")
    assert (kept / "Maildir/new/mail").read_text() == "kept"


def test_a_mailbox_of_the_same_name_starts_empty_and_can_go_again(keeper, state):
    """Twice within a second: the second does not land on the first."""
    _, _, compiler = keeper()
    for tag in range(3):
        assert ask(compiler, m.MakeStore(tag, b"one.example", b"joe"))[0].done
        assert list((state / "mail/one.example/joe/Maildir/new").iterdir()) == []
        (state / "mail/one.example/joe/Maildir/new/mail").write_text(str(tag))
        assert ask(compiler, m.TrashStore(tag, b"one.example", b"joe"))[0].done
    kept = sorted((state / "mail/one.example/.trash").iterdir())
    assert sorted((path / "Maildir/new/mail").read_text() for path in kept) == ["0", "1", "2"]


@MODES
def test_a_domain_that_goes_is_all_its_stores_put_aside_and_comes_back_empty_under_its_uid(keeper, state, root):
    _, localspawn, compiler = keeper(root=root)
    for store in (b"joe", b"ann"):
        ask(compiler, m.MakeStore(1, b"one.example", store))
    before, folder = opened(localspawn, b"one.example")

    assert ask(compiler, m.TrashStore(2, b"one.example", b""))[0].done
    assert [path.name for path in (state / "mail/one.example").iterdir()] == [".trash"]
    assert len(list((state / "mail/one.example/.trash").iterdir())) == 2

    opened(localspawn, b"two.example")
    after, again = opened(localspawn, b"one.example")
    assert before == after
    # A local that still has the former folder open delivers into the domain as it is now.
    assert os.path.samestat(os.fstat(folder), os.fstat(again))


def test_what_is_not_there_needs_no_trash(keeper, state):
    _, _, compiler = keeper()
    assert ask(compiler, m.TrashStore(1, b"never.example", b"joe"))[0].done
    assert ask(compiler, m.TrashStore(2, b"never.example", b""))[0].done
    assert not (state / "mail/never.example").exists()


def test_uids_are_kept_over_a_restart(keeper, state):
    role, localspawn, _ = keeper()
    first = opened(localspawn, b"one.example")[0]
    assert role.end() == ""
    _, localspawn, _ = keeper()
    assert opened(localspawn, b"two.example")[0] == first + 1
    assert opened(localspawn, b"one.example")[0] == first


@pytest.mark.parametrize(
    "message",
    [
        m.OpenStore(1, b"../etc"),
        m.OpenStore(1, b".uids"),
        m.OpenStore(1, b"UPPER.example"),
        m.OpenStore(1, b"one.example/x.example"),
        m.MakeStore(1, b"one.example", b".."),
        m.MakeStore(1, b"one.example", b"a/b"),
        m.MakeStore(1, b"one.example", b""),
        m.MakeStore(1, b"one.example", b".trash"),
        m.TrashStore(1, b"one.example", b"../two.example"),
    ],
    ids=repr,
)
def test_a_name_that_would_be_another_path_hangs_up(keeper, state, message):
    role, localspawn, compiler = keeper()
    asker = localspawn if isinstance(message, m.OpenStore) else compiler
    asker.send(message)
    with pytest.raises(Exception, match=asker.peer):
        receive(asker)
    assert {path.name for path in (state / "mail").iterdir()} <= {".uids"}
    assert role.process.poll() is None


def test_links_that_a_domain_planted_are_not_followed(keeper, state):
    """The store, the trash, the folder of the Maildir as links to another domain: nothing appears behind them."""
    _, localspawn, compiler = keeper()
    uid, _ = opened(localspawn, b"bad.example")
    ask(compiler, m.MakeStore(1, b"good.example", b"victim"))
    good, bad = state / "mail/good.example", state / "mail/bad.example"
    before = sorted(good.rglob("*"))
    open_way_to_mail(state)
    assert run_as(uid, lambda: os.symlink(good / "victim", bad / "joe")) == "None"
    assert run_as(uid, lambda: os.symlink(good, bad / ".trash")) == "None"
    assert run_as(uid, lambda: os.mkdir(bad / "ann")) == "None"

    assert not ask(compiler, m.MakeStore(2, b"bad.example", b"joe"))[0].done
    assert not ask(compiler, m.TrashStore(3, b"bad.example", b"ann"))[0].done
    assert not ask(compiler, m.TrashStore(4, b"bad.example", b""))[0].done
    assert sorted(good.rglob("*")) == before


def test_a_link_in_place_of_a_domain_is_refused(keeper, state):
    """Only storekeeper can write in mail/, but a restored backup may hold anything."""
    _, localspawn, compiler = keeper()
    opened(localspawn, b"one.example")
    (state / "mail/two.example").symlink_to("one.example")
    answer, _ = ask(localspawn, m.OpenStore(2, b"two.example"))
    assert isinstance(answer, m.StoreDone)
    assert not answer.done
    assert not ask(compiler, m.MakeStore(3, b"two.example", b"joe"))[0].done


def test_a_folder_of_somebody_else_is_refused(keeper, state):
    _, localspawn, _ = keeper()
    uid, _ = opened(localspawn, b"one.example")
    os.chown(state / "mail/one.example", uid + 7, uid + 7)
    answer, _ = ask(localspawn, m.OpenStore(2, b"one.example"))
    assert not answer.done


def test_a_folder_whose_making_was_interrupted_is_completed(keeper, state):
    """Made, but not yet given away: it still belongs to storekeeper."""
    _, localspawn, _ = keeper()
    path = state / "mail/one.example"
    path.mkdir(mode=0o700)
    own = UID_BASE + roster.STOREKEEPER.number
    os.chown(path, own, own)
    uid, _ = opened(localspawn, b"one.example")
    assert os.stat(path).st_uid == uid == FIRST


def test_children_of_a_domain_that_stops_them_hold_up_nobody_else(keeper, state):
    """Whoever lives under a domain's uid can stop that domain's child by a signal; the others go on."""
    _role, localspawn, compiler = keeper()
    uid, _ = opened(localspawn, b"bad.example")
    pid, reading = start_as(uid, hunt)
    tag, deadline = 0, time.monotonic() + 8
    while not readable(reading, 0.01) and time.monotonic() < deadline:
        tag += 1
        compiler.send(m.MakeStore(tag, b"bad.example", b"box%d" % tag))
    stopped = finish(pid, reading)
    assert stopped, "no child was caught; the test proved nothing"
    try:
        compiler.send(m.MakeStore(1_000_000, b"good.example", b"joe"))
        while receive(compiler, 5)[0].tag != 1_000_000:
            pass
        assert (state / "mail/good.example/joe/Maildir/new").is_dir()
        assert opened(localspawn, b"bad.example")[0] == uid
    finally:
        os.kill(int(stopped), signal.SIGCONT)


# --- the trash, in process: thirty days are long ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_only_what_lay_long_enough_is_purged(folder, tmp_path):
    for moment, store in ((1000, "old"), (3000, "young")):
        make_store(folder, store)
        inside.trash(folder, store, moment)
    make_store(folder, "living")
    (tmp_path / ".trash/not-ours").mkdir()

    inside.purge(folder, 2000, 2000)

    assert sorted(path.name for path in (tmp_path / ".trash").iterdir()) == ["3000-young", "not-ours"]
    assert (tmp_path / "living/Maildir/new").is_dir()

    (tmp_path / ".trash/not-ours").rmdir()
    inside.purge(folder, 4000, 4000)
    assert not (tmp_path / ".trash").exists()


def test_purging_goes_in_steps(folder, tmp_path, monkeypatch):
    """A child removes so many entries and says that there is more."""
    make_store(folder, "old")
    for number in range(25):
        (tmp_path / f"old/Maildir/new/{number}").touch()
    inside.trash(folder, "old", 1000)
    monkeypatch.setattr(inside, "PURGE_STEP", 10)
    rounds = 0
    while True:
        try:
            inside.purge(folder, 2000, 2000)
            break
        except inside.MoreToDo:
            rounds += 1
    assert rounds == 2
    assert not (tmp_path / ".trash").exists()


def test_purging_follows_no_link_and_goes_not_endlessly_deep(folder, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "keep").touch()
    make_store(folder, "old")
    (tmp_path / "old/link").symlink_to(elsewhere)
    inside.trash(folder, "old", 1000)
    inside.purge(folder, 2000, 2000)
    assert (elsewhere / "keep").exists()

    deep = tmp_path / ".trash/1000-deep"
    deep.mkdir(parents=True)
    for _ in range(inside.MAX_DEPTH + 2):
        deep = deep / "d"
        deep.mkdir()
    with pytest.raises(OSError, match="too deep"):
        inside.purge(folder, 2000, 2000)


# --- what is kept for a removal that may be undone -------------------------------------------------------------------


def put(path, store, name, text="kept"):
    (path / store / "Maildir/new" / name).write_text(text)


def mail_in(path, store):
    return {each.name: each.read_text() for each in (path / store / "Maildir/new").iterdir()}


def test_what_is_kept_comes_back_as_it_was_and_beside_what_came_since(folder, tmp_path):
    """Folders of its own among it; twice is as good as once; and what a delivery on its way made meanwhile is lost to nobody."""
    make_store(folder, "joe")
    put(tmp_path, "joe", "first")
    (tmp_path / "joe/Maildir/.Sent/cur").mkdir(parents=True)
    for _ in range(2):
        inside.keep(folder, "joe", 7, 5000)
    assert not (tmp_path / "joe").exists()
    make_store(folder, "joe")
    put(tmp_path, "joe", "late")
    put(tmp_path, "joe", "first", "another of this name")

    for _ in range(2):
        inside.restore(folder, 7)

    assert mail_in(tmp_path, "joe") == {"first": "another of this name", "late": "kept"}
    assert (tmp_path / "joe/Maildir/.Sent/cur").is_dir()
    # What is there twice waits for its time: nothing is written over.
    assert mail_in(tmp_path / ".trash", "u5000-7-joe") == {"first": "kept"}


def test_a_removal_brings_back_its_own_alone(folder, tmp_path):
    """A mailbox that went, was made anew, and went with its domain: three removals' worth of mail, each by itself."""
    for removal, name in ((7, "first"), (8, "second")):
        make_store(folder, "joe")
        put(tmp_path, "joe", name)
        inside.keep(folder, "joe", removal, 5000)
    make_store(folder, "joe")
    make_store(folder, "ann")
    put(tmp_path, "joe", "third")
    inside.keep_all(folder, 9, 5000)
    assert [path.name for path in tmp_path.iterdir()] == [".trash"]

    inside.restore(folder, 9)
    assert mail_in(tmp_path, "joe") == {"third": "kept"}
    assert (tmp_path / "ann/Maildir/cur").is_dir()
    inside.restore(folder, 7)
    assert set(mail_in(tmp_path, "joe")) == {"third", "first"}


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_coming_back_is_gone_on_with_wherever_it_was_interrupted(folder, tmp_path, monkeypatch, steps):
    make_store(folder, "joe")
    for number in range(9):
        put(tmp_path, "joe", str(number))
    inside.keep(folder, "joe", 7, 5000)
    make_store(folder, "joe")
    put(tmp_path, "joe", "late")
    monkeypatch.setattr(inside, "PURGE_STEP", steps)
    rounds = 0
    while True:
        try:
            inside.restore(folder, 7)
            break
        except inside.MoreToDo:
            rounds += 1
    assert rounds == 9 // steps
    assert set(mail_in(tmp_path, "joe")) == {*map(str, range(9)), "late"}
    assert list((tmp_path / ".trash").iterdir()) == []


def test_what_will_not_be_undone_is_purged_and_other_things_are_kept_till_their_time(folder, tmp_path):
    for removal in (7, 8):
        make_store(folder, "joe")
        inside.keep(folder, "joe", removal, 5000)
    for _ in range(2):
        inside.drop(folder, 7)
    inside.purge(folder, 0, 5000 + inside.GRACE)
    assert [path.name for path in (tmp_path / ".trash").iterdir()] == ["u5000-8-joe"]
    inside.purge(folder, 0, 5001 + inside.GRACE)  # The database never said a word of it.
    assert not (tmp_path / ".trash").exists()


@pytest.mark.parametrize(
    "name", ["u1-7-..", "u1-7-.", "u1-7-.trash", "u1-7-", "u-7-joe", "u1--joe", "u1-x7-joe", "u7-joe"]
)
def test_a_name_that_storekeeper_did_not_give_is_left_alone(folder, tmp_path, name):
    """Whoever has the domain's uid may put into its trash whatever he likes."""
    (tmp_path / ".trash" / name / "inner").mkdir(parents=True)
    inside.restore(folder, 7)
    inside.drop(folder, 7)
    inside.purge(folder, 0, 10**9)
    assert (tmp_path / ".trash" / name / "inner").is_dir()


@MODES
def test_a_removal_is_kept_undone_and_dropped_over_the_wire(keeper, state, root):
    """The process itself, under the domain's uid; a domain that is not there has nothing to bring back."""
    _, _, compiler = keeper(root=root)
    home = state / "mail/one.example"
    ask(compiler, m.MakeStore(1, b"one.example", b"joe"))
    put(home, "joe", "mail")
    until = int(time.time()) + 1000
    assert ask(compiler, m.KeepStore(2, b"one.example", b"joe", 7, until))[0].done
    assert not (home / "joe").exists()
    assert ask(compiler, m.RestoreStore(3, b"one.example", 7))[0].done
    assert mail_in(home, "joe") == {"mail": "kept"}
    assert ask(compiler, m.KeepStore(4, b"one.example", b"", 8, until))[0].done
    assert ask(compiler, m.DropStore(5, b"one.example", 8))[0].done
    end = time.monotonic() + 8
    while home.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not home.exists()
    for message in (m.KeepStore(6, b"never.example", b"", 9, 0), m.RestoreStore(7, b"never.example", 9)):
        assert ask(compiler, message)[0].done
