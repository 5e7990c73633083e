"""numba intrinsics the generated source uses: typed buffers that do not alias, sums of a reduction, ends of loops.

Importing this module imports numba, so it is imported when the first kernel is compiled.

Note [Aliasing]. LLVM cannot know that a kernel's buffers do not overlap. It would check at run time, which costs
code and time and is given up for more than a few buffers. So each buffer is an alias scope, and each of its loads
and stores says which scopes (those of the buffers before it) it does not touch. An output that a kernel writes in
place of an input is the input's buffer: the same address, so LLVM sees that each element is read before it is written.
"""

# numba is not typed.
# mypy: disallow-untyped-calls=False, disallow-untyped-decorators=False
# mypy: disallow-subclassing-any=False, warn-return-any=False

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import unpack_tuple
from numba.core.errors import RequireLiteralValue
from numba.core.typing.templates import AbstractTemplate, Signature, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from relaxdsl.kernels.math.build import has_fused_multiply_add

NUMBA_TYPES: dict[str, types.Type] = {
    "bool": types.boolean,
    **{name: getattr(types, name) for name in ("int8", "int16", "int32", "int64")},
    **{name: getattr(types, name) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: getattr(types, name) for name in ("float32", "float64")},
}
#: Terms in another order (vector lanes), either sign of zero, fused multiply-adds. NaN and inf are kept.
REORDERED_FLAGS = ("reassoc", "nsz", "contract")
#: Fused multiply-adds only.
FUSED_FLAGS = ("contract",)


class BufferType(types.Type):
    """The numba type of a kernel's buffer: a pointer to ``dtype``, and its alias scope."""

    def __init__(self, dtype: types.Type, scope: int) -> None:
        self.dtype = dtype
        self.scope = scope
        super().__init__(name=f"Buffer({dtype}, {scope})")


@register_model(BufferType)
class _BufferModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: BufferType) -> None:
        super().__init__(manager, fe_type, manager.lookup(fe_type.dtype).get_data_type().as_pointer())


def _make_buffer_at(dtype: types.Type) -> Any:
    """The intrinsic ``dtype_buffer(args, slot)``: the buffer whose address is ``args[slot]``."""

    def buffer_at(typing_context: Any, args: types.Type, slot: types.Type) -> tuple[Signature, Any]:
        result = BufferType(dtype, _literal(slot))
        return result(args, slot), _buffer_emitter(result, _literal(slot))

    return intrinsic(prefer_literal=True)(buffer_at)


def _literal(slot: types.Type) -> int:
    if not isinstance(slot, types.IntegerLiteral):
        raise RequireLiteralValue("the slot of a buffer is a number")
    return int(slot.literal_value)


def _buffer_emitter(result: BufferType, slot: int) -> Any:
    def emit(context: Any, builder: Any, sig: Signature, values: Any) -> Any:
        address = builder.load(builder.gep(values[0], [ir.Constant(ir.IntType(64), slot)]))
        return builder.inttoptr(address, context.get_value_type(result))

    return emit


@infer_global(operator.getitem)
class _BufferGetItem(AbstractTemplate):
    def generic(self, args: Any, keywords: Any) -> Signature | None:
        buffer, index = args
        if isinstance(buffer, BufferType) and isinstance(index, types.Integer):
            return signature(buffer.dtype, buffer, types.intp)
        return None


@infer_global(operator.setitem)
class _BufferSetItem(AbstractTemplate):
    def generic(self, args: Any, keywords: Any) -> Signature | None:
        buffer, index, _ = args
        if isinstance(buffer, BufferType) and isinstance(index, types.Integer):
            return signature(types.none, buffer, types.intp, buffer.dtype)
        return None


