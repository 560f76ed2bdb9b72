"""What strangers say about names - wrong guesses, forgotten passwords - to be acted on a moment later.

A reader would otherwise get wrong: nothing of it is done while they wait. A name that somebody has would take longer to be
refused than one that nobody has, and so the answer's time would tell which names exist.
"""

from collections import deque
from dataclasses import dataclass

from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.services import login_history, persons, recovery

MAX_WAITING = 500  # more than that at once is an attack, of which the first five hundred lines say enough
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Guess:
    """Somebody said he was *name*, and was wrong."""

    name: str
    how: str
    source: str
    program: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Somebody said he was *name*, and had forgotten the password."""

    name: str
    source: str


class Notebook:
    """What waits; the process's worker writes it down, and whoever wants to read a history."""

    def __init__(self) -> None:
        self._waiting: deque[Guess | Forgotten] = deque()

    def note(self, guess: Guess | Forgotten) -> None:
        """Have it written down, unless too much waits already."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(guess)

    def __bool__(self) -> bool:
        """Does anything wait?"""
        return bool(self._waiting)

    def write(self, session: Session) -> None:
        """Some of it into the histories of those who have these names."""
        for _ in range(min(AT_ONCE, len(self._waiting))):
            guess = self._waiting.popleft()
            if isinstance(guess, Forgotten):
                recovery.ask(session, guess.name, source=guess.source)
                continue
            try:
                person = persons.find(session, guess.name)
            except Invalid:
                continue  # Not even an address.
            if person is not None:
                login_history.note(
                    session, person, guess.how, accepted=False, source=guess.source, program=guess.program
                )
