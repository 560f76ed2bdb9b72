"""Plain values: `dataclass`, `field` and `replace` as the standard library has them, as far as roles use them.

A reader would otherwise get wrong: nothing is compiled before it is used. The standard library's own writes five functions
for each class when it is imported, and brings `inspect`, `ast` and `dis` along: together a hundredth of a second of each
role's start and two megabytes of each role, of which there are thirty.
"""

import typing
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

_T = TypeVar("_T")
_NONE: Final[Any] = object()  # as a default: there is none
_unused: list[Any] = []  # classes of which there was no instance yet, as far as we know


class FrozenInstanceError(AttributeError):
    """Somebody wanted to change what does not change."""


class _Field:
    """What stands behind a field's name in the class, where that is more than a default."""

    __slots__ = ("default", "default_factory", "given", "shown")

    def __init__(self, default: object, default_factory: Callable[[], object] | None, given: bool, shown: bool) -> None:
        self.default, self.default_factory, self.given, self.shown = default, default_factory, given, shown


def field(
    *,
    default: object = _NONE,
    default_factory: Callable[[], Any] | None = None,
    init: bool = True,
    repr: bool = True,  # noqa: A002 - the standard library's word, and the one that type checkers know
) -> Any:  # noqa: ANN401 - what it stands for has the type of the field
    """A field that is made anew for each instance, is not given to the constructor, or is not shown."""
    return _Field(default, default_factory, init, repr)


@typing.dataclass_transform(field_specifiers=(field,))
def dataclass(*, frozen: bool = False, slots: bool = False, eq: bool = True) -> Callable[[type[_T]], type[_T]]:
    """Make a class of its annotations, as `dataclasses.dataclass` does with the same arguments."""

    def make(cls: type[_T]) -> type[_T]:
        return _make(cls, frozen=frozen, slots=slots, eq=eq)

    return make


def replace(instance: _T, **changed: object) -> _T:
    """The same with other values of some fields; those that are not given to the constructor are made anew.

    Raises:
        TypeError: there is no such field.
    """
    given = {name: getattr(instance, name) for name, each in _fields_of(type(instance)).items() if each.given}
    return type(instance)(**{**given, **changed})


def write_all() -> None:
    """Write every class's constructor now: for who is about to fork children that would each do it."""
    while _unused:
        cls = _unused.pop()
        if cls.__dict__.get("__init__") is _first_init:
            _write_init(cls)


def _fields_of(cls: type) -> dict[str, _Field]:
    found: dict[str, _Field] = cls.__record_fields__  # type: ignore[attr-defined]
    return found


def _make(cls: type[_T], *, frozen: bool, slots: bool, eq: bool) -> type[_T]:
    hints = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - of a class, the same; and no `inspect`
    own = {
        name: cls.__dict__.get(name, _NONE) for name, hint in hints.items() if typing.get_origin(hint) is not ClassVar
    }
    fields = {
        name: each
        for base in reversed(cls.__mro__[1:])
        for name, each in getattr(base, "__record_fields__", {}).items()
    }
    fields |= {
        name: each if isinstance(each, _Field) else _Field(each, None, given=True, shown=True)
        for name, each in own.items()
    }
    space: dict[str, Any] = {
        "__record_fields__": fields, "__match_args__": tuple(name for name, each in fields.items() if each.given),
    }  # fmt: skip
    space |= {name: method for name, method in _methods(frozen=frozen, eq=eq).items() if name not in cls.__dict__}
    made = _with_slots(cls, tuple(own), space) if slots else _with_more(cls, tuple(own), space)
    _unused.append(made)
    return made


def _with_slots(cls: type[_T], own: tuple[str, ...], space: dict[str, Any]) -> type[_T]:
    """Another class: one that exists cannot be given slots."""
    left_out = {*own, "__dict__", "__weakref__"}
    taken = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
    space = {name: value for name, value in cls.__dict__.items() if name not in left_out} | space
    kind: Any = type(cls)
    made: type[_T] = kind(cls.__name__, cls.__bases__, space | {"__slots__": tuple(n for n in own if n not in taken)})
    made.__qualname__ = cls.__qualname__
    return made


