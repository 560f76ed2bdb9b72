"""The envelope file: one spelling, torn told from newer, and the way of an upgrade."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.record import replace
from mta.spool import envelope as envelope_format
from mta.spool.envelope import (
    Envelope,
    Generation,
    NotWholeError,
    Recipient,
    UnknownVersionError,
    parse,
    render,
    seal,
    whole,
)

ENVELOPE = Envelope(
    1_800_000_000, 4096, b"a@client.test", b"BODY=8BITMIME envid=QQ1", b"S1", b"192.0.2.7", Generation.ORDINARY,
    (Recipient(b"joe@example.test", b"joe@example.test", b"notify=NEVER ORCPT=rfc822;j+2Bx@a.test"),
     Recipient(b"Ann@example.test")),
)  # fmt: skip

octets = st.binary(max_size=200)
envelopes = st.builds(
    Envelope, st.integers(0, 1 << 40), st.integers(0, 1 << 40), octets, octets, octets, octets,
    st.sampled_from(Generation), st.lists(st.builds(Recipient, octets, octets, octets), min_size=1, max_size=5).map(tuple),
)  # fmt: skip


@given(envelopes)
def test_what_is_written_is_read(envelope):
    """Every field, whatever octets are in it."""
    assert parse(render(envelope)) == envelope


@given(envelopes, st.data())
def test_no_torn_or_altered_file_is_whole(envelope, data):
    """Cut anywhere, or with any octet changed, it is nobody's mail."""
    good = render(envelope)
    cut = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[cut] ^= data.draw(st.integers(1, 255))
    for bad in (good[:cut], bytes(changed), good[:cut] + bytes(len(good) - cut), good + b"0:,"):
        assert bad == good or not whole(bad)
        with pytest.raises(NotWholeError):
            parse(bad)


def test_an_option_is_found_whatever_its_case():
    """ENVID comes back in the notification; its value keeps its case."""
    assert ENVELOPE.option(b"ENVID") == b"QQ1"
    assert ENVELOPE.option(b"RET") == b""
    first, second = ENVELOPE.recipients
    assert (first.option(b"NOTIFY"), first.option(b"ORCPT")) == (b"NEVER", b"rfc822;j+2Bx@a.test")
    assert second.option(b"NOTIFY") == b""


def test_a_keyword_without_a_value_is_declared_all_the_same():
    """SMTPUTF8 has none (RFC 6531 3.4)."""
    assert replace(ENVELOPE, options=b"BODY=8BITMIME smtputf8").declares(b"SMTPUTF8")
    assert not ENVELOPE.declares(b"SMTPUTF8")


def test_ten_thousand_recipients_fit():
    """As many as the setting allows, with paths of the longest kind."""
    paths = tuple(
        Recipient(b"%0254d" % number, b"%0254d" % number, b"NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;%0500d" % number)
        for number in range(envelope_format.MAX_RECIPIENTS)
    )
    assert parse(render(replace(ENVELOPE, recipients=paths))).recipients == paths


# What the version before this one wrote: no options of recipients.


def render_version_1(envelope):
    """How it wrote."""
    recipients = [part for r in envelope.recipients for part in (r.forward_path, r.counted)]
    return seal([b"postern-envelope 1", *_head(envelope), *recipients])


def _head(envelope):
    return [
        b"%d" % envelope.arrival, b"%d" % envelope.size, envelope.reverse_path, envelope.options, envelope.session,
        envelope.client, b"%d" % envelope.generation,
    ]  # fmt: skip


def test_version_1_is_still_read():
    """Mail queued before this version came is delivered by it; nobody declared anything at its RCPT."""
    plain = tuple(replace(recipient, options=b"") for recipient in ENVELOPE.recipients)
    assert parse(render_version_1(ENVELOPE)) == replace(ENVELOPE, recipients=plain)


# A Postern to come: version 3 has one field more, before the recipients, and calls it priority.


def render_version_3(envelope, priority):
    """What it writes."""
    recipients = [part for r in envelope.recipients for part in (r.forward_path, r.counted, r.options)]
    return seal([b"postern-envelope 3", *_head(envelope), priority, *recipients])


def read_version_3(fields):
    """How it reads its own; it has the reader of version 2 beside."""
    return envelope_format.read_version_2(fields[:8] + fields[9:])


READERS_OF_VERSION_3 = {2: envelope_format.read_version_2, 3: read_version_3}


def test_an_upgrade_reads_what_the_version_before_it_wrote():
    """Mail queued before an upgrade is delivered after it."""
    assert parse(render(ENVELOPE), READERS_OF_VERSION_3) == ENVELOPE
    assert parse(render_version_3(ENVELOPE, b"high"), READERS_OF_VERSION_3) == ENVELOPE


def test_a_newer_version_is_refused_aloud_and_not_taken_for_torn():
    """After a downgrade: it is somebody's mail, so it must not look like a crash's leftovers."""
    newer = render_version_3(ENVELOPE, b"high")
    assert whole(newer)
    with pytest.raises(UnknownVersionError, match="version 3"):
        parse(newer)


def test_the_version_before_the_last_is_refused_aloud_too():
    """Two steps at once are not promised."""
    with pytest.raises(UnknownVersionError):
        parse(render_version_1(ENVELOPE), READERS_OF_VERSION_3)


@pytest.mark.parametrize(
    "fields",
    [
        [b"postern-envelope 2", b"x"], [b"postern-envelope 2"] + [b"1"] * 7, [b"postern-envelope 2"] + [b"1"] * 9,
        [b"postern-envelope 2"] + [b"7"] * 10, [b"postern-envelope x"] + [b"1"] * 10,
        [b"postern-envelope 1"] + [b"1"] * 8,
    ],
)  # fmt: skip
def test_what_is_whole_but_senseless_is_kept_and_not_removed(fields):
    """Somebody wrote it on purpose, so nobody who cannot read it may throw it away."""
    with pytest.raises(UnknownVersionError):
        parse(seal(fields))
