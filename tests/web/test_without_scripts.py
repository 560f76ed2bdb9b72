"""Without scripts: whatever a script would ask for, a link or a form beside it asks for too. Read off the templates."""

import re
from pathlib import Path

import pytest

from tests.fixtures.panel import Browser, Office

TEMPLATES = Path(__file__).parents[2] / "web/templates"
FILES = sorted(TEMPLATES.rglob("*.html"))
LIVE = 'hx-trigger="load delay:'  # a page that shows how something goes on; without scripts one loads it again
_TAG = re.compile(r"<(\w+)((?:[^<>{]|\{\{.*?\}\}|\{%.*?%\})*)>", re.DOTALL)
_ASKS = re.compile(r'\bhx-(get|post|put|patch|delete)="((?:[^"{]|\{\{.*?\}\})*)"')
_OWN = re.compile(r'\b(?:href|action)="((?:[^"{]|\{\{.*?\}\})*)"')


def asking(text: str) -> list[tuple[str, str, str]]:
    """Each address that htmx asks for: how, where, and the page's text around it."""
    return [
        (verb, where, text[max(0, tag.start() - 1500) : tag.end() + 800])
        for tag in _TAG.finditer(text)
        for verb, where in _ASKS.findall(tag[2])
        if LIVE not in tag[2]
    ]


def test_templates_are_found() -> None:
    assert len(FILES) > 60
    assert any(asking(file.read_text()) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(TEMPLATES).as_posix())
def test_what_a_script_asks_for_a_link_or_a_form_asks_for_too(file: Path) -> None:
    """The same address stands in a link or a form."""
    for verb, where, around in asking(file.read_text()):
        assert verb == "get", "what changes something is a form"
        own = _OWN.findall(around)
        assert where in own or "<noscript" in around, f"{where}: there is no other way to it"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(TEMPLATES).as_posix())
def test_every_button_is_in_a_form_or_needs_a_script_by_its_nature(file: Path) -> None:
    text = file.read_text()
    for tag in _TAG.finditer(text):
        if tag[1] != "button" or "data-" in tag[2]:
            continue
        before = text[: tag.start()]
        assert before.rfind("<form") > before.rfind("</form>") or " form=" in tag[2], tag[0]
        assert 'type="button"' not in tag[2], f"{tag[0]} does nothing without a script"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(TEMPLATES).as_posix())
def test_links_lead_somewhere(file: Path) -> None:
    assert not re.findall(r'href="(?:#|javascript:[^"]*|)"', file.read_text())


def test_a_search_is_sent_by_hand_as_well(office: Office) -> None:
    """As the form would: the whole page, with what was found."""
    operator = office.client().log_in()
    page = operator.get("/domains", params={"search": "mx.example"})
    assert "<!doctype html>" in page.text
    assert "mx.example.test" in page.text
    assert isinstance(operator, Browser)
