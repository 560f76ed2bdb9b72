"""Words that several roles must read alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.vocabulary import fold_domain


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Example.ORG", "example.org"),
        ("BÜCHER.example", "bücher.example"),
        ("bu\u0308cher.example", "bücher.example"),
        ("straße.example", "straße.example"),
        ("STRASSE.example", "strasse.example"),
        ("ὀδός.example", "ὀδός.example"),
    ],
)
def test_a_domain_is_compared_in_one_spelling_and_never_as_another(written: str, compared: str) -> None:
    """RFC 5894 7.2: a sharp s and a final sigma make names of their own, with other owners."""
    assert fold_domain(written) == compared


@given(st.text(st.sampled_from("abXYß.ẞİıſΣςσ-é\u0301\u0307ﬁ"), max_size=8))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    folded = fold_domain(text)
    assert fold_domain(folded) == folded
