"""The interpreter of a function's syntax tree: what it knows while it parses, and how handlers of node kinds are found.

It runs the function as Python would, except that tensors are graph expressions: operators on them make calls, an ``if``
on one makes both branches, and a variable's value is bound in the builder. Everything else is plain Python, run now.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from enum import Enum, auto
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import RelaxError, ScriptError, Span
from relaxdsl.ir.graph import Call, Constant, Expr, GlobalVar, If, SeqExpr, ShapeExpr, TupleGetItem, Var
from relaxdsl.operators.calls import call_context, constant, current_context
from relaxdsl.script.scope import POISON, Missing, Poisoned, Scope, Surroundings
from relaxdsl.script.source import Source
from relaxdsl.script.trees import stored_names
from relaxdsl.script.unsupported import unsupported_syntax
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.types.bounds import has_bounds
from relaxdsl.types.constructors import (
    CallableAnnotation,
    PrimAnnotation,
    ShapeAnnotation,
    TensorAnnotation,
    TupleAnnotation,
)
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute, symbol, symbols_of
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import ShapeType, Type, dims_of, substitute_type

CONSTRUCTORS = (CallableAnnotation, PrimAnnotation, ShapeAnnotation, TensorAnnotation, TupleAnnotation)


class Flow(Enum):
    """How a statement ended."""

    NEXT = auto()
    BREAK = auto()
    CONTINUE = auto()
    RETURN = auto()


@dataclass(slots=True)
class Frame:
    """A function that is being run: the program itself, or a nested function of it.

    Args:
        node: its definition.
        scope: its variables.
        loops: the loops around the statement being run, outermost first.
        following: its block and those around it, outermost first, each with the place from which on it follows.
        result: what it returned.
        result_span: where.
    """

    node: ast.AST
    scope: Scope
    loops: list[ast.AST] = field(default_factory=list)
    following: list[tuple[Sequence[ast.stmt], int]] = field(default_factory=list)
    result: Any = None
    result_span: Span | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a program.

    Args:
        name: the function's name, which it may not call itself by.
        is_pure: whether impure calls are errors.
        exact: the text is a printed program: annotations are taken as they are, and every assignment is a binding.
        runtime_checks: sizes whose equality can't be decided are checked at run time.
        constants: what ``relax.constant(i)`` stands for.
        program_name: its name in the module, where that is another one.
        module_name: what the text calls its module.
        module_functions: the names of the module's functions.
        undecorated: the names of the functions in its class that are no programs.
        untyped: the names of its functions whose results have no type yet.
    """

    name: str
    is_pure: bool = True
    exact: bool = False
    runtime_checks: bool = False
    constants: Sequence[Any] = ()
    program_name: str | None = None
    module_name: str | None = None
    module_functions: Mapping[str, GlobalVar] = field(default_factory=dict)
    undecorated: Collection[str] = ()
    untyped: Collection[str] = ()


Undecided: TypeAlias = tuple[Dim, Dim, str, Span | None]


