"""Display in terminals and notebooks: programs with their syntax highlighted. The IR classes know nothing of it."""

from __future__ import annotations

import html
import sys

from relaxdsl.ir.graph import Call, Constant, Expr, Function, If, PrimValue, SeqExpr, ShapeExpr, Tuple, TupleGetItem
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script, summary
from relaxdsl.kernels.primitives.schedule import Schedule

#: Said in full, since Jupyter sets output in the font of prose.
_CODE_FONT = "font-family: var(--jp-code-font-family, monospace)"


def show(text: str) -> None:
    """Prints Python-like text; in a notebook highlighted, in a colour terminal coloured."""
    if _is_notebook():
        from IPython.display import HTML, display  # installed wherever a notebook runs

        display(HTML(to_html(text)))  # type: ignore[no-untyped-call]
    else:
        print(_coloured(text) if sys.stdout.isatty() else text)


def to_html(text: str) -> str:
    """Python-like text as HTML, highlighted if pygments is installed."""
    try:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer
    except ImportError:
        return f'<pre style="{_CODE_FONT}">{html.escape(text)}</pre>'
    return str(highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, nobackground=True, prestyles=_CODE_FONT)))


def _coloured(text: str) -> str:
    try:
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import PythonLexer
    except ImportError:
        return text
    return str(highlight(text, PythonLexer(), TerminalFormatter()))


def _is_notebook() -> bool:
    """Whether an IPython kernel (not its terminal) runs this."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _represent(expr: Expr) -> str:
    """An expression in one line: what it computes, and its type."""
    return f"<relax value {summary(expr)}: {expr.type}>"


for _node in (Call, Constant, If, PrimValue, SeqExpr, ShapeExpr, Tuple, TupleGetItem):
    _node.__repr__ = _represent  # type: ignore[method-assign, assignment]
for _program in (Function, PrimFunc, IRModule):
    _program.__str__ = script  # type: ignore[method-assign, assignment]


def _show_schedule(self: Schedule) -> None:
    """Prints the kernel as it is now; in a notebook highlighted."""
    show(str(self))


def _schedule_to_html(self: Schedule) -> str:
    return to_html(str(self))


Schedule.show = _show_schedule  # type: ignore[method-assign, assignment]
Schedule._repr_html_ = _schedule_to_html  # type: ignore[attr-defined]
