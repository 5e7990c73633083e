"""Elements of buffers in a kernel's script: what an index may be, and what may be stored."""

from __future__ import annotations

from typing import Any, NoReturn

from relaxdsl.errors import DTypeError, ScriptError
from relaxdsl.ir.loops import Buffer, Store
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, WeakSelect, as_scalar, element_of, map_choice
from relaxdsl.ir.whole import Whole
from relaxdsl.operators.calls import current_context
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter
from relaxdsl.tir import number
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, DimCompare, SymInt
from relaxdsl.types.dtype import is_bool, is_float, is_integer
from relaxdsl.types.symint import does_user_compare, require_int64


class BufferView(Whole):
    """What the name of a buffer stands for: indexing it reads an element."""

    def __init__(self, interp: KernelInterpreter, buffer: Buffer) -> None:
        self._interp = interp
        self.buffer = buffer

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The buffer's sizes."""
        return self.buffer.shape

    @property
    def dtype(self) -> str:
        """The dtype of its elements."""
        return self.buffer.dtype

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.buffer.shape)

    def __getitem__(self, index: Any) -> Load:
        load = Load(self.buffer, checked_indices(self.buffer, index))
        span = current_context().span
        self._interp.places[load] = span
        self._interp.history.note_read(load, span)
        return load

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise ScriptError(
            f"{self.buffer.name}: a helper outside of the kernel stores nothing",
            hint="return the value and store it in the kernel, or define the helper inside the kernel",
        )

    def __iter__(self) -> NoReturn:
        size = self.buffer.shape[0] if self.buffer.shape else 1
        raise ScriptError(
            f"{self!r} is no sequence: a kernel loops over indices",
            hint=f"for i in range({size}): and {element_of(self.buffer)} in it",
        )

    def __len__(self) -> NoReturn:
        raise ScriptError(f"{self!r} has no length in Python", hint=f"write the size: {self.buffer.name}.shape[0]")

    def no_operand(self) -> DTypeError:
        """:func:`not_an_element`."""
        return not_an_element(self)

    __bool__ = __float__ = __int__ = __index__ = __call__ = Whole.refuse

    def __eq__(self, other: object) -> bool:
        if does_user_compare():
            raise not_an_element(self)
        return NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"the buffer {self.buffer.name}"


def not_an_element(view: BufferView) -> DTypeError:
    """The error for a whole buffer where an element is wanted."""
    return DTypeError(f"{view!r} is no element", hint=f"index it: {element_of(view.buffer)}")


def checked_indices(buffer: Buffer, index: Any) -> tuple[Index, ...]:
    """The indices of one element.

    Raises:
        ScriptError: not one for each axis, or a slice.
        DTypeError: something that is no integer.
    """
    given = index if isinstance(index, tuple) else (index,)
    if any(isinstance(each, slice) or each is Ellipsis for each in given):
        raise ScriptError(
            f"{buffer.name}: a kernel works on elements, so an index is no slice", hint="loop over the elements"
        )
    if len(given) != len(buffer.shape):
        got = counted(len(given), "index", "indices")
        raise ScriptError(
            f"{buffer.name} has {counted(len(buffer.shape), 'axis', 'axes')}, but {got}",
            hint=None if buffer.shape else f"the element of a buffer without axes is {buffer.name}[()]",
        )
    return tuple(_checked_index(buffer, each) for each in given)


def _checked_index(buffer: Buffer, index: Any) -> Index:
    if isinstance(index, SymInt) or (hasattr(index, "__index__") and not isinstance(index, bool)):
        return require_int64(index if isinstance(index, SymInt) else int(index))
    if isinstance(index, ScalarExpr) and is_integer(index.dtype):
        return index
    kind = index.dtype if isinstance(index, ScalarExpr) else type(index).__name__
    raise DTypeError(f"{buffer.name}: an index is an integer, not {kind}", hint='convert it: T.cast(index, "int64")')


def store(interp: KernelInterpreter, buffer: Buffer, indices: tuple[Index, ...], value: Any) -> None:
    """Adds ``buffer[indices] = value``; Python numbers and sizes take the buffer's dtype.

    Raises:
        DTypeError: the value has another dtype.
        ScriptError: what it or an index reads has been written since.
    """
    span = current_context().span
    stmt = Store(buffer, indices, as_element(buffer, value))
    interp.use((stmt.value, *indices), span)
    interp.places[stmt] = span
    interp.body.append(stmt)
    interp.history.note_write(buffer, span)


def as_element(buffer: Buffer, value: Any) -> ScalarExpr:
    """``value`` as what the buffer holds."""
    what = "this local variable" if buffer.scope == "register" else buffer.name
    if isinstance(value, BufferView):
        raise not_an_element(value)
    if isinstance(value, bool | int | float):
        return number(value, buffer.dtype)
    if isinstance(value, WeakSelect):
        return map_choice(value, lambda each: number(each, buffer.dtype))
    if isinstance(value, SymInt) and not is_bool(buffer.dtype):
        return as_scalar(value, buffer.dtype)
    if not isinstance(value, ScalarExpr | SymInt | DimCompare) and not hasattr(value, "dtype"):
        raise DTypeError(f"{what}: {type(value).__name__} is no element")
    node = as_scalar(value)
    if node.dtype != buffer.dtype:
        loses = is_float(node.dtype) and not is_float(buffer.dtype)
        raise DTypeError(
            f"{what} is {buffer.dtype}, the value is {node.dtype}",
            hint=f'convert it{", which drops the fraction" if loses else ""}: T.cast(value, "{buffer.dtype}")',
        )
    return node
