"""What no file of this project may hold, and what each must."""

import ast
import functools
import hashlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
LEFT_BEHIND = {".git", ".venv", "var", "dist", "build", "__pycache__", "vendor"}
PRODUCT = {"appliance", "web", "mta", "benchmarks", "tools"}
LONGEST_FUNCTION = 60  # lines; the median should be near ten

# Where packages come from is the affair of the machine that installs them; where this tree once lay is nobody's.
ADDRESSES = re.compile(
    rb"https?://[^\s\"']+\.(?:whl|tgz|tar\.gz|deb)\b|https?://[^\s\"']*(?:registry|simple/)"
    rb"|--(?:extra-)?index-url|\bregistry *=|(?<![\w.])/root/|/home/\w"
)
PLACEHOLDERS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError|raise NotImplemented\b")


def all_files(folder: Path = TREE) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_BEHIND or path.name.endswith("_cache") or path.name.startswith((".hypothesis", "bench-")):
            continue
        if path.is_dir():
            yield from all_files(path)
        elif path.is_file():
            yield path


def python_files() -> list[Path]:
    return [path for path in all_files() if path.suffix == ".py"]


def where(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(TREE)}:{line}"


@functools.cache
def read_once() -> dict[str, list[str]]:
    """What is wrong with which module, function or `except`, by kind of wrong: to parse the whole tree takes seconds."""
    found: dict[str, list[str]] = {"long": [], "swallowed": [], "nameless": [], "purposeless": []}
    for path in python_files():
        is_test = path.name.startswith("test_") and path.is_relative_to(TREE / "tests")
        tree = ast.parse(path.read_text())
        if path.relative_to(TREE).parts[0] in PRODUCT and tree.body and not ast.get_docstring(tree):
            found["purposeless"].append(where(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    found["long"].append(f"{where(path, node.lineno)} {node.name}: {lines} lines")
                says_little = node.name.startswith("test_") and node.name.count("_") < 3
                if is_test and says_little and not ast.get_docstring(node):
                    found["nameless"].append(f"{where(path, node.lineno)} {node.name}")
            elif isinstance(node, ast.ExceptHandler) and swallows(node):
                found["swallowed"].append(where(path, node.lineno))
    return found


def swallows(node: ast.ExceptHandler) -> bool:
    """Does it take whatever comes, and do nothing?"""
    takes_all = node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )
    return takes_all and all(isinstance(statement, ast.Pass) for statement in node.body)


def test_no_file_names_a_registry_or_a_path_of_the_machine_it_was_written_on() -> None:
    found = [
        f"{where(path, number)} {line.decode(errors='replace').strip()[:100]}"
        for path in all_files()
        if path.suffix not in {".png", ".ico", ".woff2"}
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if ADDRESSES.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_no_function_is_longer_than_a_screen() -> None:
    assert read_once()["long"] == []


def test_nothing_is_left_for_later() -> None:
    found = [
        where(path, number)
        for path in python_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PLACEHOLDERS.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_no_error_is_swallowed_whole() -> None:
    """`except Exception: pass` hides the bug and the attack alike."""
    assert read_once()["swallowed"] == []
    [handler] = [
        node for node in ast.walk(ast.parse("try: x\nexcept Exception: pass")) if isinstance(node, ast.ExceptHandler)
    ]
    assert swallows(handler)


def test_every_module_of_the_product_says_what_it_is_for() -> None:
    assert read_once()["purposeless"] == []


def test_every_test_says_in_its_name_or_docstring_what_it_proves() -> None:
    """test_2 or test_ok would tell nobody what broke."""
    assert read_once()["nameless"] == []


VENDORED = sorted(path for folder in ("web", "tests") for path in (TREE / folder).rglob("VENDOR.toml"))


@pytest.mark.parametrize("manifest", VENDORED, ids=lambda path: path.parent.name)
def test_vendored_files_are_what_their_manifest_says(manifest: Path) -> None:
    """Name, version, licence and the checksum of each file; no file that the manifest does not know."""
    told = tomllib.loads(manifest.read_text())
    assert {"name", "version", "licence", "sha256"} <= told.keys()
    found = {
        str(path.relative_to(manifest.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in manifest.parent.rglob("*")
        if path.is_file() and path != manifest
    }
    assert found == told["sha256"]
    assert any(name.upper().startswith("LICEN") for name in found)
    assert b"://registry" not in manifest.read_bytes()


def test_there_are_vendored_files_to_check() -> None:
    assert VENDORED


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt"])
def test_locked_means_exact_versions_with_hashes(name: str) -> None:
    text = (TREE / name).read_text().replace("\\\n", " ")
    rows = [line for line in text.splitlines() if line.strip()]
    assert rows
    assert [row[:60] for row in rows if not re.match(r"[a-z0-9._-]+(\[[a-z0-9,]+\])?==\S+ .*--hash=sha256:", row)] == []


def test_one_virtualenv_can_hold_both_locks() -> None:
    """What serves is tested in the very versions that serve."""

    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (TREE / name).read_text(), re.MULTILINE))

    assert versions("requirements.txt").items() <= versions("requirements-test.txt").items()


def test_every_target_of_the_makefile_is_explained() -> None:
    listed = subprocess.run(["make", "-s", "-C", TREE, "help"], capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^ +([.a-z-]+) ", listed, re.MULTILINE))
    assert {"help", "run", "test", "prove", "check", "bench", "tcb", "fmt", ".venv"} <= targets


def test_each_dependency_is_used_by_the_product() -> None:
    """What is installed and not used is somebody else's code with our rights."""
    signs = {
        "argon2-cffi": r"^\s*from argon2\b",
        "dnspython": r"^import dns\.message\b",
        "libpass": r"^from passlib\b",
        "python-multipart": r"\brequest\.form\(",  # Starlette imports it when a form is read
    }
    product = [path for package in ("appliance", "web", "mta", "migrations") for path in (TREE / package).rglob("*.py")]
    text = "\n".join(path.read_text() for path in product)
    wanted = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[<>=;\[ ]", line)[0] for line in wanted]
    found = {name for name in names if re.search(signs.get(name, rf"^\s*(?:import|from) {name}\b"), text, re.MULTILINE)}
    assert sorted(set(names) - found) == []
