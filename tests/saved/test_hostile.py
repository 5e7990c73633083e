"""Texts that somebody has written to make loading them do something: none does anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from saving import file_with, message_of

import relaxdsl as relax
from relaxdsl.ir.loops import Buffer, CallExtern, PrimFunc
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import symbol

TENSOR = 'relax.Tensor(("n",), "float32")'
HEAD = f"@relax.function\ndef f(x: {TENSOR}) -> {TENSOR}:\n"
KERNEL = (
    '@relax.prim_func\ndef f(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32"), n: T.int64):\n'
    "    T.outputs(y)\n"
)
LOOP = "    for i in range(n):\n        y[i] = {}\n"


def binding(value: str) -> str:
    return f"{HEAD}    y = {value}\n    return y\n"


NOT_PRINTED = {
    "import os\n" + HEAD + "    return x\n": "import os",
    "from os import system\n" + HEAD + "    return x\n": "from os import system",
    binding("__import__('os').system('touch MARKER')"): "__import__('os').system",
    binding("().__class__.__base__.__subclasses__()"): "().__class__.__base__.__subclasses__",
    binding("relax.nn.__builtins__"): "relax.nn.__builtins__",
    binding("relax.api.os.system('touch MARKER')"): "relax.api.os.system",
    binding("relax.load('MARKER')"): "relax.load",
    binding("relax.register_packed('f', x)"): "relax.register_packed",
    binding("cls.__init__.__globals__"): "cls.__init__.__globals__",
    binding("relax.add.__globals__"): "relax.add.__globals__",
    binding("x.shape"): "x.shape",
    binding("(lambda: 1)()"): "(lambda: 1)()",
    binding("[a for a in (1,)]"): "[a for a in (1,)]",
    binding("f'{x:>9999999999}'"): "f'{x:>9999999999}'",
    binding("relax.add(*x)"): "*x",
    binding("relax.add(**x)"): "relax.add(**x)",
    binding("(z := 1)"): "(z := 1)",
    binding("b'x'"): "b'x'",
    binding("9 ** 9 ** 9 ** 9"): "9 ** 9 ** 9 ** 9",
    binding("1 << 99999999999"): "1 << 99999999999",
    binding("'x' * 99999999999"): "'x' * 99999999999",
    binding("(1,) * 99999999999"): "(1,) * 99999999999",
    HEAD.replace(TENSOR, '"().__class__"', 1) + "    return x\n": "'().__class__'",
    HEAD.replace(TENSOR, "min('().__class__', 'z')", 1) + "    return x\n": "min('().__class__', 'z')",
    HEAD + "    y: '().__class__' = x\n    return x\n": "'().__class__'",
    HEAD + "    while True:\n        pass\n": "while True:",
    HEAD + "    for i in range(99999999999):\n        y = x\n    return x\n": "for i in range(99999999999):",
    HEAD + "    global x\n    return x\n": "global x",
    HEAD + "    try:\n        return x\n    finally:\n        pass\n": "try:",
    HEAD + "    with relax.dataflow():\n        del x\n": "del x",
}

NOT_UNDERSTOOD = {
    binding("open('MARKER', 'w')"): "name 'open' is not defined",
    binding("eval('1')"): "name 'eval' is not defined",
    binding("exec('1')"): "name 'exec' is not defined",
    binding("getattr(x, 'a')"): "name 'getattr' is not defined",
    HEAD.replace("function", "function(attrs={'a': open('MARKER', 'w')})")
    + "    return x\n": "name 'open' is not defined",
    HEAD.replace(") ->", "=open('MARKER', 'w')) ->") + "    return x\n": "f: a parameter cannot have a default value",
    HEAD.replace('"n",', "\"__import__('os')\",", 1) + "    return x\n": "a size cannot contain `'os'`",
    binding(f"relax.const({'9' * 4000}, 'int64')"): "const: Python int too large to convert to C long",
    binding("-" * 100_000 + "1"): "the text is not Python: it is nested too deeply, or has a null character",
    binding("(" * 500 + ")" * 500): "the text is not Python: too many nested parentheses",
    "": "a program's text is one function, or one `@relax.module class`",
    "x = 1\n": "a program's text is one function, or one `@relax.module class`",
    "@relax.module\nclass Module:\n    y = open('MARKER', 'w')\n": "a module contains functions only",
}

KERNELS = {
    KERNEL + '    T.call_extern("system", x, writes=[y])\n': "a printed program cannot contain `T.call_extern`",
    KERNEL + LOOP.format("T.exp(x[i]) ** 9 ** 9"): "a printed program cannot contain `T.exp(x[i]) ** 9 ** 9`",
    KERNEL + LOOP.format('T.cast(x[i], "float32\\nimport os")'): "unknown dtype 'float32\\nimport os'",
    KERNEL + "    for i in open('MARKER', 'w'):\n        y[i] = x[i]\n": "name 'open' is not defined",
    HEAD + "    return x\n": "a kernel's text is one `@relax.prim_func`",
}


@pytest.mark.parametrize("text", NOT_PRINTED, ids=list(NOT_PRINTED.values()))
def test_what_printed_programs_do_not_contain(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert headline(file_with(text, tmp_path / "f.rlx")) == f"a printed program cannot contain `{NOT_PRINTED[text]}`"
    assert not (tmp_path / "MARKER").exists()


@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=range(len(NOT_UNDERSTOOD)))
def test_what_means_nothing_there(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert headline(file_with(text, tmp_path / "f.rlx")) == NOT_UNDERSTOOD[text]
    assert not (tmp_path / "MARKER").exists()


@pytest.mark.parametrize("text", KERNELS, ids=range(len(KERNELS)))
def test_kernels(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert headline(file_with(text, tmp_path / "f.rlx", "kernel")) == KERNELS[text]
    assert not (tmp_path / "MARKER").exists()


def headline(path: Path) -> str:
    before = f"f.rlx holds no program that relaxdsl {relax.__version__} understands: "
    first = message_of(path).splitlines()[0]
    assert first.startswith(before)
    return first.removeprefix(before)


def test_a_refusal_shows_the_line_of_the_text(tmp_path: Path) -> None:
    assert message_of(file_with(binding("x.shape"), tmp_path / "f.rlx")) == (
        f"f.rlx holds no program that relaxdsl {relax.__version__} understands: "
        "a printed program cannot contain `x.shape`\n"
        "  --> f.rlx:3:9\n"
        "  |\n"
        "3 |     y = x.shape\n"
        "  |         ^^^^^^^"
    )


def test_functions_that_kernels_call_are_the_engines() -> None:
    """A name is written into the source that numba compiles: it could be any source."""
    y = Buffer("y", (symbol("n"),), "float32")
    call = CallExtern("abs(1)\nimport os\nos.abort", (), (y,))
    with pytest.raises(relax.KernelError) as error:
        kernel_source(PrimFunc("f", (y,), 1, ("n",), call))
    assert str(error.value) == "f: kernels know no function 'abs(1)\\nimport os\\nos.abort'"
