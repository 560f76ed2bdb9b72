"""Registers the fixture files: every module in tests/fixtures is a plug-in. There are no fixtures in here."""

from pathlib import Path

import pytest

pytest_plugins = sorted(
    f"tests.fixtures.{path.stem}"
    for path in (Path(__file__).parent / "fixtures").glob("*.py")
    if not path.stem.startswith("_")
)
# Before the first of them is imported: one fixture file may import another.
pytest.register_assert_rewrite(*pytest_plugins)