def _with_more(cls: type[_T], own: tuple[str, ...], space: dict[str, Any]) -> type[_T]:
    for name in own:
        if isinstance(cls.__dict__.get(name), _Field):
            delattr(cls, name)
    for name, value in space.items():
        setattr(cls, name, value)
    return cls


def _methods(*, frozen: bool, eq: bool) -> dict[str, Any]:
    """What the class can do; the first use of each writes the real one in its place."""
    methods: dict[str, Any] = {"__init__": _first_init, "__repr__": _repr}
    if eq:
        methods |= {"__eq__": _first_eq, "__hash__": _first_hash if frozen else None}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    return methods


def _first_init(self: Any, *values: object, **named: object) -> None:  # noqa: ANN401 - of any class made here
    cls = _maker(type(self), _first_init, "__init__")
    _write_init(cls)
    cls.__init__(self, *values, **named)


def _write_init(cls: Any) -> None:  # noqa: ANN401 - as above
    cls.__init__ = _made(_source_of_init(cls), "__init__", _space_of_init(cls))


def _first_eq(self: Any, other: object) -> Any:  # noqa: ANN401 - as above
    cls = _maker(type(self), _first_eq, "__eq__")
    mine, others = (f"({''.join(f'{who}.{name}, ' for name in _fields_of(cls))})" for who in ("self", "other"))
    source = f"def __eq__(self, other):\n    return {mine} == {others} if other.__class__ is self.__class__ else NotImplemented\n"
    cls.__eq__ = _made(source, "__eq__", {})
    return cls.__eq__(self, other)


def _first_hash(self: Any) -> int:  # noqa: ANN401 - as above
    cls = _maker(type(self), _first_hash, "__hash__")
    values = "".join(f"self.{name}, " for name in _fields_of(cls))
    cls.__hash__ = _made(f"def __hash__(self):\n    return hash(({values}))\n", "__hash__", {})
    return hash(self)


def _repr(self: object) -> str:
    cls = type(self)
    shown = [f"{name}={getattr(self, name)!r}" for name, each in _fields_of(cls).items() if each.shown]
    return f"{cls.__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_: object) -> typing.NoReturn:
    raise FrozenInstanceError(f"{name} of a {type(self).__name__} cannot be changed")


def _maker(cls: type, first: object, name: str) -> Any:  # noqa: ANN401 - a class whose method is to be set
    """The class that *cls* has that method of: itself, or one above it."""
    return next(each for each in cls.__mro__ if each.__dict__.get(name) is first)


# --- what is written once for each class that is used: sources of our own field names, of nothing that arrives ------------


def _made(source: str, name: str, space: dict[str, Any]) -> Any:  # noqa: ANN401 - a function
    exec(source, space)  # noqa: S102 - see above
    return space[name]


def _space_of_init(cls: type) -> dict[str, Any]:
    space: dict[str, Any] = {"NONE": _NONE}
    for name, each in _fields_of(cls).items():
        space |= {f"set_{name}": getattr(cls, name).__set__} if _is_slot(cls, name) else {"assign": object.__setattr__}
        space |= {f"default_{name}": each.default, f"make_{name}": each.default_factory}
    return space


def _is_slot(cls: type, name: str) -> bool:
    return hasattr(cls.__dict__.get(name, getattr(cls, name, None)), "__set__")


def _source_of_init(cls: type) -> str:
    given, lines = [], []
    for name, each in _fields_of(cls).items():
        value = name
        if each.default_factory is not None:
            value = f"make_{name}() if {name} is NONE else {name}" if each.given else f"make_{name}()"
        if each.given:
            default = "NONE" if each.default_factory is not None else f"default_{name}"
            given.append(name if each.default is _NONE and each.default_factory is None else f"{name}={default}")
        elif each.default_factory is None:
            if each.default is _NONE:
                continue  # `__post_init__` gives it its value.
            value = f"default_{name}"
        lines.append(
            f"    set_{name}(self, {value})" if _is_slot(cls, name) else f"    assign(self, {name!r}, {value})"
        )
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    return "\n".join([f"def __init__(self{''.join(f', {each}' for each in given)}):", *(lines or ["    pass"]), ""])
