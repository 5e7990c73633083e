"""What all tests share: no cache, and the names that every docstring's example may use."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

import numpy as np
import pytest

import relaxdsl

# Every run compiles what it tests, and leaves nothing in its user's home.
os.environ["RELAXDSL_CACHE"] = "0"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="relaxdsl-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """``np`` and ``relax``, as a user imports them."""
    doctest_namespace["np"] = np
    doctest_namespace["relax"] = relaxdsl
