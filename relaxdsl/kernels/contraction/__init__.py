"""The contraction engine: sums of products of two tensors, from packed panels and register tiles; see :mod:`.core`."""
