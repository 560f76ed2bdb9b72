"""Domains without keys get some: new ones in a moment, those of before there was signing in the background."""

import shutil

import pytest

from appliance import signing_keys
from appliance.compile import keymaker, process
from appliance.compile.publish import Publisher
from appliance.compile.source import open_source
from appliance.compile.standing import AUDIENCES
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.models import DkimKey
from appliance.services import dkim, domains
from mta import seal
from mta.snapshot.reader import Snapshot
from mta.wire.loop import Loop
from tests.fixtures.database import HOST, OPERATOR

PRIVATE, PUBLIC = seal.make_key_pair()


class Ways:
    """Nobody listens."""

    def tell(self, _name, _message):
        return False

    def event(self, _name, **_pairs):
        pass


class House:
    """A compiler with a database, and one look into what it published."""

    def __init__(self, folder, founded, signer):
        file = folder / "postern.db"
        shutil.copy(founded, file)
        for audience in AUDIENCES:
            (folder / "snapshot" / audience).mkdir(parents=True)
        self.engine, self.source = open_engine(f"sqlite:///{file}"), open_source(f"sqlite:///{file}")
        self.publisher, self.loop = Publisher(self.source, folder / "snapshot"), Loop()
        self.compiler = process.Compiler(self.loop, self.source, self.publisher, signer)
        self.compiler.peers = Ways()
        self.folder = folder / "snapshot" / "signing"

    def do(self, act, *args, **rest):
        with unit_of_work(self.engine) as session:
            return act(session, *args, actor=OPERATOR, **rest)

    def published(self):
        """The domains that have keys to sign with."""
        reader = Snapshot.open(self.folder)
        generation = reader._generation
        names = {name for name, _ in generation._cdb} | set(generation._changed)
        found = {name for name in names if name and reader.get(name) is not None}
        reader.close()
        return found

    def run_until(self, condition, rounds=500):
        for _ in range(rounds):
            if condition():
                return
            self.loop.run_once(0.02)
        raise AssertionError("it did not come")


@pytest.fixture
def make(tmp_path, founded_file, monkeypatch):
    fast = signing_keys.make(PUBLIC)  # RSA once, for all of them
    monkeypatch.setattr(signing_keys, "make", lambda signer: fast if signer == PUBLIC else None)
    monkeypatch.setattr(keymaker, "REST_SECONDS", 0.01)
    houses = []

    def one(signer=PUBLIC):
        houses.append(House(tmp_path, founded_file, signer))
        return houses[-1]

    yield one
    for house in houses:
        house.publisher.close()
        house.source.close()
        house.engine.dispose()


def test_domains_of_before_and_new_ones_get_their_keys_and_they_are_published(make):
    """The host's own was there; one more is made while the compiler runs, and looked at once only."""
    house = make()
    house.compiler.begin()
    house.run_until(lambda: house.published() == {b"g:" + HOST.encode()})
    house.do(domains.create, "one.test")
    house.run_until(lambda: b"g:one.test" in house.published())
    house.do(domains.create, "two.test")
    house.run_until(lambda: b"g:two.test" in house.published())
    with unit_of_work(house.engine) as session:
        assert [key.state for key in dkim.keys_of(session, "one.test", actor=OPERATOR)] == ["signing", "signing"]
        assert session.query(DkimKey).count() == 6


def test_many_get_theirs_a_few_at_a_time(make, monkeypatch):
    """Between them the compiler does what else there is to do."""
    monkeypatch.setattr(keymaker, "WORK_SECONDS", 0.0)
    monkeypatch.setattr(keymaker, "AT_ONCE", 3)
    house = make()
    names = [f"d{number}.test" for number in range(8)]
    for name in names:
        house.do(domains.create, name)
    house.compiler.begin()
    house.run_until(lambda: len(house.published()) == len(names) + 1)


def test_who_has_keys_keeps_them(make):
    """Made by hand before the compiler came to it."""
    house = make()
    made = house.do(dkim.rotate, HOST, signing_keys.make(PUBLIC))
    selectors = [key.selector for key in made]
    house.compiler.begin()
    house.loop.run_until_idle(0.1)
    with unit_of_work(house.engine) as session:
        assert [key.selector for key in dkim.keys_of(session, HOST, actor=OPERATOR)] == selectors


def test_without_the_signers_key_there_is_nothing_to_seal_to(make):
    """An appliance of before, whose next start makes it."""
    house = make(signer=b"")
    house.compiler.begin()
    house.loop.run_until_idle(0.1)
    assert house.published() == set()
