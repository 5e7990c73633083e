"""The contraction engine: sums of products of two tensors, from packed panels and register tiles.

=================== ====================================================================================================
``match``           which variables are rows, columns, steps of the sum and a batch
``roles``           which variables of other loops walk along them
``split``           variables that stand for two
``chain``           a kernel as plain loops and chains: contractions with what runs block by block with them
``restrict``        the stages of a chain for some rows and columns
``support``         columns that conditions leave out
``left_out``        what these would have added: 0, or NaN
``pieces``          which pieces of a chain threads share, and what runs for each
``calls``           the calls for a piece, tables of offsets, memory for panels
``factors``         factors that are computed become operands
``producers``       right operands that need not be in memory, and how their elements are made
``evaluation``      loops that evaluate a rectangle of such an operand
``evaluated_calls`` the calls for it, rectangle by rectangle
``plain``           loops that are not the engine's
``lower``           a kernel in phases
``intrinsics``      the calls, as numba sees them
``core``            what is called: one small library for each dtype, of the functions of the modules below
``blocks``          products of packed panels
``tiles``           the product of two packed panels in registers
``packing``         the packing of panels
``transposition``   squares of vectors, in registers
``numbers``         elements of operands, panels and results, and their products
``operands``        operands evenly spaced, or given by tables of offsets
``direct``          products without packing, for few rows
``tile``            sizes, by the machine's vectors
``library``         functions that call each other by name
``emitter``         LLVM IR with loops and conditions
=================== ====================================================================================================
"""
