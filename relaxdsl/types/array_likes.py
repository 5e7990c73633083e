"""Values that are no plain arrays: what they are called in messages, and what makes a plain array of one."""

from __future__ import annotations

from typing import Any

import numpy as np


def kind_of(value: Any) -> str:
    """The name of the value's kind, as messages show it."""
    return f"{'torch.' if is_of_torch(value) else ''}{type(value).__name__}"


def is_of_torch(value: Any) -> bool:
    """Whether it is a tensor of PyTorch, which is not imported for it."""
    is_torch = any(kind.__module__.partition(".")[0] == "torch" for kind in type(value).__mro__)
    return is_torch and hasattr(value, "detach")


def as_array(value: Any, written: str, dtype: str | None = None) -> str | None:
    """What to write for a plain array of the values, of ``dtype``; None where they are no numbers.

    Args:
        written: how the value is written.
    """
    if isinstance(value, np.ma.MaskedArray):
        return f"{written}.filled(value), with a value for what is masked"
    if is_of_torch(value):
        device = "" if value.device.type == "cpu" else ".cpu()"
        return f"{written}.detach(){device}.numpy()"
    if isinstance(value, np.ndarray):
        return f"np.asarray({written})"
    if not _holds_numbers(value):
        return None
    return f"np.asarray({written})" if dtype is None else f'np.asarray({written}, dtype="{dtype}")'


def _holds_numbers(value: Any) -> bool:
    if not (isinstance(value, list | tuple) or hasattr(value, "__array__") or hasattr(value, "__array_interface__")):
        return False
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except Exception:  # whatever the class of the value raises: it gives no array
        return False
