"""The panel in other languages than English: from a catalogue whose keys are the English words themselves.

A reader would otherwise get wrong: templates and services hold plain English and nothing else. A template is translated as a whole
before it is compiled, piece of text by piece of text; what comes out of Python - a refusal, a notice - is looked up when it is
shown, where `{}` in the catalogue stands for whatever was put in. What the catalogue does not have stays English, and
tests/web/test_languages.py finds it.
"""

import functools
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

CATALOGUES = Path(__file__).parents[1] / "languages"
ENGLISH = "en"
NAMES = {"en": "English", "de": "Deutsch"}

# A template in pieces: comments, statements, expressions, tags, and the text between.
_PIECES = re.compile(
    r"(\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->|<[/!a-zA-Z](?:\{\{.*?\}\}|\{%.*?%\}|[^>{]|\{)*?>)", re.DOTALL
)
_INLINE = re.compile(r"</?(?:a|strong|em|code|span|time|b|i)\b", re.IGNORECASE)
# What draws something beside the text belongs to no sentence.
_DRAWN = re.compile(r"\{\{-?\s*(?:icon|ui\.|caller|csrf|super|_|field|notes|described|refusal|static)")
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'')
_ATTRIBUTE = re.compile(r'(\b(?:aria-label|data-label|placeholder|title)=")([^"{]*[A-Za-z][^"{]*)(")')
# One of two words, by how many there are.
_COUNTED = re.compile(r"\{\{[^}]*'[a-z]{2,}' if [^}]* else '[a-z]{2,}'[^}]*\}\}")
_SPACE = re.compile(r"\s+")
_LETTERS = re.compile(r"[A-Za-z]{2}")


class Language:
    """One language's catalogue."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries = dict(entries)
        self._whole = {_plain(key): value for key, value in entries.items()}

    @functools.cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Sentences with something in them, the longest first."""
        return [
            (re.compile("(.+?)".join(map(re.escape, _plain(key).split("{}"))) + r"\Z", re.DOTALL), value)
            for key, value in sorted(self.entries.items(), key=lambda entry: -len(entry[0]))
            if "{}" in key
        ]

    def say(self, words: object) -> object:
        """*words* in this language; as they are when they are no text, or not in the catalogue."""
        if not isinstance(words, str) or not words or not self.entries:
            return words
        found = self.entries.get(words)
        # A plain str in any case: what was put into a sentence is a stranger's, and is escaped where it is shown.
        return self._patterned(str(words)) if found is None else found

    def _patterned(self, words: str) -> str:
        plain = _plain(words)
        value = self._whole.get(plain)
        parts: tuple[str, ...] = ()
        if value is None:
            for pattern, candidate in self._patterns:
                match = pattern.match(plain)
                if match:
                    value, parts = candidate, match.groups()
                    break
        if value is None:
            return words
        told = value.format(*(self.say(part) for part in parts)) if parts else value
        ended = told if not words.endswith(".") or told.endswith((".", "!", "?")) else f"{told}."
        return ended[:1].upper() + ended[1:] if words[:1].isupper() else ended

    def template(self, source: str) -> str:
        """The source of a template in this language."""
        if not self.entries:
            return source
        return "".join(self._run(run) if is_text else self._code(run) for is_text, run in runs(source))

    def _run(self, run: str) -> str:
        before, core, after = trimmed(run)
        found = self.entries.get(_SPACE.sub(" ", core))
        if found is None:
            return "".join(self._code(piece) if piece[:1] in "<{" else piece for piece in _PIECES.split(run))
        return self._code(before) + found + self._code(after)

    def _code(self, piece: str) -> str:
        """The words in attributes of a tag, and in what templates compute."""
        if piece.startswith("{#"):
            return piece
        told = _ATTRIBUTE.sub(lambda match: match[1] + self.entries.get(match[2], match[2]) + match[3], piece)
        # A bare word in code may be a value that is compared; where it is shown, the filter `t` says it.
        return _computed(told, lambda text: self.entries.get(text, text) if is_said(text) else text)