class Interpreter:
    """Runs statements and evaluates expressions of one function's source."""

    def __init__(self, builder: BlockBuilder, source: Source, around: Surroundings, options: Options) -> None:
        self.builder = builder
        self.source = source
        self.around = around
        self.options = options
        self.frame = Frame(ast.Module([], []), Scope())
        self.symbols: dict[str, SymInt] = {}
        self.bounded: Mapping[str, SymInt] = {}
        """What symbols become whose bounds are declared in attributes."""
        self.itself: GlobalVar | None = None
        """The function being read, for calls of itself; known once its result's type is."""
        self.symbol_places: dict[str, str] = {}
        self.new_symbols: list[str] = []
        self.fresh_symbols: set[str] = set()
        self.result_annotation_span: Span | None = None
        self.errors: list[RelaxError] = []
        self.undecided: list[Undecided] = []
        self.moved: dict[Var, Var] = {}
        self.left_behind: dict[Var, Missing] = {}
        self.called: ast.expr | None = None  # what the last call that was met calls
        self.outputs: list[Var] | None = None
        self.hint: tuple[Span | None, str] = (None, "")
        self.last_bound: Var | None = None
        self.names_symbols = False
        self.in_annotation = False
        self._constants: dict[int, tuple[np.ndarray, Constant]] = {}

    def expression_handler(self, node: ast.expr) -> ExpressionHandler | None:
        """What evaluates the node; None where programs cannot contain it."""
        return EXPRESSIONS.get(type(node))

    def statement_handler(self, node: ast.stmt) -> StatementHandler | None:
        """What runs the statement; None where programs cannot contain it."""
        return STATEMENTS.get(type(node))

    # ------------------------------------------------------------------------------------------------------ expressions

    def evaluate(self, node: ast.expr) -> Any:
        """The expression's value.

        Raises:
            RelaxError: with the place of the innermost node that failed.
            Poisoned: it uses the result of something that failed before.
        """
        handler = self.expression_handler(node)
        if handler is None:
            raise unsupported_syntax(node, self.source.span(node))
        try:
            return self.settle(handler(self, node))
        except RelaxError as error:
            error.at(self.source.span(node))
            raise
        except Poisoned:
            raise
        except Exception as error:
            raise self.foreign_error(error, node) from error

    def foreign_error(self, error: Exception, node: ast.AST) -> ScriptError:
        """A Python exception as an error at ``node``; the exception is its cause."""
        placed = ScriptError(f"{type(error).__name__}: {error}", span=self.source.span(node))
        placed.__cause__ = error
        return placed

    def settle(self, value: Any) -> Any:
        """The value to use here: what left a dataflow block is its outer variable; what stayed inside is an error."""
        if isinstance(value, Var):
            value = self.moved.get(value, value)
            if value in self.left_behind:
                value = self.left_behind[value]
        if value is POISON:
            raise Poisoned
        if isinstance(value, Missing):
            raise ScriptError(value.reason, hint=value.hint)
        return value

    def as_key(self, value: Any) -> Any:
        """The value as a key of a dict or an item of a set."""
        return value

    def require_items(self, value: Any, node: ast.AST) -> None:
        """Returns if the items of a value may be read at a node."""

    @contextmanager
    def at(self, node: ast.AST) -> Iterator[None]:
        """Within the block, calls are made at the place of ``node``, and errors that have no place get this one."""
        span = self.source.span(node)
        try:
            with call_context(span=span):
                yield
        except RelaxError as error:
            error.at(span)
            raise

    @contextmanager
    def in_scope(self, scope: Scope) -> Iterator[None]:
        """Within the block, names are those of ``scope``."""
        outer, self.frame.scope = self.frame.scope, scope
        try:
            yield
        finally:
            self.frame.scope = outer

    @contextmanager
    def naming_symbols(self, allowed: bool) -> Iterator[None]:
        """Within the block, whether an unknown name is a new symbol."""
        before, self.names_symbols = self.names_symbols, allowed
        try:
            yield
        finally:
            self.names_symbols = before

    def constant_of(self, array: np.ndarray) -> Constant:
        """The array as a constant; the same one whenever the same array is used."""
        if id(array) not in self._constants:
            self._constants[id(array)] = (array, constant(array))
        return self._constants[id(array)][1]

    # ------------------------------------------------------------------------------------------------------- statements

    def execute(self, statements: Sequence[ast.stmt]) -> Flow:
        """Runs statements until one leaves them. What fails is noted, and the statement's targets are poisoned."""
        following = self.frame.following
        for place, statement in enumerate(statements, start=1):
            following.append((statements, place))
            try:
                flow = self._execute_one(statement)
            finally:
                following.pop()
            if flow is not Flow.NEXT:
                return flow
        return Flow.NEXT

    def _execute_one(self, statement: ast.stmt) -> Flow:
        handler = self.statement_handler(statement)
        try:
            if handler is None:
                raise unsupported_syntax(statement, self.source.span(statement))
            with self.at(statement):
                return handler(self, statement)
        except RelaxError as error:
            self.report(error.at(self.source.span(statement)))
        except Poisoned:
            pass
        except Exception as error:
            self.report(self.foreign_error(error, statement))
        return self._poison_targets(statement)

    def report(self, error: RelaxError) -> None:
        """Notes an error, once for each place and text: an unrolled loop meets it many times."""
        if all((known.span, known.headline) != (error.span, error.headline) for known in self.errors):
            self.errors.append(error)

    def _poison_targets(self, statement: ast.stmt) -> Flow:
        for name in stored_names([statement]):
            self.frame.scope.variables[name] = POISON
        if not isinstance(statement, ast.Return):
            return Flow.NEXT
        self.frame.result = POISON
        return Flow.RETURN

    # --------------------------------------------------------------------------------------------------------- bindings

    def bind(self, value: Any, hint: str) -> Any:
        """``value`` with every call in it bound to a variable, named after ``hint`` where it is a single one."""
        if isinstance(value, Call | TupleGetItem | If | SeqExpr):
            return self.builder.emit(value, hint)
        if isinstance(value, list):
            value[:] = [self.bind(item, hint) for item in value]
        elif type(value) is tuple:
            return tuple(self.bind(item, hint) for item in value)
        elif isinstance(value, dict):
            value.update({key: self.bind(item, hint) for key, item in value.items()})
        return value

    def bind_impure(self, call: Call) -> Expr:
        """Binds an impure call where it is made: effects happen in order."""
        if self.options.is_pure:
            raise ScriptError(
                f"{self.options.name} is declared pure, but makes an impure call",
                hint="write @relax.function(pure=False), or relax.call_pure_packed if the call has no effects",
                span=call.span,
            )
        self.last_bound = self.builder.emit(call, self.take_hint())
        return self.last_bound

    def take_hint(self) -> str:
        """The user's name for what is computed at the current place, if it is the whole value of an assignment."""
        place, name = self.hint
        return name if place is not None and place == current_context().span else ""

    def declare(self, type_: Type) -> Type:
        """The type with the bounds that are known of its symbols; they are known by name from here on."""
        symbols = dict.fromkeys(each for dim in dims_of(type_) for each in symbols_of(dim))
        for each in symbols:
            if has_bounds(each) and not self._has_bounds(each.name):
                self.symbols[each.name] = from_atom(each)
        known = {each.name: self.known_size(from_atom(each)) for each in sorted(symbols, key=has_bounds)}
        for name, size in known.items():
            self.symbols.setdefault(name, size)
        return substitute_type(type_, known)

    def _has_bounds(self, name: str) -> bool:
        known = self.symbols.get(name)
        return known is not None and any(map(has_bounds, symbols_of(known)))

    def declared(self, value: Any) -> Any:
        """``value``; if it is a type, its symbols are known by name from here on."""
        return self.declare(value) if isinstance(value, Type) else value

    def known_size(self, dim: SymInt) -> SymInt:
        """The dim with the bounds that are known of its symbols, where it says none itself."""
        plain = [each.name for each in symbols_of(dim) if not has_bounds(each)]
        known = substitute(dim, {name: self.symbols.get(name, self.size(name)) for name in plain})
        return known if isinstance(known, SymInt) else dim

    def size(self, name: str) -> SymInt:
        """A symbol of this name that was not there before."""
        return self.bounded[name] if name in self.bounded else symbol(name)

    @staticmethod
    def is_type_constructor(value: Any) -> bool:
        """Whether ``value`` is ``relax.Tensor`` or its like: an unknown name in its brackets is a symbol."""
        return isinstance(value, CONSTRUCTORS)

    def fresh_symbol(self, hint: str) -> Dim:
        """A new symbol for a data-dependent size; an annotation on this statement may rename it."""
        new = self.builder.fresh_symbol(hint)
        self.new_symbols += free_symbols(new)
        self.fresh_symbols.update(free_symbols(new))
        return new

    def accept_undecided(self, left: Dim, right: Dim, message: str) -> bool:
        """With run-time checks: has ``left == right`` checked before the call that needs it."""
        if self.options.exact:
            return True  # a printed program has its checks in its text
        if not self.options.runtime_checks:
            return False
        self.undecided.append((left, right, message, current_context().span))
        self.builder.match_cast(ShapeExpr((left,), current_context().span), ShapeType((right,)), "checked")
        return True


ExpressionHandler: TypeAlias = Callable[[Interpreter, Any], Any]
StatementHandler: TypeAlias = Callable[[Interpreter, Any], Flow]

EXPRESSIONS: dict[type[ast.AST], ExpressionHandler] = {}
STATEMENTS: dict[type[ast.AST], StatementHandler] = {}


def expression(*kinds: type[ast.expr]) -> Callable[[ExpressionHandler], ExpressionHandler]:
    """Decorator: the function evaluates nodes of these kinds."""

    def register(handler: ExpressionHandler) -> ExpressionHandler:
        EXPRESSIONS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def statement(*kinds: type[ast.stmt]) -> Callable[[StatementHandler], StatementHandler]:
    """Decorator: the function runs nodes of these kinds."""

    def register(handler: StatementHandler) -> StatementHandler:
        STATEMENTS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
