"""What each process drags into memory: an import is code a taken-over role can call, and a cost of each process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mta import roster

TREE = Path(__file__).resolve().parents[2]

# Parsers, loaders and machinery of the standard library that a role must have a reason for.
WATCHED = {
    "asyncio", "concurrent", "ctypes", "email", "ftplib", "http", "imaplib", "json", "logging", "mailbox",
    "multiprocessing", "pickle", "runpy", "shelve", "smtplib", "socketserver", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "tomllib", "unittest", "urllib.request", "xml", "xmlrpc", "zipfile",
}  # fmt: skip

_HOLDS_CONVERSATIONS = {
    "aiosmtpd": "the session's shell", "attr": "aiosmtpd", "attrs": "aiosmtpd", "public": "aiosmtpd",
    "uvloop": "the loop", "cython_runtime": "uvloop", "_cython_3_3_0": "uvloop",
    "asyncio": "aiosmtpd and uvloop", "concurrent": "asyncio", "ssl": "asyncio, aiosmtpd",
    "email": "aiosmtpd, at import only; our subclass parses addresses itself", "logging": "asyncio, aiosmtpd",
    "subprocess": "asyncio; the sandbox refuses to start anything", "threading": "asyncio, logging",
}  # fmt: skip

# What a role may have beyond the rest of the standard library, and why. Everything that is not listed fails the test.
EVERY_ROLE = {"ctypes": "the sandbox makes its system calls through it"}
MAY_HAVE: dict[str, dict[str, str]] = {
    "smtpd": _HOLDS_CONVERSATIONS,
    "submissiond": _HOLDS_CONVERSATIONS,
    "authenticator": {
        "argon2": "it verifies", "_argon2_cffi_bindings": "argon2", "_cffi_backend": "argon2, cryptography",
        "_openssl": "cryptography",
        "passlib": "it checks imported hashes", "bcrypt": "likewise", "typing_extensions": "passlib",
        "cryptography": "it opens sealed hashes", "threading": "one thread verifies while another answers",
        "concurrent": "a pool of one thread", "logging": "concurrent",
    },
    "tls": {
        "ssl": "its job", "cryptography": "it opens sealed keys", "_cffi_backend": "cryptography", "_openssl": "cryptography",
    },
    "source": {
        "sansldap": "it reads what directories say", "ssl": "directories that speak TLS", "urllib": "their URLs",
        "cryptography": "it opens sealed passwords", "_cffi_backend": "cryptography", "_openssl": "cryptography",
    },
    "signer": {
        "cryptography": "its job", "_cffi_backend": "cryptography", "_openssl": "cryptography",
        "bcrypt": "cryptography, at import, where it is installed",
    },
    "remotespawn": {
        "cryptography": "it opens sealed passwords", "_cffi_backend": "cryptography", "_openssl": "cryptography",
    },
    "tracer": {"json": "the journal writes lines of it", "sqlite3": "its store"},
    "fetcher": {"ssl": "web servers speak TLS", "h11": "it reads what they say"},
    "reporter": {"json": "reports are JSON (RFC 8460 4)"},
    "tlsspawn": {"ssl": "its cells' job, loaded before they are forked"},
    "ledger": {"sqlite3": "its own store, which nobody else opens"},
    "journal": {"json": "its log lines are JSON"},
    "resolver": {
        "dns": "it reads what name servers say", "idna": "dnspython", "threading": "dnspython locks what we never share",
        "email": "importlib.metadata, by which dnspython asks at import what else is installed",
        "tempfile": "importlib.metadata", "zipfile": "importlib.metadata",
    },
}  # fmt: skip

TRANSFER_AGENT = [role for role in (*roster.ROLES, roster.LOCAL) if role.module.startswith("mta.")]
CONTROL_PLANE = {
    "appliance.supervisor": {
        "sqlalchemy",
        "alembic",
        "fastapi",
        "starlette",
        "jinja2",
        "cryptography",
        "ssl",
        "asyncio",
        "email",
    },
    "appliance.compile": {"fastapi", "starlette", "uvicorn", "jinja2", "cyclopts", "rich", "asyncio"},
    "web": {"cyclopts", "rich", "alembic"},
}


def loaded_by(*modules: str) -> set[str]:
    """What importing *modules* adds to sys.modules of a fresh interpreter: the modules, and the packages on top of them."""
    program = (
        "import importlib, sys\n"
        "before = set(sys.modules)\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        "print(*set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    names = run.stdout.split()
    return {*names, *(name.partition(".")[0] for name in names)}


def of_process(module: str) -> tuple[str, ...]:
    """What `python -m module` imports; localspawn's child is made by fork and has no __main__ of its own."""
    main = TREE.joinpath(*module.split("."), "__main__.py")
    return (module, f"{module}.__main__") if main.is_file() else (module,)


@pytest.mark.parametrize("role", TRANSFER_AGENT, ids=lambda role: role.name)
def test_a_role_imports_what_it_was_allowed_and_nothing_heavy_or_risky(role: roster.Role) -> None:
    loaded = loaded_by(*of_process(role.module))
    tops = {name for name in loaded if "." not in name}
    foreign = tops - sys.stdlib_module_names - {"mta", "__main__"}
    allowed = set(EVERY_ROLE) | set(MAY_HAVE.get(role.name, ()))

    assert (foreign | (loaded & WATCHED)) - allowed == set()


@pytest.mark.parametrize("module", CONTROL_PLANE)
def test_a_process_of_the_control_plane_leaves_out_what_is_not_its_job(module: str) -> None:
    assert loaded_by(*of_process(module)) & CONTROL_PLANE[module] == set()


def test_the_look_into_a_process_sees_what_it_imports() -> None:
    """Without this, a broken probe would pass every role."""
    assert {"email", "ssl"} & loaded_by("smtplib") == {"email", "ssl"}
    assert loaded_by("mta.vocabulary") & WATCHED == set()


def test_roles_have_values_without_the_weight() -> None:
    """`dataclasses` costs each process 1.4 MiB and 12 ms at its start; `mta.record` has the same words."""
    sources = [*(TREE / "mta").rglob("*.py"), *(TREE / "appliance" / "supervisor").rglob("*.py")]
    heavy = re.compile(r"^\s*(import|from) dataclasses\b", re.MULTILINE)
    assert [str(path) for path in sources if heavy.search(path.read_text())] == []
