"""Patterns, aliases kept for some, domains whose mail stays inside: from the database to whoever obeys them."""

from appliance.services import aliases, domains, mailboxes, patterns
from mta.roles.authenticator.judge import may_use
from mta.roles.directory.doors import Origin
from mta.roles.directory.resolve import Resolver
from mta.snapshot import records
from mta.vocabulary import Word
from tests.appliance.compile.test_publish import SEALED, place

__all__ = ["place"]

ANN, ODD = "ann@one.test", "ann-odd@one.test"


def test_what_is_said_of_names_is_obeyed_by_directory_and_authenticator(place):
    """Change by change; and everything anew is the same."""
    place.step()
    place.do(domains.create, "one.test", tag_separator="-", local_only="host")
    place.do(mailboxes.create, ANN, sealed_hash=SEALED)
    place.do(mailboxes.create, ODD)
    place.do(mailboxes.create, "ben@one.test", sealed_hash=SEALED)
    place.do(patterns.put, "ben@one.test", ["shop.*@one.test"])
    place.do(aliases.create, "all@one.test", [ANN], open_to="listed", listed=["ben@one.test", "else.test"])
    assert not place.step().full
    found, logins = place.contents(), place.contents("credentials")
    assert (found[b"d:one.test"].tag_separator, found[b"d:one.test"].local_only) == (b"-", b"host")
    assert found[b"a:all@one.test"] == records.Alias((b"ann@one.test",), b"listed", (b"ben@one.test", b"else.test"))
    assert found[b"x:shop.@one.test"] == logins[b"x:shop.@one.test"] == records.Pattern(b"ben@one.test")
    assert logins[b"f:ann-odd@one.test"] == records.Senders(())

    packed = {key: records.pack_record(record) for key, record in found.items()}
    judged, ben = Resolver(packed.get), Origin(b"ben@one.test", b"ben@one.test")
    assert judged.judge(b"shop.x@one.test", ben).word is Word.ACCEPT
    assert judged.judge(b"all@one.test", ben).word is Word.ACCEPT
    assert judged.judge(b"all@one.test", Origin(b"ann@one.test", b"ann@one.test")).word is Word.DENIED
    assert judged.judge(b"ann@one.test", Origin(b"", b"x@else.test")).word is Word.DENIED
    known = {key: records.pack_record(record) for key, record in logins.items()}
    asked = (
        (b"ben@one.test", b"shop.x@one.test"),
        (b"ann@one.test", b"ann-x@one.test"),
        (b"ann@one.test", ODD.encode()),
    )
    assert [may_use(*each, known.get)[0] for each in asked] == [True, True, False]

    place.step(full=True)
    assert (place.contents(), place.contents("credentials")) == (found, logins)


def test_what_is_taken_away_is_gone(place):
    """With its mailbox, too; and who is nobody's rival any more has no record of it."""
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, ANN, sealed_hash=SEALED)
    place.do(mailboxes.create, "shop.own@one.test")
    place.do(patterns.put, ANN, ["shop.*@one.test", "ann-*@one.test"])
    place.do(mailboxes.create, ODD)
    place.do(aliases.create, "all@one.test", [ANN], open_to="members")
    place.step()
    logins = place.contents("credentials")
    assert {b"f:shop.own@one.test", b"f:ann-odd@one.test", b"x:shop.@one.test", b"x:ann-@one.test"} <= logins.keys()
    place.do(patterns.put, ANN, ["ann-*@one.test"])
    place.do(aliases.update, "all@one.test", open_to="everybody")
    assert not place.step().full
    logins = place.contents("credentials")
    assert not {b"f:shop.own@one.test", b"x:shop.@one.test"} & logins.keys()
    assert place.contents()[b"a:all@one.test"] == records.Alias((b"ann@one.test",))
    place.do(aliases.remove, "all@one.test")
    place.do(mailboxes.remove, ANN)
    assert not place.step().full
    left = place.contents().keys() | place.contents("credentials").keys()
    assert not [key for key in left if key[:2] == b"x:" or key == b"f:ann-odd@one.test"]
