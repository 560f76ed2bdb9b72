"""The application runs on both databases: modules that keep must-show promises always, all in full size (POSTERN_FULL=1).

A reader would otherwise get wrong: what differs between the two is tried below, in tests/appliance. Here it is shown that what
comes up through the services - refusals, repetitions, pages, batches - is the same.
"""

import pytest

from tests.fixtures.database import on_both

ON_BOTH = {"test_batch", "test_dry_run", "test_events", "test_idempotency"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the place of the fixture `database`: one, then the other."""
    on_both(metafunc, always=metafunc.module.__name__.rpartition(".")[2] in ON_BOTH)
