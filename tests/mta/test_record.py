"""Our own dataclasses against the standard library's: the same class bodies, the same answers."""

import dataclasses
from types import SimpleNamespace
from typing import ClassVar

import pytest

from mta import record


def kinds(how) -> SimpleNamespace:
    """One class of each shape that there is in the tree."""

    @how.dataclass(frozen=True, slots=True)
    class Frozen:
        one: int
        two: bytes = b"2"
        kind: ClassVar[str] = "a frozen one"

        @property
        def both(self) -> tuple[int, bytes]:
            return self.one, self.two

    @how.dataclass(frozen=True, slots=True)
    class Longer(Frozen):
        three: tuple[int, ...] = ()

    @how.dataclass(slots=True)
    class Changing:
        name: str
        seen: list[int] = how.field(default_factory=list)
        secret: str = how.field(default="", repr=False)

    @how.dataclass(slots=True, eq=False)
    class Itself:
        name: str

    @how.dataclass(frozen=True)
    class Worked:
        code: int
        text: str = how.field(init=False, repr=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "text", f"{self.code}.")

    @how.dataclass(frozen=True, slots=True)
    class Empty:
        pass

    return SimpleNamespace(
        Frozen=Frozen, Longer=Longer, Changing=Changing, Itself=Itself, Worked=Worked, Empty=Empty,
        replace=how.replace, Refused=how.FrozenInstanceError,
    )  # fmt: skip


@pytest.fixture(params=[dataclasses, record], ids=["standard library", "ours"])
def of(request) -> SimpleNamespace:
    return kinds(request.param)


def test_values_come_by_place_by_name_and_by_default(of) -> None:
    assert of.Frozen(1).both == (1, b"2")
    assert of.Frozen(two=b"x", one=3).both == (3, b"x")
    assert of.Longer(1, b"2", (3,)).three == (3,)
    assert of.Longer(1).both == (1, b"2")
    assert of.Frozen.kind == "a frozen one"
    for wrong in ((), (1, b"2", 3)):
        with pytest.raises(TypeError):
            of.Frozen(*wrong)
    with pytest.raises(TypeError):
        of.Frozen(1, three=3)


def test_equal_are_those_of_one_class_with_equal_values(of) -> None:
    assert of.Frozen(1) == of.Frozen(1, b"2") != of.Frozen(1, b"3")
    assert of.Frozen(1) != of.Longer(1)
    assert of.Frozen(1) != (1, b"2")
    assert len({of.Frozen(1), of.Frozen(1), of.Frozen(2), of.Longer(1), of.Empty(), of.Empty()}) == 4
    assert of.Changing("a", [1]) == of.Changing("a", [1]) != of.Changing("a", [2])
    with pytest.raises(TypeError):
        hash(of.Changing("a"))
    one, other = of.Itself("a"), of.Itself("a")
    assert one != other
    assert len({one, other, one}) == 2


def test_the_first_use_may_be_any(of) -> None:
    """Each method is written when it is first called, on whichever class that is."""
    assert hash(of.Longer(1)) == hash(of.Longer(1))
    assert of.Longer(1) == of.Longer(1)
    assert of.Frozen(1) == of.Frozen(1)
    assert hash(of.Frozen(5)) == hash(of.Frozen(5))


def test_frozen_ones_do_not_change_and_nobody_gets_a_field_that_there_is_not(of) -> None:
    for change in (lambda: setattr(of.Frozen(1), "one", 2), lambda: delattr(of.Frozen(1), "one")):
        with pytest.raises(of.Refused):
            change()
    changing = of.Changing("a")
    changing.name = "b"
    assert changing.name == "b"
    with pytest.raises(AttributeError):
        changing.other = 1
    assert not hasattr(of.Longer(1), "__dict__")


def test_a_factory_makes_one_for_each_and_only_where_none_is_given(of) -> None:
    of.Changing("a").seen.append(1)
    assert of.Changing("a").seen == []
    mine = [7]
    assert of.Changing("a", mine).seen is mine


def test_secrets_are_not_shown(of) -> None:
    assert repr(of.Changing("a", [1], "hush")).endswith("Changing(name='a', seen=[1])")
    assert repr(of.Longer(1)).endswith("Longer(one=1, two=b'2', three=())")


def test_what_is_worked_out_is_worked_out_anew(of) -> None:
    assert of.Worked(250).text == "250."
    assert of.replace(of.Worked(250), code=421).text == "421."
    assert of.replace(of.Longer(1), three=(2,)) == of.Longer(1, three=(2,))
    with pytest.raises(TypeError):
        of.replace(of.Frozen(1), four=4)


def test_before_a_fork_all_can_be_written_at_once() -> None:
    of = kinds(record)
    before = of.Longer.__init__
    record.write_all()
    assert of.Longer.__init__ is not before
    assert of.Longer(1, three=(2,)).three == (2,)
    assert of.Worked(250).text == "250."


def test_they_are_matched_by_place(of) -> None:
    match of.Longer(1, b"2", (3,)):
        case of.Longer(one, two, three):
            assert (one, two, three) == (1, b"2", (3,))
        case _:
            pytest.fail("not matched")
    assert of.Worked.__match_args__ == ("code",)
