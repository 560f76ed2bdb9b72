"""The compiler runs on both databases: what it does at its channels always, all in full size (POSTERN_FULL=1)."""

import pytest

from tests.fixtures.database import on_both

ON_BOTH = {"test_process"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the place of the fixture `database`: one, then the other."""
    on_both(metafunc, always=metafunc.module.__name__.rpartition(".")[2] in ON_BOTH)
