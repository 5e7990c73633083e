"""``dataclass`` as in the standard library, cheaper to make: a class's methods are written when they are first called.

The standard library writes and compiles up to six methods of every class while modules are imported: 1 ms a class, and
half of what ``import relaxdsl`` took. Here it only finds the fields, so that ``fields``, ``replace`` and ``match`` work
as always, and ``__init__``, ``__eq__`` and ``__hash__`` of a class are compiled when it gets its first instance, and
when two are compared.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import Any, Literal, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")

_FILE = f"{__file__}, written"
"""Where tracebacks say that the methods are."""

_IS_LEFT_OUT = object()
"""What the parameter of a field with a ``default_factory`` is when the caller gives nothing."""


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(
    *, slots: Literal[True], frozen: bool = False, eq: bool = True, repr: bool = True, weakref_slot: bool = False
) -> Callable[[type[T]], type[T]]:
    """Decorator: makes a class with slots for these fields; the parameters are those of ``dataclasses.dataclass``."""

    def decorate(cls: type[T]) -> type[T]:
        cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library writes a signature
        bare = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, weakref_slot=weakref_slot)
        made = bare(cls)
        methods: dict[str, Any] = {"__init__": _written_late(made, "__init__", _init), "__signature__": _Signature()}
        methods |= {"__repr__": _shown} if repr else {}
        methods |= {"__eq__": _written_late(made, "__eq__", _eq), "__hash__": None} if eq else {}
        methods |= {"__hash__": _written_late(made, "__hash__", _hash)} if eq and frozen else {}
        methods |= _OF_FROZEN_CLASSES if frozen else {}
        for name, method in methods.items():
            if cls.__dict__.get(name) is None:  # else the class has its own
                setattr(made, name, method)
        return made

    return decorate


def _is_frozen(cls: Any) -> bool:
    """Whether a class that :func:`dataclass` made has instances that do not change."""
    return cls.__setattr__ is _refuse_to_set


# -------------------------------------------------------------------------------------- written late


def _written_late(cls: type[Any], name: str, write: Callable[[type[Any]], Any]) -> Callable[..., Any]:
    """The method until it is called: then the real one is put in its place."""

    def method(*args: Any, **kwargs: Any) -> Any:
        written = write(cls)
        written.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, written)
        return written(*args, **kwargs)

    return method


def _init(cls: type[Any]) -> Any:
    """``__init__``. Fields of frozen instances are set through the slots' descriptors."""
    set_fields = [each for each in dataclasses.fields(cls) if each.init or each.default_factory is not MISSING]
    names: dict[str, Any] = {"_IS_LEFT_OUT": _IS_LEFT_OUT}
    for each in set_fields:
        names |= {f"_default_{each.name}": each.default, f"_make_{each.name}": each.default_factory}
        names |= {f"_set_{each.name}": getattr(cls, each.name).__set__} if _is_frozen(cls) else {}
    parameters = [_parameter(each) for each in set_fields if each.init]
    body = [_assignment(each, _is_frozen(cls)) for each in set_fields]
    body += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    init = _compiled(f"def written({', '.join(['self', *parameters])}): {'; '.join(body) or 'pass'}", names)
    init.__annotations__ = {each.name: each.type for each in set_fields if each.init} | {"return": None}
    return init


def _parameter(each: Field[Any]) -> str:
    if each.default is not MISSING:
        return f"{each.name}=_default_{each.name}"
    return each.name if each.default_factory is MISSING else f"{each.name}=_IS_LEFT_OUT"


def _assignment(each: Field[Any], frozen: bool) -> str:
    value = each.name if each.init else f"_make_{each.name}()"
    if each.init and each.default_factory is not MISSING:
        value = f"_make_{each.name}() if {each.name} is _IS_LEFT_OUT else {each.name}"
    return f"_set_{each.name}(self, {value})" if frozen else f"self.{each.name} = {value}"


def _eq(cls: type[Any]) -> Any:
    same = f"{_values('self', cls)} == {_values('other', cls)}"
    comparable = "self.__class__ is other.__class__"
    return _compiled(f"def written(self, other): return {same} if {comparable} else NotImplemented")


def _hash(cls: type[Any]) -> Any:
    return _compiled(f"def written(self): return hash({_values('self', cls)})")


def _values(of: str, cls: type[Any]) -> str:
    """A tuple of the fields that count."""
    return f"({''.join(f'{of}.{each.name}, ' for each in dataclasses.fields(cls) if each.compare)})"


def _compiled(source: str, names: dict[str, Any] | None = None) -> Any:
    names = {"__name__": __name__, **(names or {})}
    exec(compile(source, _FILE, "exec"), names)
    return names["written"]


# -------------------------------------------------------------------------------- shared by all classes


class _Signature:
    """``__signature__`` of a class, for ``help`` and editors: that of an ``__init__`` that may not be written yet."""

    def __get__(self, instance: Any, cls: type[Any]) -> inspect.Signature:
        _self, *parameters = inspect.signature(_init(cls)).parameters.values()
        return inspect.Signature(parameters)


def _shown(self: Any) -> str:
    fields = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(fields)})"


def _refuse_to_set(self: Any, name: str, value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)


_OF_FROZEN_CLASSES = {
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__getstate__": _state,
    "__setstate__": _restore,
}
