"""Choices out of octets: what a fuzzer varies becomes what happens next. When the octets end, every choice is the first."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Reads *octets* from the front."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._position = octets, 0

    def __bool__(self) -> bool:
        """Is anything left?"""
        return self._position < len(self._octets)

    def octet(self) -> int:
        """The next one; 0 at the end."""
        return (self.octets(1) or b"\0")[0]

    def octets(self, count: int) -> bytes:
        """The next *count*, or as many as there are."""
        self._position += count
        return self._octets[self._position - count : self._position]

    def line(self) -> bytes:
        """What stands before the next 0xFF, which is in no text we speak of."""
        end = self._octets.find(b"\xff", self._position)
        end = len(self._octets) if end < 0 else end
        found = self._octets[self._position : end]
        self._position = end + 1
        return found

    def one_of(self, choices: Sequence[T]) -> T:
        """One of *choices*."""
        return choices[self.octet() % len(choices)]

    def rest(self) -> bytes:
        """All that is left."""
        return self.octets(len(self._octets) - self._position)
