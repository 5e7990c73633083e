"""The contraction engine: sums of products of two tensors, from packed panels and register tiles.

================= =======================================================================================
``match``         which loops are rows, columns, steps of the sum and a batch
``neighbours``    the loops before and after the contraction, for some of the rows
``lower``         a kernel as calls of the engine between those loops
``intrinsics``    the calls, as numba sees them
``core``          what is called: one small library for each dtype, of the functions of the modules below
``blocks``        products of packed panels
``tiles``         the product of two packed panels in registers
``packing``       the packing of panels
``transposition`` squares of vectors, in registers
``numbers``       elements of operands, panels and results, and their products
``operands``      operands evenly spaced, or given by tables of offsets
``direct``        products without packing, for few rows
``tile``          sizes, by the machine's vectors
``library``       functions that call each other by name
``emitter``       LLVM IR with loops and conditions
================= =======================================================================================
"""