@lower_builtin(operator.getitem, BufferType, types.intp)
def _lower_getitem(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
    buffer, index = args
    loaded = builder.load(builder.gep(buffer, [index], inbounds=True))
    _mark_scope(builder.module, loaded, sig.args[0].scope)
    return context.data_model_manager[sig.return_type].from_data(builder, loaded)


@lower_builtin(operator.setitem, BufferType, types.intp, types.Any)
def _lower_setitem(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
    buffer, index, value = args
    data = context.data_model_manager[sig.args[2]].as_data(builder, value)
    stored = builder.store(data, builder.gep(buffer, [index], inbounds=True))
    _mark_scope(builder.module, stored, sig.args[0].scope)
    return context.get_dummy_value()


def _mark_scope(module: ir.Module, instruction: Any, scope: int) -> None:
    """See Note [Aliasing]."""
    domain = module.add_metadata(["relaxdsl kernel"])
    *others, own = (module.add_metadata([f"buffer {each}", domain]) for each in range(scope + 1))
    instruction.set_metadata("alias.scope", module.add_metadata([own]))
    instruction.set_metadata("noalias", module.add_metadata(others))


def _make_summing(instruction: str, flags: tuple[str, ...]) -> Any:
    """The intrinsic that adds or multiplies two floats of one dtype as a reduction may."""
    return _make_combining(lambda builder, args: getattr(builder, instruction)(*args, flags=flags))


def _make_combining(combined: Callable[[Any, Any], Any]) -> Any:
    """The intrinsic for a function of two floats of one dtype, as ``combined`` emits it."""

    def combining(typing_context: Any, left: types.Type, right: types.Type) -> tuple[Signature, Any]:
        def emit(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
            return combined(builder, args)

        return left(left, left), emit

    return intrinsic(combining)


@intrinsic
def multiply_add(
    typing_context: Any, first: types.Type, second: types.Type, total: types.Type
) -> tuple[Signature, Any]:
    """``first * second + total``, in one instruction where the machine has it.

    It says which product is fused. Left to LLVM, the sum of two products is fused one way in vectors and the other in
    what is left over, and where a part of the range ends would change bits.
    """

    def emit(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
        if not has_fused_multiply_add():
            return builder.fadd(builder.fmul(*args[:2], flags=FUSED_FLAGS), args[2], flags=FUSED_FLAGS)
        return builder.fma(*args)

    return first(first, first, first), emit


def _make_wrapping(instruction: str) -> Any:
    """The intrinsic for arithmetic of two int64 modulo 2**64."""

    def wrapping(typing_context: Any, left: types.Type, right: types.Type) -> tuple[Signature, Any]:
        def emit(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return types.int64(types.int64, types.int64), emit

    return intrinsic(wrapping)


def _make_reordered_extreme(name: str) -> Any:
    """The intrinsic for the maximum or minimum of two floats that keeps NaN and orders no zeros: three instructions.

    With -0.0 below 0.0 they would be six on x86.
    """

    def emit(builder: Any, args: Any) -> Any:
        kind = args[0].type
        declared = builder.module.declare_intrinsic(f"llvm.{name}", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(declared, args, fastmath=("nsz",))

    return _make_combining(emit)


def _make_extreme(comparison: str) -> Any:
    """Python's ``min`` or ``max`` of sizes. numba's own compiles a function for each number of arguments."""

    def extreme(typing_context: Any, *sizes: types.Type) -> tuple[Signature, Any]:
        def emit(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
            wide = sig.return_type
            found = [
                context.cast(builder, value, size, wide)
                for value, size in zip(unpack_tuple(builder, args[0]), sizes, strict=True)
            ]
            return reduce(lambda a, b: builder.select(builder.icmp_signed(comparison, a, b), a, b), found)

        return types.int64(types.StarArgTuple(sizes)), emit

    return intrinsic(extreme)


@intrinsic
def lanes(typing_context: Any, count: types.Type) -> tuple[Signature, Any]:
    """How often a vectorized loop runs, as a number that LLVM does not see through.

    A loop of which it knows that it runs 32 times would be written out, and then be too long to become vectors.
    """

    def emit(context: Any, builder: Any, sig: Signature, args: Any) -> Any:
        integer = ir.IntType(64)
        wide = context.cast(builder, args[0], sig.args[0], types.int64)
        return builder.asm(ir.FunctionType(integer, [integer]), "", "=r,0", [wide], False)

    return types.int64(count), emit


INTRINSICS: dict[str, Any] = {
    **{f"{name}_buffer": _make_buffer_at(dtype) for name, dtype in NUMBA_TYPES.items()},
    "wrapping_add": _make_wrapping("add"),
    "wrapping_subtract": _make_wrapping("sub"),
    "wrapping_multiply": _make_wrapping("mul"),
    "fast_add": _make_summing("fadd", REORDERED_FLAGS),
    "fast_multiply": _make_summing("fmul", REORDERED_FLAGS),
    "fast_maximum": _make_reordered_extreme("maximum"),
    "fast_minimum": _make_reordered_extreme("minimum"),
    "fused_add": _make_summing("fadd", FUSED_FLAGS),
    "fused_multiply": _make_summing("fmul", FUSED_FLAGS),
    "multiply_add": multiply_add,
    "min": _make_extreme("<"),
    "max": _make_extreme(">"),
    "lanes": lanes,
}
