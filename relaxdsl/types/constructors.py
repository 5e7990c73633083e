"""The annotations users write: ``Tensor[(m, 224), "float32"]``, ``Shape``, ``Prim``, ``Tuple``, ``Callable``, ``Any``.

Each is called or subscripted and gives a type. A dim may be an int, a symbolic dim, a string (``"m"``, ``"2 * m + 1"``)
or a type parameter (``def f[m](x: Tensor[(m, 4)])``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any as AnyValue
from typing import TypeVar

from relaxdsl.errors import DTypeError, ScriptError, ShapeError
from relaxdsl.tracebacks import short_tracebacks_of_methods
from relaxdsl.types.dims import Dim, SymInt, parse_dim, symbol
from relaxdsl.types.dtype import canonical_dtype
from relaxdsl.types.types import AnyType, FuncType, PrimType, ShapeType, TensorType, TupleType, Type


@short_tracebacks_of_methods("__call__", "__getitem__")
class TensorAnnotation:
    """``relax.Tensor``: a tensor's type.

    Example:
        >>> import relaxdsl as relax
        >>> m = relax.dims("m")
        >>> print(relax.Tensor[(m, 224), "float32"])
        relax.Tensor((m, 224), "float32")
        >>> relax.Tensor((m, 224), "float32") == relax.Tensor(("m", 224), "float32")
        True
    """

    def __call__(self, shape: AnyValue = ..., dtype: AnyValue = None, *, ndim: int = -1) -> TensorType:
        """The type of a tensor of ``shape`` (``...`` if unknown; then ``ndim`` may say its rank) and ``dtype``."""
        if dtype is None and _is_dtype(shape):
            shape, dtype = ..., shape
        if _is_dtype(shape) and isinstance(dtype, tuple | list):
            raise _swapped(dtype, shape)
        sizes = None if shape is ... else _dims("Tensor", shape)
        return TensorType(sizes, None if dtype is None else canonical_dtype(dtype), ndim)

    def __getitem__(self, item: AnyValue) -> TensorType:
        if isinstance(item, tuple) and len(item) == 2 and (isinstance(item[0], tuple | list) or item[0] is ...):
            return self(*item)
        if isinstance(item, tuple) and any(map(_is_dtype, item)):
            dtype = next(filter(_is_dtype, item))
            sizes = [each for each in item if each is not dtype]
            if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
                raise _swapped(sizes[0], dtype)
            raise ScriptError("Tensor: the shape is a tuple", hint=_written(sizes, dtype))
        return self(item)

    def __repr__(self) -> str:
        return "relax.Tensor"


@short_tracebacks_of_methods("__call__", "__getitem__")
class ShapeAnnotation:
    """``relax.Shape``: the type of a shape passed as a value."""

    def __call__(self, values: AnyValue = ..., *, ndim: int = -1) -> ShapeType:
        """The type of the shape ``values`` (``...`` if unknown; then ``ndim`` may say its rank)."""
        return ShapeType(None if values is ... else _dims("Shape", values), ndim)

    def __getitem__(self, item: AnyValue) -> ShapeType:
        return self(item if isinstance(item, tuple | list) or item is ... else (item,))

    def __repr__(self) -> str:
        return "relax.Shape"


@short_tracebacks_of_methods("__call__", "__getitem__")
class PrimAnnotation:
    """``relax.Prim``: the type of an integer passed by value, usable as a dim."""

    def __call__(self, dtype: AnyValue = "int64", *, value: AnyValue = None) -> PrimType:
        """The type of an integer; ``value`` is the dim it is known to be.

        Raises:
            DTypeError: any dtype but int64.
        """
        name = canonical_dtype(dtype)
        if name != "int64":
            raise DTypeError(
                f"Prim: only int64 is passed by value, got {name}",
                hint=f'pass it as a 0-d tensor: relax.Tensor((), "{name}")',
            )
        return PrimType(name, None if value is None else _dim("Prim", value))

    def __getitem__(self, dtype: AnyValue) -> PrimType:
        return self(dtype)

    def __repr__(self) -> str:
        return "relax.Prim"


@short_tracebacks_of_methods("__call__", "__getitem__")
class TupleAnnotation:
    """``relax.Tuple``: the type of a tuple, by its fields."""

    def __call__(self, *fields: AnyValue) -> TupleType:
        """The type of a tuple of these fields (given one by one, or as one sequence)."""
        if len(fields) == 1 and isinstance(fields[0], list | tuple):
            fields = tuple(fields[0])
        return TupleType(tuple(as_type(field) for field in fields))

    def __getitem__(self, item: AnyValue) -> TupleType:
        return self(*item) if isinstance(item, tuple) else self(item)

    def __repr__(self) -> str:
        return "relax.Tuple"


@short_tracebacks_of_methods("__call__", "__getitem__")
class CallableAnnotation:
    """``relax.Callable``: a function's type."""

    def __call__(self, params: Sequence[AnyValue] | None = None, ret: AnyValue = None, pure: bool = True) -> FuncType:
        """The type of a function of these parameters (None: unknown) and result."""
        known = None if params is None else tuple(as_type(param) for param in params)
        return FuncType(known, AnyType() if ret is None else as_type(ret), pure)

    def __getitem__(self, item: AnyValue) -> FuncType:
        return self(*item) if isinstance(item, tuple) else self(item)

    def __repr__(self) -> str:
        return "relax.Callable"


