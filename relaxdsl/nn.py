"""``relax.nn``: the operators of neural networks."""

from relaxdsl.operators.attention import attention
from relaxdsl.operators.convolution import conv1d, conv2d, conv3d
from relaxdsl.operators.nn import (
    gelu,
    gelu_tanh,
    layer_norm,
    leakyrelu,
    log_softmax,
    relu,
    rms_norm,
    silu,
    softmax,
    softplus,
)

__all__ = [
    "attention",
    "conv1d",
    "conv2d",
    "conv3d",
    "gelu",
    "gelu_tanh",
    "layer_norm",
    "leakyrelu",
    "log_softmax",
    "relu",
    "rms_norm",
    "silu",
    "softmax",
    "softplus",
]
