"""Counts the trusted code: what a role must not get wrong, because a bug there could break a promise to another user.

For each role that mta/roster.py calls trusted, and for the supervisor, the modules of ours that it imports, directly or
through others, are counted; a module that several share counts once in the sum. A line counts when it holds code: no
blank lines, no comments, no docstrings. Imports are read from the source, nothing is run, so the figure does not depend
on what happens to be installed.

What it cannot see: the standard library, the interpreter and the kernel, which every role trusts too.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
PACKAGES = ("appliance", "web", "mta")
SUPERVISOR = "appliance.supervisor"  # not in the roster: it is what reads the roster

_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@cache
def source_of(module: str) -> Path | None:
    """The file of the project's module *module*; None when it is not one of ours."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = TREE.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@cache
def code_lines(path: Path) -> int:
    """Lines of *path* that hold code."""
    text = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


@cache
def imports_of(module: str, path: Path) -> frozenset[str]:
    """The dotted names that *module* imports anywhere in its source, ours or not; names inside modules among them."""
    return frozenset(_imports_in(module, path))


def _imports_in(module: str, path: Path) -> Iterator[str]:
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield whole
            yield from (f"{whole}.{alias.name}" for alias in node.names)


def closure(*modules: str) -> set[str]:
    """The project's modules that run in a process which imports *modules*, and the packages around them."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = source_of(module)
        if path is None or module in found:
            continue
        found.add(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])
        waiting.extend(imports_of(module, path))
    return found


def entry_points(package: str) -> tuple[str, ...]:
    """What the supervisor starts for a role that lives in *package*."""
    return (package, f"{package}.__main__")


def trusted_roles() -> dict[str, set[str]]:
    """The modules of each trusted role, by the role's name."""
    sys.path.insert(0, str(TREE))
    from mta import roster  # noqa: PLC0415 - the tree this tool stands in, wherever it was started from

    roles = {role.name: closure(*entry_points(role.module)) for role in roster.ROLES if role.trusted}
    return {"supervisor": closure(*entry_points(SUPERVISOR)), **roles}


def lines_in(modules: set[str]) -> int:
    """Lines of code in *modules* together."""
    return sum(code_lines(path) for path in map(source_of, modules) if path is not None)


def trusted_lines() -> int:
    """The sum: each module of any trusted role once."""
    return lines_in(set().union(*trusted_roles().values()))


def main() -> int:
    """Print the table."""
    roles = trusted_roles()
    shared = {
        module for name, own in roles.items() for module in own if any(module in roles[o] for o in roles if o != name)
    }
    print(f"{'role':<16}{'own lines':>10}{'with shared':>13}")
    for name, modules in roles.items():
        print(f"{name:<16}{lines_in(modules - shared):>10,}{lines_in(modules):>13,}")
    print(f"{'shared':<16}{lines_in(shared):>10,}   ({len(shared)} modules, counted once)")
    print(f"{'sum':<16}{trusted_lines():>10,}   lines of trusted code")
    return 0


if __name__ == "__main__":
    sys.exit(main())
