"""The contraction engine: sums of products of two tensors, from packed panels and register tiles.

============== =======================================================================================
``match``      which loops are rows, columns, steps of the sum and a batch
``neighbours`` the loops before and after the contraction, for some of the rows
``lower``      a kernel as calls of the engine between those loops
``intrinsics`` the calls, as numba sees them
``core``       what is called: one small library for each dtype, of the functions of the modules below
``tiles``      the product of two packed panels in registers, and the packing
``direct``     products without packing, for few rows
``tile``       sizes, by the machine's vectors
``emitter``    LLVM IR with loops and conditions
============== =======================================================================================
"""