Tensor = TensorAnnotation()
Shape = ShapeAnnotation()
Prim = PrimAnnotation()
Tuple = TupleAnnotation()
Callable = CallableAnnotation()
Any = AnyType()


def as_type(value: AnyValue) -> Type:
    """``value`` as a type: a type, or one of the annotations without arguments (``relax.Tensor``).

    Raises:
        ScriptError: for anything else.
    """
    if isinstance(value, Type):
        return value
    if isinstance(value, TensorAnnotation | ShapeAnnotation | PrimAnnotation | TupleAnnotation | CallableAnnotation):
        return value()
    if value is None:
        return TupleType(())
    meant = {int: 'relax.Prim("int64")', float: 'relax.Tensor((), "float32")', bool: 'relax.Tensor((), "bool")'}
    hint = f"write {meant[value]}" if value in meant else 'write relax.Tensor((m, 4), "float32"), for example'
    raise ScriptError(f"{value!r} is not a relax type", hint=hint)


def _dims(what: str, values: AnyValue) -> tuple[Dim, ...]:
    if isinstance(values, int | str | SymInt):
        raise ShapeError(f"{what}: a shape is a tuple of sizes, got {values!r}", hint=f"write ({values},)")
    if not isinstance(values, Iterable):
        raise ShapeError(f"{what}: a shape is a tuple of sizes, got {values!r}")
    return tuple(_dim(what, value) for value in values)


def _dim(what: str, value: AnyValue) -> Dim:
    if isinstance(value, str):
        return parse_dim(value)
    if isinstance(value, TypeVar):
        return symbol(value.__name__)
    if isinstance(value, SymInt) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return int(value)
    raise ShapeError(f"{what}: {value!r} is not a size", hint='a size is an int, a dim or a string such as "m"')


def _is_dtype(value: AnyValue) -> bool:
    """Whether it is a dtype's name."""
    try:
        return isinstance(value, str) and bool(canonical_dtype(value))
    except DTypeError:
        return False


def _swapped(shape: Sequence[AnyValue], dtype: str) -> ScriptError:
    return ScriptError("Tensor: the shape comes before the dtype", hint=_written(shape, dtype))


def _written(shape: Sequence[AnyValue], dtype: str) -> str:
    sizes = ", ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in shape)
    return f'write relax.Tensor[({sizes}{"," if len(shape) == 1 else ""}), "{dtype}"]'
