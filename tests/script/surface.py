"""The names a program uses, as ``relax``: what ``import relaxdsl as relax`` gives it."""

from types import ModuleType, SimpleNamespace

from relaxdsl.kernels import te
from relaxdsl.operators import catalog
from relaxdsl.trace import literals, packed_calls, statements
from relaxdsl.types import constructors, dims

relax = ModuleType("relax")
vars(relax).update(catalog.PUBLIC)
vars(relax).update({name: getattr(constructors, name) for name in ("Tensor", "Shape", "Prim", "Tuple", "Callable", "Any")})
for module, names in (
    (statements, ("emit_te", "call_tir", "match_cast", "dataflow", "output")),
    (packed_calls, ("call_packed", "call_pure_packed", "call_dps_packed")),
    (literals, ("const", "constant", "shape", "prim_value", "host", "extern")),
    (dims, ("dims",)),
):
    vars(relax).update({name: getattr(module, name) for name in names})
relax.nn = ModuleType("relax.nn")
vars(relax.nn).update(catalog.NN)
relax.te = te
