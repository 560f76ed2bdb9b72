"""What is wrong with a command line, in one sentence of ours.

A reader would otherwise get wrong: the library that reads command lines explains itself to programmers. What it says is kept where
it is about a value, which it names with what would be right.
"""

from collections.abc import Sequence

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

__all__ = ["sentence_of"]

MOST_SHOWN = 5
_KINDS: dict[type | None, str] = {int: "a whole number", bool: "yes or no"}


def sentence_of(error: CycloptsError) -> str:
    """What somebody wrote wrong, and where he reads how it is right."""
    words = error.command_chain or ()
    said = _said(error, " ".join(words))
    return f"{said} (see: {' '.join(('postern', *words, '--help'))})" if said else " ".join(str(error).split())


def _said(error: CycloptsError, command: str) -> str:
    """Empty: what the library says will do."""
    if isinstance(error, UnusedCliTokensError):
        return f"`{command}` takes nothing more: {_some(error.unused_tokens or ())}"
    if isinstance(error, UnknownOptionError):
        return f"`{command}` has no option {error.token.keyword or error.token.value}"
    if isinstance(error, UnknownCommandError):
        return f"there is no command `{' '.join((command, *(error.unused_tokens or ())[:1])).strip()}`"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        # Without its dashes a parameter stands at its place; behind them somebody has begun to say it.
        wanted = f"a value behind {error.keyword}" if error.keyword else error.argument.name.lstrip("-").upper()
        return f"`{command}` wants {wanted}"
    if isinstance(error, CoercionError) and error.target_type in _KINDS and error.token is not None:
        place = error.argument.name.lstrip("-").upper() if error.argument is not None else "what it takes"
        return f"`{command}`: {error.token.keyword or place} is {_KINDS[error.target_type]}, not {error.token.value!r}"
    return ""


def _some(words: Sequence[str]) -> str:
    """The first few of *words*, as they were typed."""
    return " ".join(words[:MOST_SHOWN]) + (" …" if len(words) > MOST_SHOWN else "")
