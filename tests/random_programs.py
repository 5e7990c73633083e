"""Random typed programs from recipes, each in three spellings: relax source, the same built by hand, and NumPy source.

A recipe is a list of steps, and a step is numbers that pick a kind of line and its operands from what there is. While
a program is drafted its NumPy spelling runs on arrays of every size in ``SIZES``, so that a line is only taken where
its value is well conditioned: the compiled program must then agree with NumPy, which is its only judge.
"""

from __future__ import annotations

import linecache
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import relaxdsl as relax
from relaxdsl import te
from relaxdsl.ir.graph import Expr, Function, Var
from relaxdsl.ir.module import IRModule
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.function_calls import call_program
from relaxdsl.types.types import TensorType

m, n = relax.dims("m n")

#: The sizes that every program runs at, in this order: nothing, one, few, and not multiples of a vector.
SIZES: tuple[dict[str, int], ...] = (
    {"m": 2, "n": 7},
    {"m": 0, "n": 3},
    {"m": 1, "n": 1},
    {"m": 7, "n": 2},
    {"m": 3, "n": 0},
    {"m": 13, "n": 33},
)
LARGEST = 1e4

# ---------------------------------------------------------------------------------------------- what programs may use


@relax.function
def normalized(a: relax.Tensor[("p", "q"), "float32"]) -> relax.Tensor[("p", "q"), "float32"]:
    spread = relax.max(relax.abs(a), axis=1, keepdims=True) + 1
    return a / spread


@relax.function
def halves(a: relax.Tensor[("p",), "int64"]) -> relax.Tuple[relax.Tensor[("p",), "int64"], relax.Tensor[(), "int64"]]:
    return a // 2, relax.sum(a)


def te_shifted_rows(x: te.Tensor) -> te.Tensor:
    """Each row with the row before it added, twice."""
    return te.compute(x.shape, lambda i, j: x[i, j] + te.if_then_else(i >= 1, x[i - 1, j] * 2, 0), name="shifted")


def te_row_sums(x: te.Tensor) -> te.Tensor:
    k = te.reduce_axis((0, x.shape[1]), name="k")
    return te.compute((x.shape[0],), lambda i: te.sum(x[i, k] * x[i, k], axis=k), name="row_sums")


def numpy_normalized(a: np.ndarray) -> np.ndarray:
    return a / (np.max(np.abs(a), axis=1, keepdims=True, initial=-np.inf) + np.float32(1))


def numpy_halves(a: np.ndarray) -> tuple[np.ndarray, Any]:
    return a // 2, np.sum(a)


def numpy_shifted_rows(x: np.ndarray) -> np.ndarray:
    before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
    return x + before * x.dtype.type(2)


def numpy_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def numpy_layer_norm(x: np.ndarray) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    return centered / np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + x.dtype.type(1e-5))


def numpy_erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


CAPTURED = np.array([0.5, -1.25, 2.0, 0.75], "float32")
SHARED = {"CAPTURED": CAPTURED}
IN_RELAX = {
    **SHARED, "relax": relax, "m": m, "n": n, "normalized": normalized, "halves": halves,
    "te_shifted_rows": te_shifted_rows, "te_row_sums": te_row_sums,
}  # fmt: skip
IN_NUMPY = {
    **SHARED, "np": np, "normalized": numpy_normalized, "halves": numpy_halves, "softmax": numpy_softmax,
    "layer_norm": numpy_layer_norm, "erf": numpy_erf, "shifted_rows": numpy_shifted_rows,
}  # fmt: skip

# -------------------------------------------------------------------------------------------------- parts of a program


class Step(NamedTuple):
    """One line to be: which kind, which operands (counted modulo what fits), and a choice within the kind."""

    kind: int
    first: int
    second: int
    choice: int


class Spelling(NamedTuple):
    """An expression in both languages; ``is_exact`` if no rounding happens, given exact operands."""

    in_relax: str
    in_numpy: str
    is_exact: bool = True


@dataclass(frozen=True)
class Line:
    """``target = …``."""

    target: str
    spelling: Spelling

    def texts(self, language: int) -> list[str]:
        return [f"{self.target} = {self.spelling[language]}"]


@dataclass(frozen=True)
class Choice:
    """An ``if`` on a scalar tensor that gives ``target`` one value or another."""

    target: str
    condition: str
    sides: tuple[Spelling, Spelling]

    def texts(self, language: int) -> list[str]:
        then, other = (f"    {self.target} = {side[language]}" for side in self.sides)
        return [f"if {self.condition}:", then, "else:", other]


