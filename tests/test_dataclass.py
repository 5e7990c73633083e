"""Our ``dataclass`` does what the standard library's does."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any, ClassVar

import pytest

from relaxdsl.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A place."""

    line: int
    column: int = 1
    note: str = dataclasses.field(default="", compare=False, repr=False)
    kinds: ClassVar[tuple[str, ...]] = ("place",)


@dataclass(frozen=True, slots=True)
class Area(Place):
    end: int = 0
    size: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.end - self.line)


@dataclass(slots=True)
class Growing:
    name: str
    items: list[int] = dataclasses.field(default_factory=list)
    seen: set[int] = dataclasses.field(default_factory=set, init=False)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Node:
    child: Node | None = None

    def __repr__(self) -> str:
        return "a node"


def of_standard_library(cls: type[Any], **parts: Any) -> type[Any]:
    """The same fields, made by the standard library."""
    fields = [
        (each.name, each.type, dataclasses.field(default=each.default, compare=each.compare, repr=each.repr))
        for each in dataclasses.fields(cls)
    ]
    return dataclasses.make_dataclass(cls.__name__, fields, slots=True, **parts)


def test_shows_compares_and_hashes_as_the_standard_library_does() -> None:
    peer = of_standard_library(Place, frozen=True)
    assert repr(Place(3, note="x")) == repr(peer(3, note="x")) == "Place(line=3, column=1)"
    assert hash(Place(3, 4)) == hash(peer(3, 4))
    assert Place(3) == Place(3, note="not compared") != Place(4)
    assert Place(3) != peer(3)
    assert Place(3).__eq__(3) is NotImplemented
    assert inspect.signature(Place) == inspect.signature(peer).replace(return_annotation=inspect.Signature.empty)


def test_fields_are_found_by_the_standard_library() -> None:
    assert dataclasses.is_dataclass(Place)
    assert dataclasses.replace(Place(3), column=7) == Place(3, 7)
    assert dataclasses.asdict(Place(3)) == {"line": 3, "column": 1, "note": ""}
    assert Place.__match_args__ == ("line", "column", "note")
    assert Place.__doc__ == "A place."


def test_frozen_instances_do_not_change() -> None:
    place = Place(3)
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"^cannot assign to field 'line'$"):
        place.line = 4  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"^cannot delete field 'line'$"):
        del place.line


def test_wrong_arguments_are_refused_at_the_first_call_too() -> None:
    @dataclass(frozen=True, slots=True)
    class Fresh:
        name: str

    for _ in range(2):
        with pytest.raises(TypeError, match=r"Fresh\.__init__\(\) missing 1 required positional argument: 'name'$"):
            Fresh()  # type: ignore[call-arg]


def test_subclasses_have_the_fields_of_both() -> None:
    area = Area(3, end=10)
    assert (area.line, area.column, area.size) == (3, 1, 7)
    assert area != Place(3)
    assert repr(area) == "Area(line=3, column=1, end=10, size=7)"


def test_mutable_instances_get_their_own_defaults_and_no_hash() -> None:
    one, other = Growing("a"), Growing("a")
    one.items.append(1)
    assert (one, other) == (Growing("a", [1]), Growing("a"))
    other.name = "b"
    assert other == Growing("b")
    assert Growing.__hash__ is None


def test_without_eq_instances_are_themselves() -> None:
    node = Node()
    assert node != Node()
    assert len({node, Node(node)}) == 2
    assert repr(node) == "a node"


@pytest.mark.parametrize("value", [Place(3, 4, "note"), Area(1, end=2), Growing("a", [1])])
def test_instances_are_copied_and_pickled(value: Any) -> None:
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
