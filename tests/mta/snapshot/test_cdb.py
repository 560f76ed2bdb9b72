"""Our constant databases are constant databases: another program's reader and writer agree with ours."""

import io
import os

import cdblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.snapshot.cdb import Cdb, CdbError, CdbWriter

RECORDS = st.dictionaries(st.binary(max_size=40), st.binary(max_size=60), max_size=200)


def write(path, records):
    with open(path, "w+b") as file:
        writer = CdbWriter(file)
        for key, value in records:
            writer.add(key, value)
        return writer.finish()


def open_cdb(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return Cdb(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


@given(RECORDS, st.binary(max_size=40))
def test_another_programs_reader_reads_what_we_write(records, other):
    """Every key, and no key that is not there."""
    file = io.BytesIO()
    writer = CdbWriter(file)
    for key, value in records.items():
        writer.add(key, value)
    assert writer.finish() == len(file.getvalue())
    reader = cdblib.Reader(file.getvalue())
    assert {key: reader.get(key) for key in records} == records
    assert reader.get(other) == records.get(other)


@given(RECORDS, st.binary(max_size=40))
def test_we_read_what_another_programs_writer_wrote(tmp_path_factory, records, other):
    """Every key, no other, and all of them in their order."""
    path = tmp_path_factory.mktemp("cdb") / "a.cdb"
    with open(path, "w+b") as file, cdblib.Writer(file) as writer:
        for key, value in records.items():
            writer.put(key, value)
    cdb = open_cdb(path)
    assert {key: cdb.get(key) for key in records} == records
    assert cdb.get(other) == records.get(other)
    assert list(cdb) == list(records.items())


def test_keys_with_the_same_hash_are_told_apart(tmp_path):
    """Thousands of records, so that slots collide and wrap around the end of their table."""
    records = [(b"%d" % number, b"v%d" % number) for number in range(20_000)]
    write(tmp_path / "a.cdb", records)
    cdb = open_cdb(tmp_path / "a.cdb")
    assert all(cdb.get(key) == value for key, value in records)
    assert all(cdb.get(b"x" + key) is None for key, _ in records)


@pytest.mark.parametrize("octets", [0, 1, 2047])
def test_what_is_too_short_to_be_one_is_refused(tmp_path, octets):
    """Also the empty file, which cannot even be mapped."""
    (tmp_path / "a").write_bytes(bytes(octets))
    with pytest.raises(CdbError):
        open_cdb(tmp_path / "a")


def test_a_full_table_without_an_empty_slot_does_not_loop(tmp_path):
    """A damaged file in which no slot is empty ends the search after one round."""
    write(tmp_path / "a", [(b"k", b"v")])
    octets = bytearray((tmp_path / "a").read_bytes())
    octets[-16:] = (b"\1\0\0\0" + b"\0\10\0\0") * 2  # both slots taken, by another hash
    (tmp_path / "a").write_bytes(octets)
    assert open_cdb(tmp_path / "a").get(b"k") is None
