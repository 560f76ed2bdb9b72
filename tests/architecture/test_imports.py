"""Who may import whom: the contracts hold, and each of them can fail."""

import itertools
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).resolve().parents[2]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((TREE / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources that a test may spoil."""
    for package in ("appliance", "web", "mta"):
        ignore = shutil.ignore_patterns("static", "templates", "__pycache__")
        shutil.copytree(TREE / package, tmp_path / package, ignore=ignore)
    shutil.copy(TREE / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).parent / "lint-imports"
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    command = [linter, "--config", "pyproject.toml", "--no-cache", *chosen]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def untouched() -> str:
    """What is said of the tree as it is, under all contracts."""
    result = lint(TREE)
    return result.stdout + result.stderr


def plant(tree: Path, importer: str, imported: str) -> str:
    """Make a new module below the package *importer* that imports *imported*; answers the new module's name."""
    folder = tree.joinpath(*importer.split("."))
    assert folder.is_dir(), f"{importer} is not a package"
    module = f"planted_{len(list(folder.glob('planted_*.py')))}"
    (folder / f"{module}.py").write_text(f"import {imported}\n")
    return f"{importer}.{module}"


def forbidden_pairs(tree: Path, contract: dict[str, Any]) -> list[tuple[str, str]]:
    """(importer, imported) for everything that *contract* says no to, one step at a time."""
    if contract["type"] == "forbidden":
        return list(itertools.product(contract["source_modules"], contract["forbidden_modules"]))
    if contract["type"] == "independence":
        folders = sorted(path.parent.name for path in (tree / "mta/roles").glob("*/__init__.py"))
        return [(f"mta.roles.{one}", f"mta.roles.{other}") for one, other in itertools.pairwise([*folders, folders[0]])]
    layers = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    upward = [pair for high, low in itertools.pairwise(layers) for pair in itertools.product(low, high)]
    sideways = [pair for layer in layers for pair in itertools.permutations(layer, 2)]
    # A layer that is a single module has no folder to plant into.
    return [pair for pair in upward + sideways if tree.joinpath(*pair[0].split(".")).is_dir()]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["id"])
def test_each_contract_is_kept_and_breaks_at_every_import_it_forbids(
    untouched: str, copy: Path, contract: dict[str, Any]
) -> None:
    """A contract that a forbidden import does not break would be a comment."""
    assert f"{contract['name']} KEPT" in untouched, untouched

    planted = [(plant(copy, *pair), pair[1]) for pair in forbidden_pairs(copy, contract)]
    assert planted
    spoilt = lint(copy, contract["id"])

    assert spoilt.returncode == 1
    assert f"{contract['name']} BROKEN" in spoilt.stdout
    unseen = [
        f"{importer} -> {imported}"
        for importer, imported in planted
        if f"{importer} -> {imported}" not in spoilt.stdout
    ]
    assert unseen == []


def test_a_chain_of_imports_is_seen_too(copy: Path) -> None:
    """A supervisor that imports something harmless which imports the database is as broken as one that does it."""
    (copy / "appliance/harmless.py").write_text("import sqlalchemy\n")
    plant(copy, "appliance.supervisor", "appliance.harmless")

    assert "BROKEN" in lint(copy, "supervisor-small").stdout


def test_a_single_module_at_the_bottom_may_not_look_up(copy: Path) -> None:
    """The roster and the vocabulary are files, not folders; the layers bind them all the same."""
    for name in ("roster", "vocabulary"):
        path = copy / f"mta/{name}.py"
        path.write_text(path.read_text() + "\nimport mta.wire.netstring\n")

    spoilt = lint(copy, "mta-layers").stdout

    assert "mta.roster -> mta.wire.netstring" in spoilt
    assert "mta.vocabulary -> mta.wire.netstring" in spoilt
