from programs import row_sum, scheduled_max

from relaxdsl.ir.loops import Buffer, Store, loop_variable
from relaxdsl.ir.scalar import Combiner, IndexValue, Load, Reduce, ReduceAxis, ScalarVar, Select, const
from relaxdsl.ir.visit_loops import all_dims, dims_of_scalar, scalars_of, used_buffers, walk_scalar, walk_scalars
from relaxdsl.types.dims import symbol

M = symbol("m")


def test_buffers_of_a_kernel_in_order_of_use():
    assert [buffer.name for buffer in used_buffers(scheduled_max().body)] == ["acc", "row", "y", "x"]


def test_every_dim_of_a_kernel_is_visited():
    shown = {str(dim) for dim in all_dims(row_sum().body)}
    assert shown == {"0", "m", "n", "i.0", "j", "vi", "vj"}


def test_every_scalar_is_visited_parents_first():
    kinds = [type(expr).__name__ for expr in walk_scalars(row_sum().body)]
    assert kinds == ["Const", "Apply", "Load", "Apply", "Load", "Const"]


def test_indices_that_depend_on_data_are_scalars():
    x, index = Buffer("x", (M,), "float32"), Buffer("index", (M,), "int64")
    i = loop_variable("i", M)
    gather = Load(x, (Load(index, (i,)),))
    store = Store(x, (Load(index, (i,)),), Select(const(True, "bool"), gather, const(0, "float32")))
    assert len(scalars_of(store)) == 2
    assert [type(each).__name__ for each in walk_scalar(store.value)] == ["Select", "Const", "Load", "Load", "Const"]
    assert dims_of_scalar(gather) == ()
    assert dims_of_scalar(IndexValue(i)) == (i,)


def test_a_reduction_has_the_extents_of_its_axes():
    left, right = ScalarVar("a", "float32"), ScalarVar("b", "float32")
    combiner = Combiner("sum", (left,), (right,), (left + right,), (const(0, "float32"),))
    reduce = Reduce(combiner, (const(1, "float32"),), (ReduceAxis("k", M),))
    assert dims_of_scalar(reduce) == (M,)
