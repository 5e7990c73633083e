"""The rules that make a program legal, numbered; :mod:`relaxdsl.ir.check` says where a program breaks them."""

from __future__ import annotations

from typing import Literal

from relaxdsl.dataclass import dataclass

Stage = Literal["graph", "lowered", "scheduled"]
"""How far a program has come: operators are allowed in ``graph`` only, kernels have blocks until ``scheduled``."""

GRAPH_RULES = {
    1: "every function of the module that is used is defined in it",
    2: "a variable is defined before it is used, and seen only where it is defined",
    3: "a variable is defined once in the module",
    4: "a DataflowVar lives and dies in its dataflow block",
    5: "arguments, conditions and results are leaves or tuples of leaves (A-normal form)",
    6: "a sequence stands only as the body of a function or a branch",
    7: "a dataflow block holds no If and no inner function",
    8: "a dataflow block holds no impure call",
    9: "a pure function makes no impure call",
    10: "every expression has a type",
    11: "a symbol is bound before it is used: by a parameter, a match_cast, or a data-dependent call",
    12: "a size is an int or a symbolic dim",
    13: "a call_tir fits its kernel, a packed call names its function",
    14: "the condition of an If is a 0-d bool tensor, and both branches fit the If's type",
    15: "the type of a variable holds what is bound to it",
    16: "what a function returns fits its declared type",
    17: "a lowered program calls only functions, kernels and packed functions",
}

KERNEL_RULES = {
    31: "the outputs are among the parameters",
    32: "names of loops and iteration variables are unique in the kernel, and differ from its symbols",
    33: "every buffer is a parameter, a scratch buffer or a register",
    34: "there are as many indices as the buffer has axes",
    35: "every symbol is a size of the kernel or a loop around it",
    36: "only outputs, scratch and registers are written",
    37: "a stored value has the buffer's dtype, a condition is bool",
    38: "a scheduled kernel has no blocks",
    39: "a block's symbols are its own iteration variables and the kernel's sizes",
}

RULES = GRAPH_RULES | KERNEL_RULES


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken, the function it is broken in, and what exactly breaks it."""

    rule: int
    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.function}: {self.what}   (rule {self.rule}: {RULES[self.rule]})"
