"""The panel in German: nothing is left in English, nothing is lost by it, and whoever reads it chose it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.database.session import unit_of_work
from appliance.services import domains, mailboxes
from tests.fixtures.panel import SYSTEM, Browser, Office, make_office
from tests.journeys.screenshots import PAGES, furnish
from web.panel.languages import Language, load, preferred, runs, texts, trimmed
from web.panel.rendering import deed

ROOT = Path(__file__).parents[2]
REFUSALS = {
    "Invalid",
    "NotFound",
    "Forbidden",
    "Conflict",
    "Taken",
    "LimitReached",
    "NotSignedIn",
    "Unable",
    "ForgedForm",
}
# Of programs and the command line alone; no page shows them.
ELSEWHERE = {"given_answers.py", "founding.py", "trace.py", "queue.py"}
GERMAN = load("de")


def said(node: ast.expr) -> Iterator[str]:
    """The sentences that *node* may be, `{}` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from (*said(node.body), *said(node.orelse))


def sentences(file: Path) -> Iterator[str]:
    """What *file* refuses with, and what it says to the next page."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in REFUSALS and node.args:
            yield from said(node.args[0])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "see_other" and len(node.args) > 1:
            yield from said(node.args[1])


def sentences_of(folder: Path) -> list[str]:
    """Those of all files in *folder*."""
    return [words for file in folder.glob("*.py") if file.name not in ELSEWHERE for words in sentences(file)]


def test_every_deed_of_the_audit_log_has_its_german() -> None:
    """As services write them down: a noun, and what became of it."""
    told = {
        words
        for folder in ("appliance/services", "appliance/compile")
        for file in (ROOT / folder).glob("*.py")
        for words in re.findall(r'tell\([^"]*"([a-z_]+\.[a-z_]+)"', file.read_text())
    }
    assert len(told) > 40
    assert {words for words in told if GERMAN.say(deed(words)) == deed(words)} == set()


def test_what_somebody_gave_a_name_keeps_it(office: Office) -> None:
    """Also where the catalogue knows the words: a plan called so is no example of one."""
    browser = office.client(headers={"Accept-Language": "de"}).log_in()
    api = office.api()
    assert api("POST", "/plans", {"name": "Small business"}).status_code == 201
    assert api("POST", "/domains", {"name": "named.test"}).status_code == 201
    page = browser.get("/tenants/new").text
    assert ">Small business</option>" in page
    assert ">Kein Tarif</option>" in page
    assert ">nie</label>" in browser.get("/domains/named.test/protection").text


def test_no_label_is_put_together_in_a_template() -> None:
    """Words of an attribute beside something computed are no literal, and would be read aloud in English: `'…%s'|format`."""
    label = re.compile(r'\b(?:aria-label|data-label|placeholder|title)="((?:\{[{%].*?[%}]\}|[^"])*)"', re.DOTALL)
    found = {
        words
        for file in (ROOT / "web/templates").rglob("*.html")
        for words in label.findall(file.read_text())
        if "{{" in words and re.search("[A-Za-z]{2}", re.sub(r"\{[{%].*?[%}]\}", "", words))
    }
    assert found == set()


def test_every_word_of_the_templates_has_its_german() -> None:
    folder = ROOT / "web/templates"
    files = [file for file in folder.rglob("*.html") if file.parent.name != "docs"]  # the API speaks English
    missing = {text for file in files for text in texts(file.read_text()) if text not in GERMAN.entries}
    assert len(files) > 50
    assert missing == set()


def test_every_refusal_and_notice_has_its_german() -> None:
    found = {*sentences_of(ROOT / "web/panel"), *sentences_of(ROOT / "appliance/services")}
    assert len(found) > 200
    wanted = {words for words in found if re.search(r"[A-Za-z]{2}", words.replace("{}", ""))}
    missing = {words for words in wanted if GERMAN.say(words.replace("{}", "x")) == words.replace("{}", "x")}
    assert missing & set(sentences_of(ROOT / "web/panel")) == set()
    # Services speak to programs first: a new refusal of theirs may be English on a page until its German is written.
    assert len(missing) * 20 < len(found), missing


def test_what_stands_in_braces_is_the_same_in_both() -> None:
    """A translation that names what the page has not would fail when the page is shown."""
    for english, german in GERMAN.entries.items():
        names = [set(re.findall(r"\{\{ ?([a-z_.]+)", words)) for words in (english, german)]
        assert names[1] <= names[0], english
        assert german.count("{}") <= english.count("{}"), english


@pytest.mark.parametrize(
    ("source", "inner"),
    [
        ("<p>One <strong>two</strong> {{ three }}.</p>", ["One <strong>two</strong> {{ three }}."]),
        ("<a href='/x'>{{ icon('plus') }}Add</a>", ["Add"]),
        ('<td data-label="Holds">{{ used }}</td>', ["Holds"]),
        ("{% if a %}<strong>Yes.</strong> Now{% endif %}", ["<strong>Yes.</strong> Now"]),
        ("<dt>Name</dt><dd>{{ name }}</dd>", ["Name"]),
        ("{{ ui.field('name', \"A long label\", form) }}", ["A long label"]),
        ("{% if state == 'right' %}<i>x</i>{% endif %}", []),
    ],
)
def test_a_template_is_cut_where_a_sentence_ends(source: str, inner: list[str]) -> None:
    assert list(texts(source)) == inner
    assert "".join(run for _, run in runs(source)) == source
    assert all("".join(trimmed(run)) == run for is_text, run in runs(source) if is_text)


def test_only_what_is_shown_is_translated() -> None:
    language = Language(
        {"right": "richtig", "Save it": "Speichern", "{} is gone.": "{} ist fort.", "domain {}": "Domain {}"}
    )
    assert language.template("{% if x == 'right' %}Save it{% endif %}") == "{% if x == 'right' %}Speichern{% endif %}"
    assert language.say("Domain x.test is gone.") == "Domain x.test ist fort."
    assert language.say("<b>{0}</b> is gone.") == "<b>{0}</b> ist fort."
    assert language.say("Something else") == "Something else"


@pytest.mark.parametrize(
    ("accepted", "name"),
    [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr,de;q=0.5", "de"), ("fr", "en"), ("", "en"), (",;", "en")],
)
def test_a_browser_is_spoken_to_as_it_asks(accepted: str, name: str) -> None:
    assert preferred(accepted) == name


def test_a_reader_chooses_and_what_is_put_into_a_sentence_stays_harmless(office: Office) -> None:
    browser: Browser = office.client().log_in()
    assert '<html lang="de"' in browser.get("/domains", headers={"Accept-Language": "de"}).text
    browser.get("/domains/new")
    assert browser.post("/language", {"language": "de", "back": "/domains/new"}).headers["location"] == "/domains/new"
    page = browser.get("/domains/new").text
    assert "Domain hinzufügen" in page
    refused = browser.post("/domains", {"name": "<script>x"}).text
    assert "ist kein Domainname" in refused
    assert "<script>x" not in refused
    browser.post("/domains", {"name": "shop.test"})
    assert "shop.test wird ab jetzt bedient." in browser.get("/domains/shop.test").text
    browser.post("/language", {"language": "xx", "back": "//evil.test"})
    assert '<html lang="de"' in browser.get("/domains").text


def test_every_page_is_there_in_german(tmp_path: Path) -> None:
    with make_office(tmp_path) as office:
        furnish(office)
        with unit_of_work(office.engine) as session:
            domains.create(session, "last.example", actor=SYSTEM)
            mailboxes.create(session, "a@last.example", actor=SYSTEM)
        browser = office.client().log_in()
        browser.client.cookies.set("postern_language", "de")
        answers = {name: browser.get(path) for name, path in PAGES.items() if name != "api"}
    assert {name for name, answer in answers.items() if answer.status_code != 200} == {"missing"}
    assert all('lang="de"' in answer.text for answer in answers.values())
