"""Tracebacks without this package's own lines: they stand between a user's line and the message, and say nothing of it.

What the user enters by is decorated with :func:`short_tracebacks`. With ``RELAXDSL_FULL_TRACEBACKS=1`` in the
environment all lines stay; so they do where the defect is in one of them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import FunctionType, TracebackType
from typing import ParamSpec, TypeVar

from relaxdsl.errors import InternalError, RelaxError, is_own

VARIABLE = "RELAXDSL_FULL_TRACEBACKS"

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


def short_tracebacks(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: errors leave the function without the package's own lines in their tracebacks."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return function(*args, **keywords)
        except Exception as error:
            shorten_traceback(error)
            raise

    return wrapper


def short_tracebacks_of_methods(*others: str) -> Callable[[C], C]:
    """Decorator: the same for all methods of a class that have public names, and those with these names."""

    def decorate(cls: C) -> C:
        for name, method in list(vars(cls).items()):
            if name.startswith("_") and name not in others:
                continue
            if isinstance(method, FunctionType) and not inspect.isgeneratorfunction(method):
                is_context = inspect.isgeneratorfunction(inspect.unwrap(method))
                setattr(cls, name, short_tracebacks(_with_short_context(method) if is_context else method))
            elif isinstance(method, classmethod):
                setattr(cls, name, classmethod(short_tracebacks(method.__func__)))
        return cls

    return decorate


def _with_short_context(function: Callable[P, AbstractContextManager[R]]) -> Callable[P, AbstractContextManager[R]]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **keywords: P.kwargs) -> AbstractContextManager[R]:
        return _ShortContext(function(*args, **keywords))

    return wrapper


class _ShortContext(AbstractContextManager[R]):
    """A context manager whose errors leave it without the package's own lines."""

    def __init__(self, manager: AbstractContextManager[R]) -> None:
        self._manager = manager

    @short_tracebacks
    def __enter__(self) -> R:
        return self._manager.__enter__()

    @short_tracebacks
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._manager.__exit__(kind, error, traceback)


def shorten_traceback(error: Exception) -> None:
    """Takes the package's own lines out of an error's traceback, and of those of its causes, unless it is a defect.

    The function that catches the error and raises it again, without naming it, is not in there either.
    """
    if os.environ.get(VARIABLE, "0") not in ("", "0") or not _is_of_the_user(error):
        return
    for each in list(_shown(error)):
        each.__traceback__ = _without_own_lines(each.__traceback__)
        cause = each.__cause__
        if cause is not None and not isinstance(cause, RelaxError) and _without_own_lines(cause.__traceback__) is None:
            each.__cause__, each.__suppress_context__ = None, True  # the message says what it says


def _is_of_the_user(error: Exception) -> bool:
    """Whether the error is about what the user wrote or asked for, or comes from a function of the user's."""
    if isinstance(error, RelaxError | MemoryError | RecursionError | OSError):
        return not isinstance(error, InternalError)
    *_, last = _frames(error.__traceback__)
    if not is_own(last.tb_frame.f_code):
        return True
    return isinstance(error, TypeError) and last is error.__traceback__  # arguments that the function does not take


def _shown(error: BaseException | None) -> Iterator[BaseException]:
    """The errors that Python prints for one: it, and what led to it."""
    seen = list[BaseException]()
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _without_own_lines(traceback: TracebackType | None) -> TracebackType | None:
    following, calls_own = None, False
    for each in reversed(list(_frames(traceback))):
        code = each.tb_frame.f_code
        calls_own = is_own(code) or (calls_own and code.co_filename == contextlib.__file__)
        if not calls_own:
            following = TracebackType(following, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return following


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
