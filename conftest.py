"""Names that every docstring's example may use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl


@pytest.fixture(autouse=True)
def names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """``np`` and ``relax``, as a user imports them."""
    doctest_namespace["np"] = np
    doctest_namespace["relax"] = relaxdsl
