"""What was found out a while ago, each piece for its own time. Values in, values out.

A reader would otherwise get wrong: a no is believed for minutes, a yes for an hour. Who was made a mailbox at the next hop
should get mail soon; who lost one is found out by the next hop itself.
"""

from collections.abc import Callable

from mta.vocabulary import Word

SECONDS = {
    Word.ACCEPT: 3600,
    Word.UNKNOWN: 300,
    Word.FULL: 60,
    Word.TRY_LATER: 10,  # long enough that a place that is away is not asked by every client anew
}
MAX_KEPT = 100_000  # answers, about 25 MB


class Memory:
    """Answers by question."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* counts seconds."""
        self._clock = clock
        self._kept: dict[bytes, tuple[float, Word]] = {}

    def get(self, question: bytes) -> tuple[Word, int] | None:
        """The answer, and for how many seconds it may still be believed."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        left = kept[0] - self._clock()
        if left <= 0:
            del self._kept[question]
            return None
        return kept[1], max(1, int(left))

    def put(self, question: bytes, word: Word) -> int:
        """Keep it; for how many seconds."""
        self._kept.pop(question, None)
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        seconds = SECONDS[word]
        self._kept[question] = (self._clock() + seconds, word)
        return seconds
