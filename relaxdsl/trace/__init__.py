"""Building graphs from Python: the BlockBuilder, emit_te, calls of kernels and packed functions, the reference
interpreter.
"""
