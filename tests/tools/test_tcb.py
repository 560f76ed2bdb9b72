"""The count of trusted code counts what it says."""

from pathlib import Path

import pytest

from tools import tcb


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project of three modules and a package nobody imports."""
    monkeypatch.setattr(tcb, "TREE", tmp_path)
    tcb.source_of.cache_clear()
    for folder in ("mta/roles/clerk", "mta/wire", "mta/unused"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text('"""Words."""\n')
    (tmp_path / "mta/__init__.py").write_text("")
    (tmp_path / "mta/roles/__init__.py").write_text("")
    (tmp_path / "mta/roles/clerk/__main__.py").write_text("from mta.roles.clerk import work\n")
    (tmp_path / "mta/roles/clerk/work.py").write_text(
        "import os\nfrom .. import helper\nfrom mta.wire import message as m\n"
    )
    (tmp_path / "mta/roles/helper.py").write_text("def help():\n    import mta.late\n")
    (tmp_path / "mta/late.py").write_text("x = 1\n")
    (tmp_path / "mta/wire/message.py").write_text("y = 2\n")
    yield tmp_path
    tcb.source_of.cache_clear()


def test_lines_of_code_are_neither_blank_nor_comment_nor_docstring(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""A manual\nof two lines."""\n\nimport os  # counts\n\n# does not\n'
        'def work():\n    """Says what."""\n    return """text\n    of two lines"""\n'
    )
    assert tcb.code_lines(source) == 4


def test_everything_a_role_imports_counts_however_it_is_imported(tree: Path) -> None:
    """Relative, inside a function, under another name; and the packages around, whose code runs too."""
    assert tcb.closure("mta.roles.clerk", "mta.roles.clerk.__main__") == {
        "mta", "mta.roles", "mta.roles.clerk", "mta.roles.clerk.__main__", "mta.roles.clerk.work",
        "mta.roles.helper", "mta.late", "mta.wire", "mta.wire.message",
    }  # fmt: skip


def test_what_nobody_imports_does_not_count(tree: Path) -> None:
    assert "mta.unused" not in tcb.closure("mta.roles.clerk", "mta.roles.clerk.__main__")
    assert tcb.lines_in(tcb.closure("mta.late")) == 1
