"""Products and softmaxes of many sizes, for the plot of ratio against size."""

from workload import Workload

from families.elementwise import softmax_jax, softmax_numpy, softmax_relax, softmax_torch
from families.products import matmul_any, matmul_relax

MATMUL_SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
SOFTMAX_WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
SOFTMAX_ROWS = 512


def _matmul(size):
    shapes = ((size, size), (size, size))
    return Workload(str(size), shapes, {"": matmul_relax}, matmul_any, (matmul_any,), (matmul_any,))


def _softmax(width):
    shapes = ((SOFTMAX_ROWS, width),)
    return Workload(str(width), shapes, {"": softmax_relax}, softmax_numpy, (softmax_torch,), (softmax_jax,))


# By the title of the panel; a workload's name is its size.
CURVES = {
    "matmul of n × n": tuple(map(_matmul, MATMUL_SIZES)),
    f"softmax of {SOFTMAX_ROWS} × n": tuple(map(_softmax, SOFTMAX_WIDTHS)),
}
