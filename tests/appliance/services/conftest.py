"""The services run on both databases: modules in which the kind of database can tell always, all in full size (POSTERN_FULL=1).

A test on the server costs as much as ten on a file: it gets a copy of a database. What the other modules send is plain
SQL written by SQLAlchemy, of the kinds that these already try on both.
"""

import pytest

from tests.fixtures.database import on_both

# Constraints, locks, savepoints, order and pages, hashes of what was stored; and the nouns that hold all others.
ON_BOTH = {
    "test_audit",
    "test_concurrency",
    "test_domains",
    "test_holdings",
    "test_limits",
    "test_mailboxes",
    "test_messages",
    "test_orders",
    "test_paging",
    "test_searching",
    "test_removals",
    "test_tenants",
    "test_trace",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the place of the fixture `database`: one, then the other."""
    on_both(metafunc, always=metafunc.module.__name__.rpartition(".")[2] in ON_BOTH)