@dataclass(frozen=True)
class Parameter:
    """An argument: its shape and dtype, and how its values are made."""

    name: str
    shape: tuple[Any, ...]
    dtype: str

    @property
    def type(self) -> TensorType:
        return relax.Tensor(self.shape, self.dtype)

    def array(self, sizes: dict[str, int], rng: np.random.Generator) -> np.ndarray:
        """Small numbers with few bits, so that adding and multiplying them is exact."""
        shape = [sizes.get(str(dim), dim) for dim in self.shape]
        if self.dtype == "bool":
            return np.asarray(rng.integers(0, 2, shape), "bool")
        if self.dtype.startswith("float"):
            return np.asarray(rng.integers(-8, 9, shape) / 4, self.dtype)
        return np.asarray(rng.integers(0 if self.dtype.startswith("u") else -5, 6, shape), self.dtype)


PARAMETERS = (
    Parameter("x", (m, n), "float32"),
    Parameter("y", (m, n), "float32"),
    Parameter("r", (n,), "float32"),
    Parameter("col", (m, 1), "float32"),
    Parameter("w", (n, 4), "float32"),
    Parameter("d", (m, 4), "float64"),
    Parameter("i", (m,), "int32"),
    Parameter("j", (m, n), "int64"),
    Parameter("u", (n,), "uint8"),
    Parameter("b", (m, n), "bool"),
    Parameter("s", (), "float32"),
    Parameter("flag", (), "bool"),
)


def arguments(seed: int = 0) -> list[dict[str, np.ndarray]]:
    """For each of ``SIZES``, an array for every parameter."""
    rng = np.random.default_rng(seed)
    return [{each.name: each.array(sizes, rng) for each in PARAMETERS} for sizes in SIZES]


# ------------------------------------------------------------------------------------------------------------- drafting


@dataclass
class Draft:
    """A program under construction, its values on every size, and the module it is built in."""

    builder: BlockBuilder = field(default_factory=BlockBuilder)
    lines: list[Line | Choice] = field(default_factory=list)
    exprs: dict[str, Expr] = field(default_factory=dict)
    arrays: list[dict[str, Any]] = field(default_factory=arguments)
    exact: set[str] = field(default_factory=set)
    tainted: set[str] = field(default_factory=set)
    scale: float = 1.0

    def __post_init__(self) -> None:
        for each in PARAMETERS:
            self.exprs[each.name] = Var(each.name, each.type)
            self.exact.add(each.name)
            if each.dtype == "float32":
                self.tainted.add(each.name)

    def pick(self, which: int, fits: Callable[[Expr], bool], *, exact: bool = False) -> str | None:
        """The name of a value that fits; later values come first."""
        names = [name for name, expr in self.exprs.items() if fits(expr) and (not exact or name in self.exact)]
        return names[-1 - which % len(names)] if names else None

    def bounded(self, name: str, low: float, high: float) -> bool:
        """Whether all elements, of every size, lie between the two."""
        return all(bool(np.all((values[name] >= low) & (values[name] <= high))) for values in self.arrays)

    def finite(self, name: str) -> bool:
        """Whether no element, of any size, is infinite or NaN."""
        return all(bool(np.all(np.isfinite(values[name]))) for values in self.arrays)

    def add(self, spelling: Spelling, used: Sequence[str]) -> bool:
        """Adds a line, unless its values grow too large; whether it did."""
        found = [self._in_numpy(spelling, index) for index in range(len(SIZES))]
        if not self._is_tame(found):
            return False
        target = self._name()
        self.exprs[target] = self.builder.emit(self._in_relax(spelling), target)
        self.lines.append(Line(target, spelling))
        self._learn(target, found, used, spelling.is_exact)
        return True

    def choose(self, condition: str, sides: tuple[Spelling, Spelling], used: Sequence[str]) -> bool:
        """Adds an if on a scalar; whether it did."""
        found = [self._in_numpy(sides[0 if self.arrays[index][condition] else 1], index) for index in range(len(SIZES))]
        if not self._is_tame(found):
            return False
        target = self._name()
        branches = []
        for side in sides:
            with self.builder.branch() as close:
                branches.append(close(self.builder.emit(self._in_relax(side), target)))
        self.exprs[target] = self.builder.emit_if(self.exprs[condition], *branches, name_hint=target)
        self.lines.append(Choice(target, condition, sides))
        self._learn(target, found, used, all(side.is_exact for side in sides))
        return True

    def _in_relax(self, spelling: Spelling) -> Expr:
        names = {**IN_RELAX, **self.exprs}
        for callee in (normalized, halves):
            names[callee.__name__] = lambda *args, callee=callee: call_program(self.builder, callee, args)
        return eval(spelling.in_relax, names)

    def _in_numpy(self, spelling: Spelling, index: int) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return eval(spelling.in_numpy, {**IN_NUMPY, **SIZES[index], **self.arrays[index]})

    def _is_tame(self, found: Sequence[Any]) -> bool:
        """Whether no value is large or infinite (a NaN is where nothing has no mean)."""
        leaves = [np.asarray(leaf) for value in found for leaf in leaves_of(value)]
        return all(leaf.size < 100_000 and not np.any(np.abs(_numbers(leaf)) > LARGEST) for leaf in leaves)

    def _learn(self, target: str, found: Sequence[Any], used: Sequence[str], is_exact: bool) -> None:
        for values, value in zip(self.arrays, found, strict=True):
            values[target] = value
        leaves = [np.asarray(leaf) for value in found for leaf in leaves_of(value)]
        self.scale = max(
            [self.scale, *(float(np.max(np.abs(np.nan_to_num(_numbers(leaf))), initial=0)) for leaf in leaves)]
        )
        if is_exact and all(name in self.exact for name in used):
            self.exact.add(target)
        if any(name in self.tainted for name in used) or any(leaf.dtype == "float32" for leaf in leaves):
            self.tainted.add(target)

    def _name(self) -> str:
        return f"v{len(self.lines)}"


