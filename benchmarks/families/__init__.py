"""The workloads, by family. Each is written once for every contender."""

from families import attention, convolution, elementwise, mlp, products, transformer

WORKLOADS = (
    *elementwise.WORKLOADS,
    *products.WORKLOADS,
    *mlp.WORKLOADS,
    *attention.WORKLOADS,
    *convolution.WORKLOADS,
    *transformer.WORKLOADS,
)
