"""The kinds of lines that random programs are made of: each picks operands that fit and spells the line twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl.ir.graph import Expr
from relaxdsl.types.types import TensorType, TupleType
from tests.random_programs import Draft, Kind, Spelling, Step

KINDS: list[Kind] = []


def kind(function: Kind) -> Kind:
    """Decorator: a way to make a line of a step; it returns whether it could."""
    KINDS.append(function)
    return function


def is_float(expr: Expr) -> bool:
    return is_tensor(expr) and expr.dtype in ("float32", "float64")


def is_integer(expr: Expr) -> bool:
    return is_tensor(expr) and "int" in expr.dtype


def is_bool(expr: Expr) -> bool:
    return is_tensor(expr) and expr.dtype == "bool"


def is_number(expr: Expr) -> bool:
    return is_tensor(expr) and expr.dtype != "bool"


def is_tensor(expr: Expr) -> bool:
    return isinstance(expr.type, TensorType)


def is_matrix(expr: Expr) -> bool:
    return is_tensor(expr) and expr.ndim == 2


def has_axes(expr: Expr) -> bool:
    return is_tensor(expr) and 1 <= expr.ndim <= 3


def one_of(options: Sequence[Any], choice: int) -> Any:
    return options[choice % len(options)]


#: Functions of one float, rounded otherwise than NumPy does: relax, NumPy, the arguments they get.
SMOOTH = (
    ("relax.exp({})", "np.exp({})", (-6, 6)),
    ("relax.tanh({})", "np.tanh({})", None),
    ("relax.sin({})", "np.sin({})", (-100, 100)),
    ("relax.sigmoid({})", "1 / (1 + np.exp(-{}))", (-60, 60)),
    ("relax.erf({})", "erf({})", None),
    ("relax.log(relax.abs({0}) + 1)", "np.log(np.abs({0}) + 1)", None),
    ("relax.nn.silu({0})", "{0} / (1 + np.exp(-{0}))", (-60, 60)),
    ("relax.sqrt({0} * {0} + 1)", "np.sqrt({0} * {0} + 1)", None),
    ("1 / (relax.abs({0}) + 0.5)", "1 / (np.abs({0}) + 0.5)", None),
    ("relax.atan({})", "np.arctan({})", None),
)
#: Functions of one number without rounding; those of the second row are not continuous.
EXACT = (
    "-{}",
    "{} * 2",
    "3 - {}",
    "{} + 1",
    "{} * {}",
    "{0} * m - n",
    "abs({})",
    "np.maximum({}, 0)",
    "{0} + {0}.shape[0]",
)
STEPS_OF_NUMBERS = ("np.sign({})", "np.floor({})", "{} // 2", "{} % 3", "{} > 0", "np.not_equal({}, 1)", "np.isnan({})")


@kind
def smooth(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, is_float)
    in_relax, in_numpy, bounds = one_of(SMOOTH, step.choice)
    if a is None or (bounds is not None and not draft.bounded(a, *bounds)):
        return False
    return draft.add(Spelling(in_relax.format(a), in_numpy.format(a), False), [a])


def _alike(text: str, *args: str) -> Spelling:
    """A spelling that is the same in both languages but for the namespace."""
    in_numpy = text.format(*args, *args)
    return Spelling(in_numpy.replace("np.", "relax."), in_numpy)


@kind
def exact(draft: Draft, step: Step) -> bool:
    text = one_of(EXACT, step.choice)
    a = draft.pick(step.first, has_axes if "shape" in text else is_number)
    if a is None or (draft.exprs[a].dtype == "bool"):
        return False
    return draft.add(_alike(text, a), [a])


@kind
def step_function(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, is_number, exact=True)
    return a is not None and draft.add(_alike(one_of(STEPS_OF_NUMBERS, step.choice), a), [a])


def _is_broadcastable(left: Expr, right: Expr) -> bool:
    """Whether NumPy and relax both broadcast the two: each pair of sizes is the same, or one is the literal 1."""
    pairs = zip(left.shape[::-1], right.shape[::-1], strict=False)
    return all(a == b or a == 1 or b == 1 for a, b in pairs) and left.ndim + right.ndim <= 5


def _pick_two(draft: Draft, step: Step, fits: Callable[[Expr], bool], *, exact: bool = False) -> tuple[str, str] | None:
    a = draft.pick(step.first, fits, exact=exact)
    if a is None:
        return None
    b = draft.pick(step.second, lambda expr: fits(expr) and _is_broadcastable(draft.exprs[a], expr), exact=exact)
    return None if b is None else (a, b)


@kind
def arithmetic(draft: Draft, step: Step) -> bool:
    pair = _pick_two(draft, step, is_number)
    texts = ("{} + {}", "{} - {}", "{} * {}", "np.maximum({}, {})", "np.minimum({}, {})", "{} + {} * 2")
    return pair is not None and draft.add(_alike(one_of(texts, step.choice), *pair), pair)


@kind
def quotient(draft: Draft, step: Step) -> bool:
    pair = _pick_two(draft, step, is_number)
    texts = ("{} / (abs({}) + 1)", "{} / (abs({}) + 0.5)")
    return pair is not None and draft.add(_alike(one_of(texts, step.choice), *pair), pair)


@kind
def comparison(draft: Draft, step: Step) -> bool:
    pair = _pick_two(draft, step, is_number, exact=True)
    texts = ("{} < {}", "{} >= {}", "np.equal({}, {})", "np.logical_and({}, {})", "np.not_equal({}, {})")
    return pair is not None and draft.add(_alike(one_of(texts, step.choice), *pair), pair)


@kind
def logic(draft: Draft, step: Step) -> bool:
    pair = _pick_two(draft, step, is_bool)
    texts = ("{} & {}", "{} | {}", "{} ^ {}", "~{}", "{} + {}", "np.logical_not({})", "{} * {}", "{} * 2.5", "{} < {}")
    return pair is not None and draft.add(_alike(one_of(texts, step.choice), *pair), pair)


@kind
def selection(draft: Draft, step: Step) -> bool:
    condition = draft.pick(step.choice, is_bool)
    pair = _pick_two(draft, step, is_number)
    if condition is None or pair is None:
        return False
    if not all(_is_broadcastable(draft.exprs[condition], draft.exprs[each]) for each in pair):
        return False
    return draft.add(_alike("np.where({}, {}, {})", condition, *pair), [condition, *pair])


@kind
def conversion(draft: Draft, step: Step) -> bool:
    target = one_of(("float64", "float32", "int32", "int64", "bool", "int8", "uint16"), step.choice)
    a = draft.pick(step.first, is_tensor, exact=not target.startswith("float"))
    if a is None or (draft.exprs[a].dtype.startswith("float") and "int" in target and not draft.bounded(a, 0, 127)):
        return False
    return draft.add(_alike(f'{{}}.astype("{target}")', a), [a])


# ------------------------------------------------------------------------------------------ reductions, contractions


def _axis(expr: Expr, choice: int) -> str:
    axes = ["None", *map(str, range(-expr.ndim, expr.ndim)), *(["(0, -1)"] if expr.ndim > 1 else [])]
    return str(one_of(axes, choice))


@kind
def total(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, is_tensor)
    if a is None or draft.exprs[a].ndim == 0:
        return False
    name = one_of(("sum", "mean", "std", "sum"), step.second)
    keep = ", keepdims=True" if step.choice % 2 else ""
    spelling = _alike(f"{{}}.{name}(axis={_axis(draft.exprs[a], step.choice // 2)}{keep})", a)
    return draft.add(spelling._replace(is_exact=name == "sum" and not is_float(draft.exprs[a])), [a])


@kind
def extremum(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_number(expr) and any(map(_has_elements, expr.shape)))
    if a is None:
        return False
    axis = one_of([at for at, size in enumerate(draft.exprs[a].shape) if _has_elements(size)], step.choice)
    return draft.add(_alike(f"{{}}.{one_of(('max', 'min'), step.second)}(axis={axis})", a), [a])


def _has_elements(size: Any) -> bool:
    """Whether the size is a number other than 0: what may turn out to be 0 has no extremum."""
    return isinstance(size, int) and size > 0


@kind
def truth(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_bool(expr) and expr.ndim > 0)
    if a is None:
        return False
    name = one_of(("any", "all"), step.second)
    return draft.add(_alike(f"np.{name}({{}}, axis={_axis(draft.exprs[a], step.choice)})", a), [a])


@kind
def position(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_number(expr) and expr.ndim == 2 and expr.shape[1] == 4, exact=True)
    return a is not None and draft.add(
        _alike(one_of(("np.argmax({}, axis=1)", "np.argmin({}, -1)"), step.choice), a), [a]
    )


@kind
def product(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_number(expr) and 1 <= expr.ndim <= 2)
    if a is None:
        return False
    inner = draft.exprs[a].shape[-1]
    b = draft.pick(step.second, lambda expr: is_number(expr) and 1 <= expr.ndim <= 2 and expr.shape[0] == inner)
    if b is None:
        return False
    is_whole = is_integer(draft.exprs[a]) and is_integer(draft.exprs[b])
    return draft.add(_alike("{} @ {}", a, b)._replace(is_exact=is_whole), [a, b])


@kind
def normalization(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_float(expr) and is_matrix(expr))
    if a is None or not draft.bounded(a, -50, 50):
        return False
    texts = (
        ("relax.nn.softmax({}, axis=-1)", "softmax({}, -1)"),
        ("relax.nn.softmax({}, axis=0)", "softmax({}, 0)"),
        ("relax.nn.layer_norm({})", "layer_norm({})"),
    )
    in_relax, in_numpy = one_of(texts, step.choice)
    return draft.add(Spelling(in_relax.format(a), in_numpy.format(a), False), [a])


# -------------------------------------------------------------------------------------------------- moving elements


INDICES = (
    "[1:]", "[::2]", "[::-1]", "[-2:]", "[:-1]", "[: m // 2]", "[m // 2 :]", "[None]", "[..., None]", "[1::3]",
    "[5:1:-2]", "[-1:0:-1]", "[m:]", "[:n]", "[2:5]", "[n - m :]", "[:-m]", "[:0]",
)  # fmt: skip
INDICES_OF_MATRICES = (
    "[1:, None]", "[..., ::-1]", "[:, 1:]", "[1:, ::-2]", "[None, :, 1:]", "[:, : n // 2]", "[::-1, ::-1]",
    "[:, None, :]", "[-1:, :n]",
)  # fmt: skip


@kind
def index(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, has_axes)
    if a is None:
        return False
    options = INDICES + (INDICES_OF_MATRICES if draft.exprs[a].ndim == 2 else ())
    return draft.add(_alike("{}" + one_of(options, step.choice), a), [a])


@kind
def rearrangement(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, is_matrix)
    texts = (
        ("{}.T",) * 2, ("relax.flatten({})", "{}.reshape(-1)"), ("{0}.reshape(-1)",) * 2,
        ("relax.flip({}, axis=1)", "np.flip({}, 1)"), ("relax.repeat({}, 2, axis=0)", "np.repeat({}, 2, axis=0)"),
        ("relax.tile({}, (2, 1))", "np.tile({}, (2, 1))"), ("relax.expand_dims({}, 1)", "np.expand_dims({}, 1)"),
        ("{0}.reshape(({0}.shape[1], {0}.shape[0]))",) * 2, ("relax.tril({})", "np.tril({})"),
        ("relax.permute_dims({}, (1, 0))", "np.transpose({})"), ("relax.triu({}, k=1)", "np.triu({}, 1)"),
        ("relax.broadcast_to({0}, (3, *{0}.shape))", "np.broadcast_to({0}, (3, *{0}.shape))"),
    )  # fmt: skip
    if a is None:
        return False
    in_relax, in_numpy = one_of(texts, step.choice)
    return draft.add(Spelling(in_relax.format(a), in_numpy.format(a)), [a])


@kind
def joining(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, has_axes)
    if a is None:
        return False
    axis = step.choice % draft.exprs[a].ndim
    shape = draft.exprs[a].shape
    b = draft.pick(step.second, lambda expr: has_axes(expr) and _same_but(expr, draft.exprs[a], axis))
    if b is None:
        return False
    if step.choice >= 4 and draft.exprs[b].shape == shape:
        return draft.add(_alike(f"np.stack([{{}}, {{}}], axis={axis})", a, b), [a, b])
    spelling = _alike(f"np.concat([{{}}, {{}}], axis={axis})", a, b)
    return draft.add(spelling, [a, b])


def _same_but(left: Expr, right: Expr, axis: int) -> bool:
    if left.dtype != right.dtype or left.ndim != right.ndim:
        return False
    return all(a == b for at, (a, b) in enumerate(zip(left.shape, right.shape, strict=True)) if at != axis)


@kind
def pieces(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, has_axes)
    if a is None:
        return False
    cuts = one_of(("[1]", "[1, 3]", "[m // 2]", "[n]"), step.choice)
    which = step.second % (cuts.count(",") + 2)
    spelling = Spelling(f"relax.split({a}, {cuts}, axis=0)[{which}]", f"np.split({a}, {cuts}, axis=0)[{which}]")
    return draft.add(spelling, [a])


@kind
def creation(draft: Draft, step: Step) -> bool:
    texts = (
        'np.zeros((n, m), dtype="float32")', "np.arange(n)", "np.arange(m) * 2", 'np.ones((m, n), dtype="int64")',
        "np.full((m, 4), 1.5)", "np.eye(n)", "np.arange(1, 8, 2)", "CAPTURED * 2",
    )  # fmt: skip
    return draft.add(_alike(one_of(texts, step.choice)), [])


# ------------------------------------------------------------------------------ tuples, calls, data-dependent, branches


@kind
def tuple_field(draft: Draft, step: Step) -> bool:
    a, b = draft.pick(step.first, is_tensor), draft.pick(step.second, is_tensor)
    return a is not None and b is not None and draft.add(_alike("({}, ({} , 3))", a, b), [a, b])


@kind
def field_of_tuple(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: isinstance(expr.type, TupleType))
    text = one_of(("{}[0]", "{}[1][0]"), step.choice)
    if a is None or not isinstance(draft.exprs[a].type.fields[1], TupleType):
        return False
    return draft.add(_alike(text, a), [a])


@kind
def call(draft: Draft, step: Step) -> bool:
    if step.choice % 2:
        a = draft.pick(step.first, lambda expr: is_integer(expr) and expr.dtype == "int64" and expr.ndim == 1)
        return a is not None and draft.add(_alike("halves({})[0]", a), [a])
    a = draft.pick(step.first, lambda expr: is_matrix(expr) and expr.dtype == "float32" and expr.shape[1] == 4)
    return a is not None and draft.add(_alike("normalized({})", a)._replace(is_exact=False), [a])


@kind
def kernel(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_matrix(expr) and is_float(expr))
    if a is None:
        return False
    if step.choice % 2:
        return draft.add(Spelling(f"relax.emit_te(te_row_sums, {a})", f"({a} * {a}).sum(axis=1)", False), [a])
    return draft.add(Spelling(f"relax.emit_te(te_shifted_rows, {a})", f"shifted_rows({a})"), [a])


@kind
def found(draft: Draft, step: Step) -> bool:
    a = draft.pick(step.first, lambda expr: is_tensor(expr) and 1 <= expr.ndim <= 2, exact=True)
    if a is None or not draft.finite(a):
        return False
    if step.choice % 2 and draft.exprs[a].ndim == 1:
        return draft.add(Spelling(f"relax.nonzero({a})[0]", f"np.nonzero({a})[0]"), [a])
    return draft.add(_alike("np.unique({})", a), [a])


@kind
def branches(draft: Draft, step: Step) -> bool:
    condition = draft.pick(step.second, lambda expr: is_bool(expr) and expr.ndim == 0)
    a = draft.pick(step.first, lambda expr: is_number(expr) and expr.ndim > 0)
    if condition is None or a is None:
        return False
    options = ("{} + 1", "-{}", "{}", "{}[1:]", "{} * {}", "{}[::-1]")
    sides = _alike(one_of(options, step.choice), a), _alike(one_of(options, step.choice // 6 + 1), a)
    return draft.choose(condition, sides, [condition, a])
