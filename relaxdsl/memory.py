"""``relax.memory``: explicit memory, as the memory stage of a compiled function prints it."""

from relaxdsl.trace.memory_calls import (
    alloc_storage,
    alloc_tensor,
    call_dps_packed,
    count_threads,
    kill_storage,
    kill_tensor,
    view,
)

__all__ = [
    "alloc_storage",
    "alloc_tensor",
    "call_dps_packed",
    "count_threads",
    "kill_storage",
    "kill_tensor",
    "view",
]
