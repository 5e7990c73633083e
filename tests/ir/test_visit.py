from programs import bind, branches, call, constant, dense, flatten, function, leaves, tensor, with_kernel

from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.graph import Call, DataflowBlock, DataflowVar, If, MatchCast, Op, PrimValue, ShapeExpr, Tuple, Var
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.print_graph import script
from relaxdsl.ir.visit import (
    all_bindings,
    bound_vars,
    copy_function,
    free_vars,
    is_leaf_or_tuple,
    map_dims_in_attrs,
    rewrite,
    rewrite_function,
    substitute,
    symbolic_dims_in_attrs,
    used_globals,
    used_vars,
    walk,
)
from relaxdsl.types.dims import symbol

M, N = symbol("m"), symbol("n")


def names(variables):
    return [var.name for var in variables]


def test_walk_visits_every_binding_value_of_every_branch():
    operators = [node.op.name for node in walk(branches()) if isinstance(node, Call)]
    assert operators == ["add", "negative"]
    assert names(binding.var for binding in all_bindings(branches())) == ["lv", "gv", "y"]


def test_variables_of_a_function():
    main = branches()
    assert names(bound_vars(main)) == ["x", "flag", "lv", "gv", "y"]
    assert names(used_vars(main)) == ["flag", "x", "lv", "gv", "y"]
    assert free_vars(main) == ()
    assert names(free_vars(main.body)) == ["flag", "x"]


def test_globals_are_found_as_callees_and_arguments():
    module = with_kernel()
    assert used_globals(module["main"]) == ("row_sum",)
    assert used_globals(module["twice"]) == ("main",)


def test_tuples_of_leaves_are_arguments_calls_are_not():
    x = Var("x", tensor("m"))
    nested = Tuple((x, Tuple((constant(1.0), ShapeExpr((M,))))))
    assert is_leaf_or_tuple(nested)
    assert not is_leaf_or_tuple(Tuple((x, call("neg", x, type_=x.type))))


def test_dims_in_attributes_are_mapped_wherever_they_stand():
    attrs = {"shape": (M, 2), "ends": [slice(M, N, None)], "table": {"k": M}, "type": tensor("m"), "axis": 0}
    assert [str(dim) for dim in symbolic_dims_in_attrs(attrs)] == ["m", "n", "m", "m", "m"]
    mapped = map_dims_in_attrs(attrs, lambda dim: 7 if dim is M else dim)
    expected = {"shape": (7, 2), "ends": [slice(7, N, None)], "table": {"k": 7}, "type": tensor(7), "axis": 0}
    assert dict(mapped) == expected
    assert map_dims_in_attrs(attrs, lambda dim: dim) is attrs


def test_a_rewrite_that_changes_nothing_returns_the_same_object():
    for make in (dense, flatten, branches, leaves):
        main = make()
        assert rewrite(main, lambda _: None) is main
        assert rewrite_function(main, lambda _: None) is main
        assert substitute(main, {}, {"other": 3}) is main


def test_rewrite_offers_expressions_bottom_up():
    renamed = rewrite(dense(), lambda e: Call(Op("new"), e.args, e.attrs, e.type) if isinstance(e, Call) else None)
    assert [node.op.name for node in walk(renamed) if isinstance(node, Call)] == ["new", "new"]


def test_a_binding_can_be_replaced_by_several():
    def through_a_copy(binding):
        if isinstance(binding.value, Call) and binding.value.op.name == "matmul":
            copied = DataflowVar("copied", binding.var.type)
            return bind(copied, binding.value), bind(binding.var, call("copy", copied, type_=copied.type))
        return None

    rewritten = rewrite_function(dense(), through_a_copy)
    assert [node.op.name for node in walk(rewritten) if isinstance(node, Call)] == ["matmul", "copy", "nn.relu"]


def test_a_binding_of_another_variable_replaces_the_old_one_afterwards():
    def retyped(binding):
        if binding.var.name == "lv":
            return bind(DataflowVar("other", tensor("m", 10, dtype="float64")), binding.value)
        return None

    rewritten = rewrite_function(dense(), retyped)
    assert names(used_vars(rewritten)) == ["x", "w", "other", "gv"]


def test_a_dropped_binding_is_replaced_by_an_expression():
    main = dense()
    rewritten = rewrite_function(main, lambda b: main.params[0] if b.var.name == "lv" else None)
    (relu,) = (node for node in walk(rewritten) if isinstance(node, Call))
    assert relu.args == (main.params[0],)


def test_a_variable_seen_outside_its_block_stays_bound():
    rewritten = rewrite_function(dense(), lambda b: b.value.args[0] if b.var.name == "gv" else None)
    assert "gv: relax.Tensor((\"m\", 10), \"float32\") = lv\n        relax.output(gv)" in script(rewritten)
    renamed = rewrite_function(dense(), lambda b: bind(DataflowVar("z", b.var.type), b.value))
    assert names(binding.var for binding in all_bindings(renamed)) == ["z", "z", "gv"]


def test_blocks_left_empty_are_dropped():
    main = dense()
    rewritten = rewrite_function(main, lambda binding: main.params[0])
    assert rewritten.body.blocks == ()
    assert rewritten.body.body is main.params[0]


def test_branches_are_rewritten_before_their_if():
    seen = []
    rewrite_function(branches(), lambda binding: seen.append(binding.var.name))
    assert seen == ["lv", "gv", "y"]


def test_replacements_reach_into_branches():
    main = branches()
    other = Var("other", main.params[0].type)
    rewritten = substitute(main.body, {main.params[0]: other})
    (choice,) = (node for node in walk(rewritten) if isinstance(node, If))
    assert choice.else_branch.body is other
    assert names(free_vars(rewritten)) == ["flag", "other"]


def test_symbols_are_substituted_in_types_attributes_and_shapes():
    text = script(substitute(flatten(), {}, {"m": 3, "n": symbol("k")}))
    header = 'def main(x: relax.Tensor((3, "k"), "float32")) -> relax.Tensor(("3 * k - 1",), "float64"):'
    assert text.splitlines()[1] == header
    assert all(part in text for part in ("shape=(k * 3,)", "[1, k % 4]", "kind=relax.Tensor((3,)"))


def test_symbols_are_substituted_in_leaves_and_match_casts():
    x, y = Var("x", tensor("m")), Var("y", tensor("k"))
    main = function(
        (x,), (DataflowBlock((MatchCast(y, x, tensor("k")),)),), Tuple((ShapeExpr((M, N)), PrimValue(M + 1), y))
    )
    text = script(substitute(main, {}, {"m": 5, "k": N}))
    assert 'y = relax.match_cast(x, relax.Tensor(("n",), "float32"))' in text
    assert "return (relax.shape((5, n)), relax.prim_value(6), y)" in text


def test_a_copy_shares_no_variable_and_is_equal():
    for make in (dense, flatten, branches, leaves):
        main = make()
        copy = copy_function(main)
        assert not set(bound_vars(copy)) & set(bound_vars(main))
        assert free_vars(copy) == ()
        assert structural_equal(copy, main)


def test_a_copy_takes_fresh_names_and_dims():
    copy = copy_function(dense(), UniqueNames(["x", "lv"]), {"m": 2})
    assert names(bound_vars(copy)) == ["x1", "w", "lv1", "gv"]
    assert copy.params[0].type == tensor(2, 224)
