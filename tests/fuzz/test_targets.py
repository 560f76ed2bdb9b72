"""Every target with the octets that were kept for it, and with some that hypothesis thinks of."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
MAX_KEPT_OCTETS = 64 * 1024  # of one target's folder: a corpus is for what matters


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60)
@given(octets=st.binary(max_size=400))
def test_chance_finds_nothing(name: str, octets: bytes) -> None:
    TARGETS[name](octets)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_kept_passes(path: Path) -> None:
    """Seeds that reach far, and everything that once made a target fail (`finding-…`, told in SECURITY.md)."""
    TARGETS[path.parent.name](path.read_bytes())


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    folders = {path.name for path in CORPUS.iterdir()}
    assert folders <= TARGETS.keys()
    for folder in folders:
        assert sum(path.stat().st_size for path in (CORPUS / folder).iterdir()) <= MAX_KEPT_OCTETS
