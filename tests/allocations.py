"""What a call allocates."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np


def allocated(call: Callable[[], Any]) -> tuple[Any, int]:
    """A call's result, and the bytes that NumPy has for arrays after it and had not before."""

    def numpy_bytes() -> int:
        domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([domain])
        return sum(trace.size for trace in traces.traces)

    tracemalloc.start()
    try:
        before = numpy_bytes()
        return call(), numpy_bytes() - before
    finally:
        tracemalloc.stop()