def _numbers(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype("float64")


def leaves_of(value: Any) -> Iterator[Any]:
    """The arrays of a nested tuple or list."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from leaves_of(each)
    else:
        yield value


# ------------------------------------------------------------------------------------------------------- whole programs

#: A way to make a line of a step; it returns whether it could.
Kind: TypeAlias = Callable[[Draft, Step], bool]


@dataclass(frozen=True)
class Program:
    """A finished program: what it is in each language, and what it must give on each of ``SIZES``."""

    function: Function
    module: IRModule
    parameters: tuple[Parameter, ...]
    relax_source: str
    numpy_source: str
    arguments: tuple[tuple[np.ndarray, ...], ...]
    expected: tuple[tuple[Any, ...], ...]
    tolerances: tuple[float, ...]

    def compiled_from_source(self) -> Any:
        """The source, as ``@relax.function`` reads it."""
        file = f"<random program {abs(hash(self.relax_source)):x}>"
        linecache.cache[file] = (len(self.relax_source), None, self.relax_source.splitlines(keepends=True), file)
        names: dict[str, Any] = dict(IN_RELAX)
        exec(compile(self.relax_source, file, "exec", dont_inherit=True), names)
        return names["main"]

    def compiled_from_builder(self) -> Any:
        return relax.compile(self.module)["main"]


def draft_program(steps: Sequence[Step], results: Sequence[int], kinds: Sequence[Kind]) -> Program:
    """The program of a recipe: a line for every step that fits; ``results`` picks what it returns, besides the last."""
    draft = Draft()
    with draft.builder.function("main", form_dataflow=True):
        for step in steps:
            kinds[step.kind % len(kinds)](draft, step)
        returned = _returned(draft, results)
        parameters = _used_parameters(draft, returned)
        params = [draft.exprs[each.name] for each in parameters]
        draft.builder.emit_func_output(tuple(draft.exprs[name] for name in returned), params)
    return _finished(draft, parameters, returned)


def _returned(draft: Draft, results: Sequence[int]) -> tuple[str, ...]:
    made = [line.target for line in draft.lines] or ["x"]
    return tuple(dict.fromkeys([made[-1], *(made[each % len(made)] for each in results)]))


def _used_parameters(draft: Draft, returned: Sequence[str]) -> tuple[Parameter, ...]:
    """Those that the text names, and x, whose shape binds m and n."""
    text = " ".join([*(text for line in draft.lines for text in line.texts(0)), *returned])
    words = set("".join(c if c.isidentifier() or c.isdigit() else " " for c in text).split())
    return tuple(each for each in PARAMETERS if each.name in words or each.name == "x")


def _finished(draft: Draft, parameters: tuple[Parameter, ...], returned: tuple[str, ...]) -> Program:
    module = draft.builder.get()
    function = module["main"]
    assert isinstance(function, Function)
    return Program(
        function,
        module,
        parameters,
        _source(draft, [f"{p.name}: {_annotation(p)}" for p in parameters], returned, 0),
        _source(draft, [p.name for p in parameters], returned, 1),
        tuple(tuple(values[p.name] for p in parameters) for values in draft.arrays),
        tuple(tuple(values[name] for name in returned) for values in draft.arrays),
        tuple(
            0.0 if each in draft.exact else draft.scale * (1e-4 if each in draft.tainted else 1e-9) for each in returned
        ),
    )


def _annotation(parameter: Parameter) -> str:
    shape = "".join(f"{dim}, " for dim in parameter.shape)
    return f'relax.Tensor[({shape}), "{parameter.dtype}"]'


def _source(draft: Draft, params: Sequence[str], returned: Sequence[str], language: int) -> str:
    head = ("@relax.function\n" if language == 0 else "") + f"def main({', '.join(params)}):\n"
    body = [text for line in draft.lines for text in line.texts(language)]
    return head + "".join(f"    {text}\n" for text in [*body, f"return ({', '.join(returned)},)"])
