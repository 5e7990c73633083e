"""Rare cases that kernels call, where all else is code within a kernel's loop: so they may branch.

A loop with a branch in it does not become vectors. A call does, where it says which function does the same for vectors
(`vector-function-abi-variant`), and inside of that function there may be a branch, taken when any lane asks for it.

Note [Widths]. LLVM takes the width that suits a loop, and others for what is left of it, so there is a function of each
width. All of them branch, but the code of the rare case is there for one number and for one vector of float64 only: of
other vectors it gets pieces, the last one filled up with zeros. It is the same arithmetic, so that an element's bits do
not depend on where it stands (Note [Fusing] in `build.py`).

Nothing refers to the functions of vectors before LLVM makes vectors, so `llvm.compiler.used` keeps them until then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.math.build import Flag, Format, Real
from relaxdsl.kernels.vectors import vector_bits

KEPT = "llvm.compiler.used"
PURE = ("nounwind", "readnone", "willreturn")


@dataclass(frozen=True, slots=True)
class RareCase:
    """A function of x and of what is right as a rule: `value(x)` where `is_met(x)`, and else `finish(x, usual)`.

    Args:
        name: its own, among all rare cases.
        finish: what is done to the usual value at last; it needs what `is_met` does, so it costs less within the call.
    """

    name: str
    is_met: Callable[[Real], Flag]
    value: Callable[[Real], Real]
    finish: Callable[[Real, Real], Real] = lambda x, usual: usual

    def __call__(self, x: Real, usual: Real) -> Real:
        """The result in a kernel."""
        name = self._name(x.format)
        function = x.builder.module.globals.get(name) or self._define(x.builder.module, x.format)
        return Real(x.builder, x.builder.call(function, [usual.raw, x.raw]), x.format)

    def _name(self, format: Format, part: str = "") -> str:
        return f"relaxdsl_{self.name}{part}_{format.name}"

    def _define(self, module: ir.Module, single: Format) -> ir.Function:
        """The function of one number, which names those of vectors."""
        piece = single.of_lanes(vector_bits() // 64)
        rare = _function(module, self._name(piece, "_rare"), [piece], self.value)
        widths = [single.of_lanes(1 << power) for power in range(1, (vector_bits() // 32).bit_length())]
        vectors = [self._branching(module, each, lambda x: _by_pieces(rare, piece, x)) for each in widths]
        _keep(module, vectors)
        function = self._branching(module, single, self.value)
        function.attributes.add("noinline")  # it must be a call when LLVM makes vectors
        variants = (f"_ZGV_LLVM_N{each.lanes}vv_{function.name}({self._name(each)})" for each in widths)
        _add_attribute(function, f'"vector-function-abi-variant"="{",".join(variants)}"')
        return function

    def _branching(self, module: ir.Module, format: Format, value: Callable[[Real], Real]) -> ir.Function:
        def body(usual: Real, x: Real) -> Real:  # the result is returned where the first argument is
            builder, is_met = x.builder, self.is_met(x)
            usual = self.finish(x, usual)
            before = builder.block
            with builder.if_then(is_met.any_lane(), likely=False):
                corrected = is_met.pick(value(x), usual)
                within = builder.block
            result = builder.phi(format.real_type)
            result.add_incoming(usual.raw, before)
            result.add_incoming(corrected.raw, within)
            return Real(builder, result, format)

        return _function(module, self._name(format), [format, format], body)


def _function(module: ir.Module, name: str, args: Sequence[Format], body: Callable[..., Real]) -> ir.Function:
    """A function with this body; its result has the format of its arguments."""
    kinds = [each.real_type for each in args]
    function = ir.Function(module, ir.FunctionType(kinds[0], kinds), name)
    function.linkage = "internal"
    for each in PURE:
        _add_attribute(function, each)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    values = (Real(builder, raw, format) for raw, format in zip(function.args, args, strict=True))
    builder.ret(body(*values).raw)
    return function


def _by_pieces(function: ir.Function, piece: Format, x: Real) -> Real:
    """What the function of vectors of one width gives for one of any width."""
    builder, lanes = x.builder, x.format.lanes
    zeros = ir.Constant(x.format.real_type, 0.0)
    results = []
    for start in range(0, lanes, piece.lanes):
        places = [min(start + lane, lanes) for lane in range(piece.lanes)]  # the lane after the last is a zero
        results.append(builder.call(function, [builder.shuffle_vector(x.raw, zeros, _mask(places))]))
    whole = builder.shuffle_vector(results[0], results[-1], _mask(range(lanes)))
    return Real(builder, whole, x.format)


def _mask(lanes: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


def _keep(module: ir.Module, functions: Sequence[ir.Function]) -> None:
    """Has LLVM keep functions that nothing refers to, besides those that it keeps already."""
    pointer = ir.PointerType()
    kept = module.globals.get(KEPT)
    before = kept.initializer.constant if kept else []
    addresses = [*before, *(each.bitcast(pointer) for each in functions)]
    kind = ir.ArrayType(pointer, len(addresses))
    kept = kept or ir.GlobalVariable(module, kind, KEPT)
    kept.linkage, kept.section = "appending", "llvm.metadata"
    kept.value_type, kept.initializer = kind, ir.Constant(kind, addresses)


def _add_attribute(function: ir.Function, attribute: str) -> None:
    set.add(function.attributes, attribute)  # llvmlite's own `add` does not know them all
