"""Tracebacks without this package's own lines: they stand between a user's line and the message, and say nothing of it.

What the user enters by is decorated with :func:`short_tracebacks`. With ``RELAXDSL_FULL_TRACEBACKS=1`` in the
environment all lines stay; so they do where the defect is in one of them (:class:`.InternalError`).
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from types import FunctionType, TracebackType
from typing import ParamSpec, TypeVar

from relaxdsl.errors import InternalError, RelaxError

VARIABLE = "RELAXDSL_FULL_TRACEBACKS"
_FOLDER = os.path.join(os.path.dirname(__file__), "")

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


def short_tracebacks(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: errors of relaxdsl leave the function without the package's own lines in their traceback."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return function(*args, **keywords)
        except RelaxError as error:
            shorten_traceback(error)
            raise

    return wrapper


def short_tracebacks_of_methods(cls: C) -> C:
    """Decorator: the same for all methods with public names, of a class; ``__call__`` takes care of itself."""
    for name, method in list(vars(cls).items()):
        if not name.startswith("_") and isinstance(method, FunctionType) and not inspect.isgeneratorfunction(method):
            setattr(cls, name, short_tracebacks(method))
    return cls


def shorten_traceback(error: RelaxError) -> None:
    """Takes the package's own lines out of an error's traceback, and of those of its causes.

    The function that catches the error and raises it again, without naming it, is not in there either.
    """
    if isinstance(error, InternalError) or os.environ.get(VARIABLE, "0") not in ("", "0"):
        return
    for each in _shown(error):
        each.__traceback__ = _without_own_lines(each.__traceback__)


def _shown(error: BaseException | None) -> Iterator[BaseException]:
    """The errors that Python prints for one: it, and what led to it."""
    seen = list[BaseException]()
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _without_own_lines(traceback: TracebackType | None) -> TracebackType | None:
    frames = list[TracebackType]()
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_FOLDER):
            frames.append(traceback)
        traceback = traceback.tb_next
    following = None
    for frame in reversed(frames):
        following = TracebackType(following, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return following
