"""Products whose factors are computed: each such factor becomes an operand, made by a stage of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    IterVar,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    rewrite_statement,
    sequence,
)
from relaxdsl.ir.scalar import Apply, Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import expression_dims, loads_of
from relaxdsl.kernels.contraction.match import contraction_of, is_worthwhile
from relaxdsl.kernels.contraction.names import ENGINE_DTYPES
from relaxdsl.kernels.patterns import takes_each_value_once
from relaxdsl.kernels.schedule.decompose import Nest, nest_of
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute


def with_operands(prim_func: PrimFunc, tiny: int) -> PrimFunc:
    """The kernel with a stage for each factor that is no element, where the engine can then form the sums of products.

    Before::

        for i, j, k: with block: c[i, j] = c[i, j] + x[i, k] * float32(w[k, j])

    After::

        for k, j: with block: w_operand[k, j] = float32(w[k, j])
        for i, j, k: with block: c[i, j] = c[i, j] + x[i, k] * w_operand[k, j]

    Args:
        tiny: products of so few columns and steps are left alone.
    """
    statements = prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,)
    made = [_outlined(stmt, prim_func, tiny) for stmt in statements]
    if not any(operands for operands, _ in made):
        return prim_func
    body = sequence(*(each for operands, stmt in made for each in (*(operand.stage for operand in operands), stmt)))
    scratch = tuple(operand.buffer for operands, _ in made for operand in operands)
    return replace(prim_func, body=body, scratch=(*prim_func.scratch, *scratch))


@dataclass(frozen=True, eq=False, slots=True)
class _Operand:
    """What a factor becomes: memory, the stage that fills it, and the element read in place of the factor."""

    buffer: Buffer
    stage: Stmt
    element: Load


def _outlined(stmt: Stmt, prim_func: PrimFunc, tiny: int) -> tuple[list[_Operand], Stmt]:
    """The operands that a statement needs, and the statement that reads them."""
    nest = nest_of(stmt)
    factors = [] if nest is None else list(_computed_factors(nest))
    found = [None if nest is None else _operand_for(factor, nest, number) for number, factor in enumerate(factors)]
    operands = [each for each in found if each is not None]
    if not operands or len(operands) < len(factors):
        return [], stmt
    elements = {id(factor): each.element for factor, each in zip(factors, operands, strict=True)}
    made = rewrite_statement(stmt, lambda node: elements.get(id(node)))
    contraction = contraction_of(made, prim_func.symbols)
    return (operands, made) if contraction is not None and is_worthwhile(contraction, tiny) else ([], stmt)


def _computed_factors(nest: Nest) -> Iterator[ScalarExpr]:
    """The factors that are no elements of what a nest adds up."""
    match nest.block.body:
        case Store(buffer=result, value=Apply("add", (Load(buffer=old), Apply("multiply", factors)))):
            if nest.block.init is not None and old is result and result.dtype in ENGINE_DTYPES:
                yield from (each for each in factors if not isinstance(each, Load))


def _operand_for(factor: ScalarExpr, nest: Nest, number: int) -> _Operand | None:
    """The operand that a factor becomes; None where that would have more elements than what the factor reads."""
    loads = list(loads_of(factor))
    prefix = f"{nest.block.name}.factor{number}"
    used = {name for dim in expression_dims(factor) for name in free_symbols(dim)}
    axes = {axis.var: axis.extent for axis in nest.block.iter_vars if axis.var in used}
    plain = [load for load in loads if not any(isinstance(index, ScalarExpr) for index in load.indices)]
    if len(loads) == len(plain) == 1 and used == _names_in(plain[0]):
        return _made_element_by_element(factor, plain[0], prefix)
    if not any(takes_each_value_once(axes, load) for load in plain):
        return None
    variables = {name: loop_variable(f"{prefix}.{name}", extent) for name, extent in axes.items()}
    value = rewrite(factor, on_dim=lambda dim: substitute(dim, variables))
    indices = tuple(loop_variable(name, extent) for name, extent in axes.items())
    return _operand(plain[0].buffer.name, variables, tuple(axes.values()), value, indices)


def _made_element_by_element(factor: ScalarExpr, load: Load, prefix: str) -> _Operand:
    """The operand of a factor made of one element: as large as what that is an element of."""
    shape = load.buffer.shape
    variables = {f"{place}": loop_variable(f"{prefix}.{place}", size) for place, size in enumerate(shape)}
    element = Load(load.buffer, tuple(variables.values()))
    value = rewrite(factor, lambda node: element if node is load else None)
    return _operand(load.buffer.name, variables, shape, value, load.indices)


def _operand(
    name: str, variables: Mapping[str, SymInt], shape: tuple[Dim, ...], value: ScalarExpr, indices: tuple[Index, ...]
) -> _Operand:
    buffer = Buffer(f"{name}_operand", shape, value.dtype, "scratch")
    places = tuple(variables.values())
    loops = tuple(loop_variable(f"{place}.loop", size) for place, size in zip(places, shape, strict=True))
    axes = tuple(
        IterVar(str(place), size, "spatial", loop) for place, size, loop in zip(places, shape, loops, strict=True)
    )
    stage: Stmt = Block(buffer.name, axes, Store(buffer, places, value))
    for axis in reversed(axes):
        stage = For(str(axis.binding), axis.extent, stage)
    return _Operand(buffer, stage, Load(buffer, indices))


def _names_in(load: Load) -> set[str]:
    return {name for index in load.indices if not isinstance(index, ScalarExpr) for name in free_symbols(index)}
