"""How a call of a kernel binds the kernel's symbols: by its input buffers' shapes, then by explicit integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.ir.visit_loops import all_dims
from relaxdsl.types.bounds import bounded_symbols, declaration, describe_bounds
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt, free_symbols, is_symbol, substitute, symbol, symbols_of
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.shape import naming_hint
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import PrimType, TensorType, TupleType, Type, format_shape, tensor_type


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
    if extra and isinstance(extra[0].type, TensorType) and (len(extra) > len(unbound) or extra[0].type.ndim != 0):
        raise _output_given(kernel, inputs, unbound)
    if len(args) != len(kernel.inputs) + len(unbound):
        wanted = [buffer.name for buffer in kernel.inputs] + list(unbound)
        count = counted(len(wanted), "argument")
        raise ShapeError(f"{kernel.name}: expected {count} ({', '.join(wanted)}), got {len(args)}")
    values: dict[str, Dim] = {}
    for name, arg in zip(unbound, extra, strict=True):
        values[name] = _prim_value(kernel, name, arg)
    operands = _operands(kernel, inputs)
    for each in operands:
        _bind_buffer(each.buffer, each.tensor_type(kernel), values)
    for each in operands:
        _check_buffer(kernel, each, operands, values)
    _check_bounds(kernel, operands, values)
    return values


def require_inputs(kernel: PrimFunc, inputs: Sequence[Expr]) -> None:
    """Returns if these are tensors of the dtypes and ranks that the kernel's inputs have.

    Raises:
        ShapeError, DTypeError: one is not.
    """
    for each in _operands(kernel, inputs):
        each.tensor_type(kernel)


def _operands(kernel: PrimFunc, inputs: Sequence[Expr]) -> list[_Operand]:
    return [_Operand(place, *each) for place, each in enumerate(zip(inputs, kernel.inputs, strict=True))]


def _sizes_missing(kernel: PrimFunc, names: Sequence[str]) -> ShapeError:
    """The error of a call without integers for the sizes that no input has."""
    sizes, them = ("size", "it") if len(names) == 1 else ("sizes", "them")
    args = _in_parentheses([*(buffer.name for buffer in kernel.inputs), *names])
    hint = f"pass {them} after the inputs: {args}"
    if {name for buffer in kernel.outputs for size in buffer.shape for name in free_symbols(size)} >= set(names):
        types = [str(tensor_type(buffer.shape, buffer.dtype)) for buffer in kernel.outputs]
        hint += f", or give the result's type: out={types[0] if len(types) == 1 else _in_parentheses(types)}"
    return ShapeError(f"{kernel.name}: no input tells the {sizes} {', '.join(names)}", hint=hint)


def _output_given(kernel: PrimFunc, inputs: Sequence[Expr], unbound: Sequence[str]) -> ShapeError:
    """The error of a call with the outputs among its arguments, where TVM's kernels have them."""
    names = [getattr(arg, "name", buffer.name) for arg, buffer in zip(inputs, kernel.inputs, strict=True)]
    return ShapeError(
        f"{kernel.name}: {kernel.outputs[0].name} is an output, which the call makes and returns",
        hint=f"pass the inputs only: {_in_parentheses([*names, *unbound])}",
    )


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


@dataclass(frozen=True, slots=True)
class _Operand:
    """An argument of a call, by its place, and the input of the kernel that it is given for."""

    place: int
    arg: Expr
    buffer: Buffer

    @property
    def name(self) -> str:
        """What the caller calls it."""
        return getattr(self.arg, "name", f"argument {self.place}")

    def tensor_type(self, kernel: PrimFunc) -> TensorType:
        """Its type, of the input's dtype and rank."""
        wanted, type_ = self.buffer, self.arg.type
        headline = f"{kernel.name}: parameter {wanted.name} must"
        if not isinstance(type_, TensorType) or type_.shape is None:
            raise ShapeError(f"{headline} be a tensor of known rank, {self.name} is {type_}")
        if type_.dtype != wanted.dtype:
            converted = f"{self.name}.astype(" if hasattr(self.arg, "name") else "relax.astype(…, "
            raise DTypeError(
                f"{headline} be {wanted.dtype}, {self.name} is {type_.dtype}",
                details=_described([self]),
                hint=f'convert it with {converted}"{wanted.dtype}")',
            )
        if type_.ndim != len(wanted.shape):
            dimensions = counted(len(wanted.shape), "dimension")
            raise ShapeError(f"{headline} have {dimensions}, {self.name} has {type_.ndim}", details=_described([self]))
        return type_


def _described(operands: Sequence[_Operand]) -> list[str]:
    """The tensors, and what the kernel declares in their places."""
    names = [each.name for each in operands]
    types = [_shown("Tensor", each.arg.type) for each in operands]
    name_width, type_width = (max(map(len, column), default=0) for column in (names, types))
    return [
        f"{name:{name_width}} : {type_:{type_width}}   for {each.buffer.name} : {_shown('Buffer', each.buffer)}"
        for name, type_, each in zip(names, types, operands, strict=True)
    ]


def _shown(kind: str, declared: Buffer | Type) -> str:
    """A tensor or a buffer by its shape and dtype, as messages show them."""
    assert isinstance(declared, Buffer | TensorType)
    return f"{kind}({format_shape(declared.shape or ())}, {declared.dtype})"


def _bind_buffer(buffer: Buffer, actual: TensorType, values: dict[str, Dim]) -> None:
    for size, got in zip(buffer.shape, actual.shape or (), strict=True):
        if is_symbol(size):
            (name,) = free_symbols(size)
            values.setdefault(name, got)


def _check_buffer(kernel: PrimFunc, operand: _Operand, all_: Sequence[_Operand], values: Mapping[str, Dim]) -> None:
    actual, buffer = operand.tensor_type(kernel), operand.buffer
    for axis, (size, got) in enumerate(zip(buffer.shape, actual.shape or (), strict=True)):
        wanted = substitute(size, values)
        proof = prove_equal(wanted, got)
        if proof is not Proof.YES:
            meaning = f"{wanted}" if wanted is size else f"{wanted} ({size})"
            raise ShapeError(
                f"{kernel.name}: parameter {buffer.name}, axis {axis}: expected {meaning}, got {got}",
                details=_described(all_),
                hint=naming_hint(wanted, got) if proof is Proof.UNKNOWN else None,
            )


def _check_bounds(kernel: PrimFunc, operands: Sequence[_Operand], values: Mapping[str, Dim]) -> None:
    """What the kernel relies on must hold for the caller's sizes."""
    for name, each in bounded_symbols(size for buffer in kernel.params for size in buffer.shape).items():
        value = values.get(name, each.lower)
        is_at_least = prove_less_equal(each.lower, value) is Proof.YES
        if is_at_least and (each.upper is None or prove_less_equal(value, each.upper) is Proof.YES):
            continue
        declared = declaration(value, "<=", each.upper or 0) if is_at_least else declaration(value, ">=", each.lower)
        raise ShapeError(
            f"{kernel.name}: {name} is {value}, which is not known to keep {describe_bounds(each)}",
            details=_described(operands),
            hint=None if declared is None else f"say that it does: {declared}",
        )
