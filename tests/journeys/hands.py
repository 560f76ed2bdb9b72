"""Somebody's hand at the panel: the mouse, or the keyboard alone. One journey is walked by either.

A reader would otherwise get wrong: the keyboard's hand takes no short cut. It goes from where the focus is by Tab and
Shift+Tab to what it wants, by the skip link first when the page has just come, and at each stop the focus has to be seen.
A page on which it gets lost fails the journey.
"""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from tests.fixtures.browser import WIDE

MOST_STOPS = 150  # on the way from one thing to another
# Where the focus is, as seen from the *target*.
WHERE = """target => {
  const at = document.activeElement;
  if (!at || at === document.body)
    return {state: "nowhere", inMain: !!target.closest("main"), skips: !!document.querySelector("a.skip")};
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  const within = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {
    state: at === target ? "here" : "elsewhere",
    seen: at.tabIndex < 0 || (ring && within),
    back: !!(target.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING),
    tag: at.outerHTML.slice(0, 160),
  };
}"""


class Hand(ABC):
    """Does what a person at *page* can do; fields go by their labels, deeds by their words."""

    name: str

    def __init__(self, page: Any) -> None:
        self.page = page

    def read(self) -> str:
        """What the page says."""
        return str(self.page.inner_text("main"))

    def title(self) -> str:
        """What the page is called."""
        return str(self.page.inner_text("h1"))

    def open(self, url: str) -> None:
        """Type an address into the browser's own bar, or follow a link from a mail."""
        self.page.goto(url)

    def follow(self, target: Any, within: str = "body") -> None:
        """Press *target*, or the link or button that says so, and be on the page that comes."""
        target = self._deed(target, within) if isinstance(target, str) else target
        self._reach(target)
        # Not `expect_navigation`: that counts what the skip link or a search made of this page's own address, too, of which the
        # driver may hear only now. Then the next step would begin while the page is still on its way.
        with self.page.expect_event("load"):
            self._set_off(target, "Enter")

    def write(self, label: str, text: str) -> None:
        """Put *text* into the field called *label*, in place of what is there."""
        self._go_into(self.page.get_by_label(label, exact=True))
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)

    def tick(self, label: str, wanted: bool = True) -> None:
        """See to it that the box called *label* is ticked, or is not."""
        box = self.page.get_by_label(label, exact=True)
        if box.is_checked() != wanted:
            self.press(box, key="Space")
        assert box.is_checked() == wanted

    def open_up(self, words: str) -> None:
        """Open what folds out under *words*."""
        self.press(self.page.locator("summary", has_text=words))

    def sign_in(self, url: str, name: str, password: str) -> None:
        """Through the gate."""
        self.open(f"{url}/login")
        self.write("Name or mail address", name)
        self.write("Password", password)
        self.follow("Sign in", "main")

    def sign_out(self) -> None:
        """By one's own menu."""
        self.press(self.page.locator("details.who summary"))
        self.follow("Sign out", "details.who")

    def _deed(self, words: str, within: str) -> Any:
        place = self.page.locator(within)
        return place.get_by_role("link", name=words, exact=True).or_(
            place.get_by_role("button", name=words, exact=True)
        ).first  # fmt: skip

    def press(self, target: Any, key: str = "Enter") -> None:
        """Set off what *target* does, on this page."""
        self._reach(target)
        self._set_off(target, key)

    @abstractmethod
    def choose(self, label: str, option: str) -> None:
        """Pick *option* of the list called *label*."""

    @abstractmethod
    def _reach(self, target: Any) -> None:
        """Have *target* at hand."""

    @abstractmethod
    def _set_off(self, target: Any, key: str) -> None:
        """Use *target*, which is at hand."""

    @abstractmethod
    def _go_into(self, target: Any) -> None:
        """Be where typed text goes into *target*."""


class Mouse(Hand):
    """Points and clicks."""

    name = "mouse"

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(label=option)

    def _reach(self, target: Any) -> None:
        target.scroll_into_view_if_needed()

    def _set_off(self, target: Any, key: str) -> None:
        target.click()

    def _go_into(self, target: Any) -> None:
        target.click()


class Keyboard(Hand):
    """Has no mouse."""

    name = "keyboard"

    def choose(self, label: str, option: str) -> None:
        """By the arrows."""
        target = self.page.get_by_label(label, exact=True)
        self._reach(target)
        way = target.evaluate(
            "(list, words) => [...list.options].findIndex(o => o.label === words) - list.selectedIndex", option
        )
        for _ in range(abs(way)):
            self.page.keyboard.press("ArrowDown" if way > 0 else "ArrowUp")
        assert target.evaluate("list => list.selectedOptions[0].label") == option

    def _set_off(self, target: Any, key: str) -> None:
        self.page.keyboard.press(key)

    def _go_into(self, target: Any) -> None:
        self._reach(target)

    def _reach(self, target: Any) -> None:
        wanted, passed = target.element_handle(), []
        for _ in range(MOST_STOPS):
            where = wanted.evaluate(WHERE)
            if where["state"] == "nowhere":
                self._begin(into_main=where["inMain"] and where["skips"])
                continue
            assert where["seen"], f"the focus is not seen on {where['tag']}"
            if where["state"] == "here":
                return
            passed.append(where["tag"])
            self.page.keyboard.press("Shift+Tab" if where["back"] else "Tab")
        raise AssertionError(f"no way by keyboard to {target}; stops: {passed[-12:]}")

    def _begin(self, *, into_main: bool) -> None:
        """The first stop of a page is its skip link."""
        self.page.keyboard.press("Tab")
        if into_main:
            self.page.keyboard.press("Enter")


# What the keyboard reaches the mouse does; the other way round it is not so. Either walks it all in full size.
HANDS: tuple[type[Hand], ...] = (Mouse, Keyboard) if os.environ.get("POSTERN_FULL") == "1" else (Keyboard,)


@contextlib.contextmanager
def somebody(browser: Any, hand: type[Hand]) -> Iterator[Hand]:
    """A person with a browser of his own, who uses it by *hand*; it may complain of nothing."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda said: said.type == "error" and "status of 4" not in said.text and complaints.append(said.text)
    )
    yield hand(page)
    assert complaints == []
    context.close()
