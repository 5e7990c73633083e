"""Matching: symbols bound from sizes as a brute-force search would, and messages that name the argument."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.errors import ArgumentError, DTypeError, RelaxError, ScriptError, ShapeError
from relaxdsl.types.binding import occurrences_of
from relaxdsl.types.dims import Dim, Symbol, dim_min, evaluate, symbol, symbols_of
from relaxdsl.types.match import (
    Bind,
    BindingPlan,
    Check,
    Require,
    Solve,
    Source,
    plan_binding,
    run_binding,
    unify_types,
)
from relaxdsl.types.solve import solve_for
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType, Type, tensor_type

m, n = symbol("m"), symbol("n")
a, b = symbol("a"), symbol("b")
Params = list[tuple[str, Type]]


def tensors(*shapes: tuple[Dim, ...]) -> Params:
    return [(name, tensor_type(shape)) for name, shape in zip("xyz", shapes, strict=False)]


def sizes_of(params: Params, *sizes: int) -> dict[Source, int]:
    return {source: size for (_, source), size in zip(occurrences_of(params), sizes, strict=True)}


def run(params: Params, *sizes: int) -> dict[str, int]:
    return run_binding(plan_binding(params), sizes_of(params, *sizes), function="f")


def test_a_bare_occurrence_anywhere_binds_first() -> None:
    plan = plan_binding(tensors((m + n, n), (n, m)))
    assert plan.params == ("x", "y")
    assert plan.steps == (
        Bind(only_symbol(n), Source(0, (), 1)),
        Bind(only_symbol(m), Source(1, (), 1)),
        Check(m + n, Source(0, (), 0)),
        Check(n, Source(1, (), 0)),
    )


def only_symbol(dim: Dim) -> Symbol:
    (found,) = symbols_of(dim)
    return found


def test_compound_occurrences_are_solved_in_turn() -> None:
    plan = plan_binding(tensors((m * n + 1, 2 * n)))
    kinds = [(type(step), step.source.axis) for step in plan.steps]
    # Half a size is never negative; where ``m * n + 1`` is 0, ``m`` would be.
    assert kinds == [(Solve, 1), (Solve, 0), (Require, 0)]
    assert run(tensors((m * n + 1, 2 * n)), 13, 6) == {"n": 3, "m": 4}
    assert plan.bound_at() == {"n": Source(0, (), 1), "m": Source(0, (), 0)}


def test_tuples_shapes_prims_and_known_symbols() -> None:
    params: Params = [
        ("t", TupleType((tensor_type((2, n)), TupleType((ShapeType((m,)),))))),
        ("count", PrimType("int64", symbol("c"))),
        ("any", AnyType()),
        ("flag", PrimType("bool")),
    ]
    assert run(params, 2, 5, 6, 7) == {"n": 5, "m": 6, "c": 7}
    assert [step.source for step in plan_binding(params).steps] == [
        Source(0, (0,), 1),
        Source(0, (1, 0), 0),
        Source(0, (1, 0), 0),
        Source(1, (), None),
        Source(1, (), None),
        Source(0, (0,), 0),
    ]
    plan = plan_binding(tensors((m + n,)), known=("n",))
    assert run_binding(plan, {Source(0, (), 0): 5}, known={"n": 2}) == {"n": 2, "m": 3}


SHAPES: list[Dim] = [m, n, 2 * n, n + 1, m + n, m * n, 3 * m + n, n // 2, m * n + m, 2 * m - 1, dim_min(m, n), 4]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4), st.integers(0, 4), st.integers(0, 4), st.data())
def test_binding_agrees_with_brute_force(dims: list[Dim], m_value: int, n_value: int, data: st.DataObject) -> None:
    params = tensors(tuple(dims))
    try:
        plan = plan_binding(params)
    except ScriptError:
        return
    sizes = [max(0, evaluate(dim, {"m": m_value, "n": n_value})) for dim in dims]
    if data.draw(st.booleans()):
        sizes[data.draw(st.integers(0, len(sizes) - 1))] = data.draw(st.integers(0, 9))
    _check_against_brute_force(plan, params, dims, sizes)


def _check_against_brute_force(plan: BindingPlan, params: Params, dims: list[Dim], sizes: list[int]) -> None:
    candidates = [dict(zip("mn", values, strict=True)) for values in product(range(30), repeat=2)]
    fitting = [each for each in candidates if [evaluate(dim, each) for dim in dims] == sizes]
    found, refusal = _outcome(plan, sizes_of(params, *sizes))
    # A size from which a symbol cannot be found, because its factor is 0, is refused though it may fit.
    assert found is not None or not fitting or "cannot find" in refusal
    assert found is None or any(found.items() <= each.items() for each in fitting)


def _outcome(plan: BindingPlan, sizes: dict[Source, int]) -> tuple[dict[str, int] | None, str]:
    try:
        return run_binding(plan, sizes), ""
    except ArgumentError as error:
        return None, str(error)


def test_solutions() -> None:
    solution = solve_for(2 * n + 1, "n", 7)
    assert solution is not None
    assert (solution.value, solution.remainder, solution.divisor, solution.offset) == (3, 0, 2, 1)
    assert solution.lower == 0
    symbolic = solve_for(m * n + m, "n", a)
    assert symbolic is not None
    assert (symbolic.value, symbolic.divisor) == ((a - m) // m, m)
    for dim in (n * n, n // 2, n * (n // 2), n // 2 + n, dim_min(n, 3), m, 5):
        assert solve_for(dim, "n", 4) is None


k = symbol("k", lower=2, upper=8)
linear: Params = [("x", tensor_type((m, n))), ("w", tensor_type((n, 4)))]

RUN_REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: run(linear, 5, 784, 63, 4),
        "f: argument w, axis 0: expected 784 (n), got 63\n   n is bound by argument x, axis 1",
    ),
    (lambda: run(linear, 5, 784, 784, 5), "f: argument w, axis 1: expected 4, got 5"),
    (lambda: run(tensors((2 * n,)), 7), "f: argument x, axis 0: got 7, which is not of the form n * 2"),
    (
        lambda: run(tensors((n * m + 1, m)), 8, 2),
        "f: argument x, axis 0: got 8, which is not of the form m * n + 1 with m = 2\n"
        "   m = 2 is bound by argument x, axis 1",
    ),
    (
        lambda: run(tensors((n * m, m)), 0, 0),
        "f: argument x, axis 0: cannot find n from m * n, because m is 0\n   m is bound by argument x, axis 1",
    ),
    (
        lambda: run(tensors((2 * n + 4,)), 2),
        "f: argument x, axis 0: got 2, which makes n = -1, but n is at least 0",
    ),
    (lambda: run(tensors((k,)), 1), "f: argument x, axis 0: got 1 (k), but k is at least 2"),
    (lambda: run(tensors((k,)), 9), "f: argument x, axis 0: got 9 (k), but k is at most 8"),
    (lambda: run([("p", PrimType("int64", n))], -3), "f: argument p: got -3 (n), but n is at least 0"),
    (lambda: run([("s", ShapeType((2, n)))], 2, -3), "f: argument s, axis 1: got -3 (n), but n is at least 0"),
    (
        lambda: run(tensors((m, n), (m * n,)), 2, 3, 7),
        "f: argument y, axis 0: expected 6 (m * n), got 7\n"
        "   m = 2 is bound by argument x, axis 0\n"
        "   n = 3 is bound by argument x, axis 1",
    ),
    (
        lambda: run_binding(plan_binding(tensors((m,)), known=("m",)), {Source(0, (), 0): 5}, known={"m": 2}),
        "argument x, axis 0: expected 2 (m), got 5\n   m is known from outside",
    ),
    (
        lambda: run([("t", TupleType((tensor_type((n, n)),)))], 1, 2),
        "f: argument t[0], axis 1: expected 1 (n), got 2\n   n is bound by argument t[0], axis 0",
    ),
]


@pytest.mark.parametrize(("action", "message"), RUN_REFUSED, ids=range(len(RUN_REFUSED)))
def test_refusals_of_sizes(action: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        action()
    assert str(caught.value) == message


PLAN_REFUSED: list[tuple[Params, str]] = [
    (
        tensors((2 * n + m, m // 2)),
        "symbol m is never bound\n   argument x, axis 0 is m + 2 * n\n   argument x, axis 1 is m // 2\n"
        "   hint: give some argument an axis of size `m`, or pass it as relax.Prim or relax.Shape",
    ),
    (
        tensors((n,), (symbol("n", lower=1, upper=5),)),
        "symbol n is declared with different bounds\n"
        "   argument x, axis 0 has 0 <= n\n   argument y, axis 0 has 1 <= n <= 5",
    ),
]


@pytest.mark.parametrize(("params", "message"), PLAN_REFUSED, ids=range(len(PLAN_REFUSED)))
def test_refusals_of_plans(params: Params, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        plan_binding(params)
    assert str(caught.value) == message


def unify(params: Params, *shapes: tuple[Dim, ...]) -> dict[str, Dim]:
    return unify_types(params, [tensor_type(shape) for shape in shapes], callee="g")


def test_unify_binds_the_callees_symbols_to_the_callers_dims() -> None:
    assert unify(linear, (a, 2 * b), (b + b, 4)) == {"m": a, "n": 2 * b}
    assert unify(tensors((2 * n + 1,)), (4 * a + 3,)) == {"n": 2 * a + 1}
    assert unify(tensors((n * m, m)), (3 * a, a)) == {"m": a, "n": 3}
    assert unify(tensors((m, n)), (n, m)) == {"m": n, "n": m}
    assert unify(tensors((k,)), (symbol("a", lower=3, upper=4),)) == {"k": symbol("a", lower=3, upper=4)}
    nested: Params = [("t", TupleType((ShapeType((n,)), PrimType("int64", m))))]
    assert unify_types(nested, [TupleType((ShapeType((a,)), PrimType("int64", b)))]) == {"n": a, "m": b}
    assert unify_types([("x", AnyType())], [tensor_type((a,))]) == {}


def test_unify_asks_about_what_cannot_be_decided() -> None:
    asked: list[tuple[Dim, Dim, str]] = []

    def accept(left: Dim, right: Dim, message: str) -> bool:
        asked.append((left, right, message))
        return True

    values = unify_types(tensors((2 * n,)), [tensor_type((a,))], callee="g", on_undecided=accept)
    assert values == {"n": a // 2}
    assert asked == [(a % 2, 0, "g: argument x, axis 0: whether `a` is of the form n * 2 cannot be decided")]


MATCH_HINT = "\n   hint: match_cast the argument first"
ALIKE_HINT = "\n   hint: if they are always equal, declare them with the same symbol, or match_cast the argument"
RUNTIME_HINT = '\n   hint: match_cast the argument, or check when run: @relax.function(checks="runtime")'
typed: Params = [("x", tensor_type((n,), "float32"))]

UNIFY_REFUSED: list[tuple[type[RelaxError], Callable[[], object], str]] = [
    (ArgumentError, lambda: unify_types(linear, []), "call: takes 2 arguments, got 0"),
    (ArgumentError, lambda: unify(tensors((n,)), (a,), (b,)), "g: takes 1 argument, got 2"),
    (
        DTypeError,
        lambda: unify_types(typed, [tensor_type((a,), "int8")], callee="g"),
        "g: argument x: dtype is int8, not float32\n"
        '   declared : relax.Tensor((n,), "float32")\n   got      : relax.Tensor((a,), "int8")',
    ),
    (
        DTypeError,
        lambda: unify_types([("t", TupleType((typed[0][1],)))], [TupleType((tensor_type((a,)),))], callee="g"),
        "g: argument t: field 0: the dtype is unknown, not float32\n"
        '   declared : relax.Tuple(relax.Tensor((n,), "float32"))\n'
        f"   got      : relax.Tuple(relax.Tensor((a,))){MATCH_HINT}",
    ),
    (
        ArgumentError,
        lambda: unify(tensors((n,)), (a, b)),
        "g: argument x: rank is 2, not 1\n   declared : relax.Tensor((n,))\n   got      : relax.Tensor((a, b))",
    ),
    (
        ShapeError,
        lambda: unify_types(tensors((n,)), [TensorType(ndim=1)], callee="g"),
        "g: argument x: the sizes of relax.Tensor(ndim=1) are not known\n"
        f"   declared : relax.Tensor((n,))\n   got      : relax.Tensor(ndim=1){MATCH_HINT}",
    ),
    (
        ShapeError,
        lambda: unify_types(
            [("t", TupleType((PrimType("int64", n),)))], [TupleType((PrimType("int64"),))], callee="g"
        ),
        'g: argument t: the sizes of relax.Prim("int64") are not known\n'
        '   declared : relax.Tuple(relax.Prim("int64", value=n))\n'
        f'   got      : relax.Tuple(relax.Prim("int64")){MATCH_HINT}',
    ),
    (
        ShapeError,
        lambda: unify_types([("s", ShapeType((n,)))], [ShapeType(None, 1)], callee="g"),
        "g: argument s: the sizes of relax.Shape(ndim=1) are not known\n"
        f"   declared : relax.Shape((n,))\n   got      : relax.Shape(ndim=1){MATCH_HINT}",
    ),
    (
        ShapeError,
        lambda: unify(linear, (a, 2 * b), (2 * b + 1, 4)),
        "g: argument w, axis 0: expected b * 2 (n), got 2 * b + 1\n   n is bound by argument x, axis 1",
    ),
    (
        ShapeError,
        lambda: unify(linear, (a, b), (a, 4)),
        "g: argument w, axis 0: expected b (n), got a: they may differ\n"
        f"   n is bound by argument x, axis 1{ALIKE_HINT}",
    ),
    (
        ShapeError,
        lambda: unify(linear, (a, b), (b // 2 * 2, 4)),
        "g: argument w, axis 0: whether `b // 2 * 2` equals `b` (n) cannot be decided\n"
        f"   n is bound by argument x, axis 1{RUNTIME_HINT}",
    ),
    (ShapeError, lambda: unify(linear, (a, b), (b, 5)), "g: argument w, axis 1: expected 4, got 5"),
    (
        ShapeError,
        lambda: unify(tensors((2 * n,)), (2 * a + 1,)),
        "g: argument x, axis 0: got 2 * a + 1, which is not of the form n * 2",
    ),
    (
        ShapeError,
        lambda: unify(tensors((2 * n,)), (a,)),
        f"g: argument x, axis 0: whether `a` is of the form n * 2 cannot be decided{RUNTIME_HINT}",
    ),
    (
        ShapeError,
        lambda: unify(tensors((m * n, m)), (a, 0)),
        "g: argument x, axis 0: cannot find n from m * n, because m is 0\n   m is bound by argument x, axis 1",
    ),
    (ShapeError, lambda: unify(tensors((k,)), (9,)), "g: argument x, axis 0: k = 9 is not at most 8"),
    (ShapeError, lambda: unify(tensors((k,)), (a,)), "g: argument x, axis 0: k = a is not known to be at least 2"),
    (ShapeError, lambda: unify(tensors((n + 2,)), (1,)), "g: argument x, axis 0: n = -1 is not at least 0"),
]


@pytest.mark.parametrize(("error", "action", "message"), UNIFY_REFUSED, ids=range(len(UNIFY_REFUSED)))
def test_refusals_of_unification(error: type[RelaxError], action: Callable[[], object], message: str) -> None:
    with pytest.raises(error) as caught:
        action()
    assert str(caught.value) == message
