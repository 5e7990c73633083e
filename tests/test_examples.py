"""The examples compute what they say, at small sizes, and layers share their kernels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZES = {"width": 12, "hidden": 20}
HEADS = 3


@pytest.fixture(scope="module")
def transformer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("transformer", EXAMPLES / "transformer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_encoder_of_any_depth_is_numpys_and_compiles_no_more_kernels(transformer: ModuleType) -> None:
    compiled = {}
    for depth in (1, 12):
        encoder = transformer.make_encoder(depth, **SIZES, heads=HEADS, dtype="float64")
        layers = transformer.random_layers(depth, **SIZES, dtype="float64")
        for batch, length in ((2, 5), (1, 1), (3, 17), (1, 0)):
            x = np.random.default_rng(0).standard_normal((batch, length, 12))
            result = encoder(x, layers)
            if length:
                np.testing.assert_allclose(result, transformer.numpy_encoder(x, layers, HEADS), rtol=1e-10, atol=1e-12)
        compiled[depth] = {kernel.address for kernel in encoder._get_compiled().kernels}
        assert encoder.compile_count == 1
    assert compiled[12] == compiled[1]
