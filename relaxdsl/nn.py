"""``relax.nn``: the operators of neural networks."""

from relaxdsl.operators.catalog import NN

globals().update(NN)