def _computed(source: str, say: Callable[[str], str]) -> str:
    """*source* with each literal in its statements and expressions put through *say*."""

    def literal(match: re.Match[str]) -> str:
        quote = match[0][0]
        told = say(match[0][1:-1])
        return match[0] if told == match[0][1:-1] else quote + told.replace(quote, f"\\{quote}") + quote

    return re.sub(r"\{[{%].*?[%}]\}", lambda code: _LITERAL.sub(literal, code[0]), source, flags=re.DOTALL)


def _plain(words: str) -> str:
    """Without what a sentence has only because it stands alone on a page."""
    return words[:1].lower() + words[1:].removesuffix(".")


def runs(source: str) -> Iterator[tuple[bool, str]]:
    """The template in runs: True for text with what stands within a sentence, False for what is around it."""
    run = ""
    for piece in _PIECES.split(source):
        if not piece:
            continue
        is_inside = piece[0] not in "<{" or _INLINE.match(piece) or (piece.startswith("{{") and not _DRAWN.match(piece))
        if is_inside:
            run += piece
            continue
        if run:
            yield True, run
            run = ""
        yield False, piece
    if run:
        yield True, run


def trimmed(run: str) -> tuple[str, str, str]:
    """What is around the sentence in *run*, and the sentence: without blanks and tags that do not both begin and end in it."""
    pieces = [piece for piece in _PIECES.split(run) if piece]
    first, last = 0, len(pieces)
    before = (-1, -1)
    while before != (first, last):
        before = (first, last)
        while first < last and (not pieces[first].strip() or _is_loose(pieces[first:last])):
            first += 1
        while last > first and (not pieces[last - 1].strip() or _is_loose(pieces[first:last][::-1])):
            last -= 1
    core = "".join(pieces[first:last])
    left = core[: len(core) - len(core.lstrip())]
    right = core[len(core.rstrip()) :]
    return "".join(pieces[:first]) + left, core.strip(), right + "".join(pieces[last:])


def _is_loose(pieces: list[str]) -> bool:
    """Is the first of *pieces*, seen from either end, a tag whose other half is not among them, or at their very end?"""
    if not pieces[0].startswith("<"):
        return False
    is_closing = pieces[0].startswith("</")
    depth = 0
    for place, piece in enumerate(pieces):
        if piece.startswith("<"):
            depth += 1 if piece.startswith("</") == is_closing else -1
        if depth == 0:
            return place == len(pieces) - 1
    return True


def texts(source: str) -> Iterator[str]:
    """Every piece of *source* that wants a translation."""
    for is_text, run in runs(source):
        if run.startswith("{#"):
            continue
        if is_text:
            core = _SPACE.sub(" ", trimmed(run)[1])
            bare = re.sub(r"\{\{.*?\}\}|<[^>]*>", "", core)
            is_counted = _COUNTED.search(re.sub(r"<[^>]*>", "", core))
            if is_counted or (_LETTERS.search(bare) and not re.match(r'[a-z-]+="', bare)):
                yield core
                continue
        for match in _ATTRIBUTE.finditer(run):
            yield match[2]
        for code in re.findall(r"\{[{%].*?[%}]\}", run, re.DOTALL):
            yield from (match[0][1:-1] for match in _LITERAL.finditer(code) if is_said(match[0][1:-1]))


def is_said(literal: str) -> bool:
    """Is a literal in a template's code something that people read?"""
    if _LETTERS.search(literal) is None:
        return False
    if " " in literal.strip():
        return re.search(r"[{}<>]|^[a-z-]+=", literal) is None
    return literal[:1].isupper() and re.search(r"[/={}<>_%@]|\w\.[a-z]{2}|-----", literal) is None


def load(name: str) -> Language:
    """The language called *name*; English is what everything is written in."""
    if name == ENGLISH:
        return Language({})
    return Language(tomllib.loads((CATALOGUES / f"{name}.toml").read_text(encoding="utf-8")))


def preferred(accepted: str) -> str:
    """Which of ours a browser asks for first (RFC 9110 12.5.4; weights are written in falling order by all of them)."""
    for part in accepted.split(",")[:20]:
        name = part.partition(";")[0].strip().partition("-")[0].lower()
        if name in NAMES:
            return name
    return ENGLISH
