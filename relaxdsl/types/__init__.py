"""Types: dtypes, symbolic sizes (dims) and proofs about them, tensor types and their lattice, and matching.

Layer 1: imports only :mod:`relaxdsl.errors` and the standard library (numpy for dtypes, sympy lazily for hard proofs).
"""
