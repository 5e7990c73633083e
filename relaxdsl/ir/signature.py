"""How a call of a kernel binds the kernel's symbols: by its input buffers' shapes, then by explicit integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.ir.visit_loops import all_dims
from relaxdsl.types.bounds import bounded_symbols, describe_bounds
from relaxdsl.types.dims import Dim, SymInt, free_symbols, is_symbol, substitute, symbol, symbols_of
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import PrimType, TensorType, TupleType, Type, tensor_type


def unbound_symbols(kernel: PrimFunc) -> tuple[str, ...]:
    """The kernel's symbols that are no input's size by themselves: the caller passes them after the inputs."""
    bound = {
        name for buffer in kernel.inputs for size in buffer.shape if is_symbol(size) for name in free_symbols(size)
    }
    return tuple(name for name in kernel.symbols if name not in bound)


def own_symbols(kernel: PrimFunc) -> dict[str, SymInt]:
    """The kernel's symbols by name, with the bounds that they have in it."""
    shapes = (size for buffer in (*kernel.params, *kernel.scratch) for size in buffer.shape)
    found = {each.name: from_atom(each) for dim in (*shapes, *all_dims(kernel.body)) for each in symbols_of(dim)}
    return {name: found[name] if name in found else symbol(name) for name in kernel.symbols}


def bind_kernel_symbols(kernel: PrimFunc, args: Sequence[Expr]) -> dict[str, Dim]:
    """The value of each of the kernel's symbols in a call with ``args`` (tensors, then one prim per unbound symbol).

    Raises:
        ShapeError: wrong number of arguments, ranks or sizes.
        DTypeError: wrong dtypes.
    """
    inputs, extra = args[: len(kernel.inputs)], args[len(kernel.inputs) :]
    unbound = unbound_symbols(kernel)
    if unbound and len(args) == len(kernel.inputs):
        raise _sizes_missing(kernel, unbound)
    if len(args) != len(kernel.inputs) + len(unbound):
        wanted = [buffer.name for buffer in kernel.inputs] + list(unbound)
        raise ShapeError(f"{kernel.name}: expected {len(wanted)} arguments ({', '.join(wanted)}), got {len(args)}")
    values: dict[str, Dim] = {}
    for name, arg in zip(unbound, extra, strict=True):
        values[name] = _prim_value(kernel, name, arg)
    for buffer, arg in zip(kernel.inputs, inputs, strict=True):
        _bind_buffer(kernel, buffer, _tensor_type(kernel, buffer, arg), values)
    for buffer, arg in zip(kernel.inputs, inputs, strict=True):
        _check_buffer(kernel, buffer, _tensor_type(kernel, buffer, arg), values)
    _check_bounds(kernel, values)
    return values


def _sizes_missing(kernel: PrimFunc, names: Sequence[str]) -> ShapeError:
    """The error of a call without integers for the sizes that no input has."""
    sizes, them = ("size", "it") if len(names) == 1 else ("sizes", "them")
    args = _in_parentheses([*(buffer.name for buffer in kernel.inputs), *names])
    hint = f"pass {them} after the inputs: {args}"
    if {name for buffer in kernel.outputs for size in buffer.shape for name in free_symbols(size)} >= set(names):
        types = [str(tensor_type(buffer.shape, buffer.dtype)) for buffer in kernel.outputs]
        hint += f", or give the result's type: out={types[0] if len(types) == 1 else _in_parentheses(types)}"
    return ShapeError(f"{kernel.name}: no input tells the {sizes} {', '.join(names)}", hint=hint)


def _in_parentheses(items: Sequence[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def output_type(kernel: PrimFunc, values: Mapping[str, Dim]) -> Type:
    """The type of a call's result: one tensor, or a tuple of them."""
    tensors = tuple(
        tensor_type([substitute(size, values) for size in buffer.shape], buffer.dtype) for buffer in kernel.outputs
    )
    return tensors[0] if len(tensors) == 1 else TupleType(tensors)


def _prim_value(kernel: PrimFunc, name: str, arg: Expr) -> Dim:
    if isinstance(arg.type, PrimType) and arg.type.value is not None:
        return arg.type.value
    raise ShapeError(f"{kernel.name}: {name} must be an integer size, got {arg.type}")


def _tensor_type(kernel: PrimFunc, buffer: Buffer, arg: Expr) -> TensorType:
    type_ = arg.type
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise ShapeError(f"{kernel.name}: {buffer.name} must be a tensor of known rank, got {type_}")
    if type_.dtype != buffer.dtype:
        raise DTypeError(
            f"{kernel.name}: {buffer.name} must be {buffer.dtype}, got {type_.dtype}",
            hint=f'convert the argument: x.astype("{buffer.dtype}")',
        )
    if type_.ndim != len(buffer.shape):
        raise ShapeError(f"{kernel.name}: {buffer.name} must have {len(buffer.shape)} dimensions, got {type_.ndim}")
    return type_


def _bind_buffer(kernel: PrimFunc, buffer: Buffer, actual: TensorType, values: dict[str, Dim]) -> None:
    for size, got in zip(buffer.shape, actual.shape or (), strict=True):
        if is_symbol(size):
            (name,) = free_symbols(size)
            values.setdefault(name, got)


def _check_buffer(kernel: PrimFunc, buffer: Buffer, actual: TensorType, values: Mapping[str, Dim]) -> None:
    for axis, (size, got) in enumerate(zip(buffer.shape, actual.shape or (), strict=True)):
        wanted = substitute(size, values)
        if prove_equal(wanted, got) is not Proof.YES:
            meaning = f"{wanted}" if wanted is size else f"{wanted} ({size})"
            raise ShapeError(f"{kernel.name}: {buffer.name}, axis {axis}: expected {meaning}, got {got}")


def _check_bounds(kernel: PrimFunc, values: Mapping[str, Dim]) -> None:
    """What the kernel relies on must hold for the caller's sizes."""
    for name, each in bounded_symbols(size for buffer in kernel.params for size in buffer.shape).items():
        value = values.get(name, each.lower)
        at_most = Proof.YES if each.upper is None else prove_less_equal(value, each.upper)
        if prove_less_equal(each.lower, value) is not Proof.YES or at_most is not Proof.YES:
            raise ShapeError(f"{kernel.name}: {name} is {value}, which is not known to keep {describe_bounds(each)}")
