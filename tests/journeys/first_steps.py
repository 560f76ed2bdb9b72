"""The way of a newcomer, as docs/first-steps.md tells it: from nothing to the first message that is read in the trace.

`python -m tests.journeys.first_steps` walks it by mouse and takes that page's pictures, with the ports that `init` writes.

A reader would otherwise get wrong: STEPS is that page's list of headings, and whoever walks knows nothing but what the terminal and
the screen said until then. He copies with the button and pastes into a shell.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fixtures.browser import chromium
from tests.fixtures.house import House, wait_until
from tests.journeys.hands import Hand, Mouse, somebody

PAGE = Path(__file__).parents[2] / "docs/first-steps.md"
PICTURES = "first-steps"  # beside the page
DOMAIN, LOCAL_PART, PASSWORD = "garden.test", "anna", "three plain words"


class Newcomers(House):
    """What `make run` starts, with what `init` prints for its only time."""

    host_name = "mx.example.net"
    greeting = ""

    def make(self) -> None:
        """`postern init`, and ports of our own."""
        if not self.greeting:
            command = self.postern("init", "--hostname", self.host_name, "--state", str(self.state))
            self.greeting = command.stdout
            for service in ("smtp", "panel", "metrics", "submission", "submissions"):
                self.set(f"listen.{service}", f'["127.0.0.1:{self.ports[service]}"]')
            self.set("listen.local", "false")


@dataclass
class Walk:
    """Somebody's way so far. *shoot* takes a picture of what he sees when a step is done."""

    house: Newcomers
    hand: Hand
    shoot: Callable[[str], None]
    said: dict[str, str] = field(default_factory=dict)

    def go(self) -> None:
        """All of it."""
        for number, (heading, step) in enumerate(STEPS.items(), 1):
            step(self)
            if step is not start_it:
                self.shoot(picture_of(number, heading))

    def guide(self) -> str:
        """What the screen says is next."""
        return str(self.hand.page.inner_text("section[aria-labelledby=guide-title]"))


def picture_of(number: int, heading: str) -> str:
    """The name of a step's picture."""
    return f"{number}-{heading.lower().replace(' ', '-')}.png"


def start_it(walk: Walk) -> None:
    """The house runs; what `make run` prints is all one needs."""
    told = walk.house.greeting + walk.house.said()
    walk.said = dict(re.findall(r"(?m)^(panel|operator|password)  +(\S+)", told))


def open_the_panel(walk: Walk) -> None:
    """Who is not signed in is led to the gate."""
    walk.hand.open(walk.said["panel"])
    walk.hand.write("Name or mail address", walk.said["operator"])
    walk.hand.write("Password", walk.said["password"])


def choose_a_password(walk: Walk) -> None:
    walk.hand.follow("Sign in", "main")
    walk.hand.write("One-time password", walk.said["password"])
    walk.hand.write("New password", PASSWORD)
    walk.hand.write("New password again", PASSWORD)
    walk.hand.follow("Change password", "main")
    assert "First steps" in walk.guide()


def add_a_domain(walk: Walk) -> None:
    walk.hand.follow("Add a domain", "section[aria-labelledby=guide-title]")
    walk.hand.write("Domain", DOMAIN)
    walk.hand.follow("Add the domain")
    assert "1 of 4" in walk.guide()


def give_it_a_mailbox(walk: Walk) -> None:
    walk.hand.follow("Add a mailbox", "section[aria-labelledby=guide-title]")
    walk.hand.write("Address", LOCAL_PART)
    walk.hand.follow("Add the mailbox")
    assert "2 of 4" in walk.guide()


def send_it_a_message(walk: Walk) -> None:
    """The very line that the button copied."""
    page = walk.hand.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    walk.hand.press(page.get_by_role("button", name="Copy the line"))
    line = wait_until(lambda: page.evaluate("navigator.clipboard.readText()"), 20)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    walk.hand.follow("Messages", "section[aria-labelledby=guide-title]")
    row = page.locator("#list tbody th a")
    wait_until(row.count, 30, walk.house.said)  # the page looks again by itself


def read_what_became_of_it(walk: Walk) -> None:
    walk.hand.follow(walk.hand.page.locator("#list tbody th a").first)
    wanted = f"Delivered into the mailbox {LOCAL_PART}@{DOMAIN}"
    wait_until(lambda: wanted in walk.hand.read() or not walk.hand.page.reload(), 30, walk.house.said)


STEPS: dict[str, Callable[[Walk], None]] = {
    "Start it": start_it,
    "Open the panel": open_the_panel,
    "Choose a password": choose_a_password,
    "Add a domain": add_a_domain,
    "Give it a mailbox": give_it_a_mailbox,
    "Send it a message": send_it_a_message,
    "Read what became of it": read_what_became_of_it,
}


def main() -> None:
    """Walk, and take the pictures."""
    (PAGE.parent / PICTURES).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, somebody(browser, Mouse) as hand:
        house = Newcomers(Path(folder) / "house", panel=True, submission=True, by_command=True)
        house.ports |= {"smtp": 2525, "panel": 8080}
        with house:
            Walk(house, hand, lambda name: shoot(hand, name)).go()


def shoot(hand: Hand, name: str) -> None:
    """What is seen when all that the page asks for has come."""
    hand.page.wait_for_load_state("networkidle")
    hand.page.screenshot(path=PAGE.parent / PICTURES / name)


if __name__ == "__main__":
    main()
