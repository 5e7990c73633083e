"""Random small programs: equal to their copies, printed as Python, different after any one change."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from programs import bind, call, constant, tensor

from relaxdsl.ir.check import check_function
from relaxdsl.ir.equal import structural_equal, structural_hash
from relaxdsl.ir.graph import BindingBlock, DataflowBlock, DataflowVar, Expr, Function, If, SeqExpr, Tuple, Var
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.print_graph import script
from relaxdsl.ir.visit import copy_function, free_vars, map_dims_in_type, rewrite, rewrite_function, substitute
from relaxdsl.types.dims import symbol

OPERATORS = ("add", "multiply", "nn.relu", "concat")
SYMBOLS = ("m", "n")
TYPES = (tensor("m"), tensor("m", "n"), tensor(4, "n", dtype="int64"), tensor(symbol("m") * 2 + symbol("n")))


@dataclass(frozen=True)
class Step:
    """One binding: an operator, which earlier values it uses (counted modulo what there is), an attribute, its type."""

    operator: str
    args: tuple[int, ...]
    axis: int | None
    type_index: int
    constant: float | None
    in_branches: bool


steps = st.builds(
    Step,
    operator=st.sampled_from(OPERATORS),
    args=st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple),
    axis=st.none() | st.integers(-2, 2),
    type_index=st.integers(0, len(TYPES) - 1),
    constant=st.none() | st.floats(width=32),
    in_branches=st.booleans(),
)
recipes = st.lists(steps, min_size=1, max_size=8)


def build(recipe: list[Step], prefix: str = "", symbols: tuple[str, str] = SYMBOLS) -> Function:
    """The function a recipe describes; steps in branches become an If of their own."""
    flag = Var(f"{prefix}flag", tensor(dtype="bool"))
    params = tuple(Var(f"{prefix}p{i}", type_) for i, type_ in enumerate(TYPES))
    values: list[Expr] = list(params)
    blocks: list[BindingBlock] = []
    for number, step in enumerate(recipe):
        type_ = TYPES[step.type_index]
        var = Var(f"{prefix}v{number}", type_)
        args = [values[i % len(values)] for i in step.args]
        args += [] if step.constant is None else [constant(step.constant)]
        value = call(step.operator, *args, type_=type_, axis=step.axis)
        if step.in_branches:
            inner = DataflowVar(f"{prefix}inner", type_), Var(f"{prefix}seen", type_)
            block = DataflowBlock((bind(inner[0], value), bind(inner[1], inner[0])))
            choice = If(flag, SeqExpr((block,), inner[1]), SeqExpr((), params[step.type_index]), type_)
            blocks.append(BindingBlock((bind(var, choice),)))
        else:
            blocks.append(DataflowBlock((bind(var, value),)))
        values.append(var)
    result = Tuple(tuple(values[-2:]))
    main = Function("main", (flag, *params), SeqExpr(tuple(blocks), result), result.type)
    renamed = {old: symbol(new) for old, new in zip(SYMBOLS, symbols, strict=True)}
    return main if symbols == SYMBOLS else substitute(main, {}, renamed)  # type: ignore[return-value]


@settings(max_examples=60, deadline=None)
@given(recipes)
def test_a_random_program_equals_itself_under_other_names(recipe):
    main = build(recipe)
    renamed = build(recipe, "z", ("zz", "a")), build(recipe, "n", ("n", "m"))
    for other in (copy_function(main, UniqueNames(["p0"])), *renamed):
        assert structural_equal(main, other)
        assert structural_hash(main) == structural_hash(other)


@settings(max_examples=60, deadline=None)
@given(recipes, st.data())
def test_one_change_makes_another_program(recipe, data):
    at = data.draw(st.integers(0, len(recipe) - 1))
    old = recipe[at]
    change = data.draw(
        st.sampled_from(
            [
                replace(old, operator=OPERATORS[(OPERATORS.index(old.operator) + 1) % len(OPERATORS)]),
                replace(old, args=(*old.args, 0)),
                replace(old, axis=3),
                replace(old, type_index=(old.type_index + 1) % len(TYPES)),
                replace(old, constant=1.5 if old.constant != 1.5 else 2.5),
                replace(old, in_branches=not old.in_branches),
            ]
        )
    )
    changed = [*recipe[:at], change, *recipe[at + 1 :]]
    assert not structural_equal(build(recipe), build(changed))
    assert structural_hash(build(recipe)) != structural_hash(build(changed))


@settings(max_examples=60, deadline=None)
@given(recipes)
def test_a_random_program_is_well_formed_and_prints_as_python(recipe):
    main = build(recipe)
    check_function(main)
    ast.parse(script(main))
    ast.parse(script(main, types=False))


@settings(max_examples=30, deadline=None)
@given(recipes)
def test_rewrites_that_change_nothing_keep_the_object(recipe):
    main = build(recipe)
    assert free_vars(main) == ()
    assert rewrite(main, lambda _: None) is main
    assert rewrite_function(main, lambda _: None) is main
    assert all(map_dims_in_type(type_, lambda dim: dim) is type_ for type_ in TYPES)
