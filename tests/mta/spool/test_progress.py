"""The progress file: lines that may be lost one by one."""

from hypothesis import given
from hypothesis import strategies as st

from mta.spool.progress import DELAY_REPORTED_LINE, MAX_REMOTE_MTA, Outcome, line_of, parse, reported_line
from mta.vocabulary import Action
from mta.wire.netstring import pack

outcomes = st.builds(
    Outcome, st.integers(0, 9999), st.binary(max_size=60), st.sampled_from(Action), st.sampled_from([b"2.0.0", b"5.1.1"]),
    st.integers(1, 99), st.integers(0, 1 << 40), st.binary(max_size=1200), st.integers(0, 9),
    st.binary(max_size=400), st.booleans(),
)  # fmt: skip


@given(st.lists(outcomes, max_size=6), st.integers(0, 99), st.booleans())
def test_what_is_written_is_read_with_anothers_words_on_one_line(written, reported, delay_reported):
    """Control characters become blanks, so nobody's diagnostic makes a line of its own."""
    octets = b"".join(map(line_of, written)) + (reported_line(reported) if reported else b"")
    octets += DELAY_REPORTED_LINE if delay_reported else b""
    progress = parse(octets)
    assert [(o.index, o.action, o.completes, o.notifies) for o in progress.outcomes] == [
        (o.index, o.action, o.completes, o.notifies) for o in written
    ]
    assert all(len(o.remote_mta) <= MAX_REMOTE_MTA for o in progress.outcomes)
    assert octets.count(b"\n") == len(written) + bool(reported) + delay_reported
    assert (progress.reported, progress.delay_reported, progress.torn) == (reported, delay_reported, False)


@given(st.lists(outcomes, min_size=1, max_size=6), st.data())
def test_a_torn_end_costs_its_own_line_only_and_what_is_appended_after_it_is_read(written, data):
    """Every whole line before the tear counts, and so does what comes after a new line end."""
    lines = [line_of(outcome) for outcome in written]
    octets = b"".join(lines)
    torn = octets[: data.draw(st.integers(0, len(octets) - 1))]
    whole_lines = torn.count(b"\n")
    progress = parse(torn)
    assert len(progress.outcomes) == whole_lines
    assert progress.torn == (not torn.endswith(b"\n") and torn != b"")
    again = parse(torn + b"\n" + lines[0])
    assert len(again.outcomes) >= whole_lines + 1


@given(st.lists(outcomes, min_size=1, max_size=6))
def test_the_line_of_the_version_before_says_that_everything_was_told(written):
    """It was written once all was decided."""
    progress = parse(b"".join(map(line_of, written)) + b"7:bounced,\n")
    assert progress.reported == max(outcome.attempt for outcome in written)


def test_a_line_of_the_version_before_is_read_without_the_host():
    """It had eight fields; a spool may be full of them at the upgrade."""
    (outcome,) = parse(pack([b"0", b"a@b.test", b"relayed", b"2.0.0", b"1", b"7", b"250 ok", b"1"]) + b"\n").outcomes
    assert outcome == Outcome(0, b"a@b.test", Action.RELAYED, b"2.0.0", 1, 7, b"250 ok", 1)
    assert line_of(outcome).count(b",") == 8
