"""The IRs as plain data: graph, scalar expressions, tensor expressions (TE), loops (TensorIR), module; printing and
checking.
"""
