"""``relax.builtin``: tensors with memory of their own, as the memory stage of a compiled function prints them."""

from relaxdsl.trace.memory_calls import alloc_own as alloc_tensor

__all__ = ["alloc_tensor"]
