"""Kernels that the cases of several primitives schedule."""

from __future__ import annotations

import relaxdsl as relax
from relaxdsl import tir as T

m, n, p = relax.dims("m n p")


@relax.prim_func
def changes_its_input(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for a in range(n):
        with T.block("first"):
            va = T.axis.spatial(n, a)
            y[va] = x[va]
    for b in range(n):
        with T.block("t"):
            vb = T.axis.spatial(n, b)
            t[vb] = y[vb]
    for c in range(n):
        with T.block("second"):
            vc = T.axis.spatial(n, c)
            y[vc] = x[vc] * T.float32(2.0)
    for d in range(n):
        with T.block("third"):
            vd = T.axis.spatial(n, d)
            y[vd] = y[vd] + t[vd]


@relax.prim_func
def odd_stages(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((n,), "float32")
    w = T.alloc_buffer((n,), "float32")
    v = T.alloc_buffer((n,), "float32")
    for e in range(n):
        with T.block("v"):
            ve = T.axis.spatial(n, e)
            v[ve] = x[ve]
    for a in range(n):
        with T.block("t"):
            va = T.axis.spatial(n, a)
            t[n - 1 - va] = x[va]
    for b in range(n):
        if b < n - 1:
            with T.block("u"):
                vb = T.axis.spatial(n, b)
                u[vb] = x[vb]
    for c in range(n):
        with T.block("w"):
            vc = T.axis.spatial(n, c)
            w[vc] = x[vc]
            y[vc] = x[vc]
    for d in range(n):
        with T.block("y"):
            vd = T.axis.spatial(n, d)
            y[vd] = y[vd] + t[vd] + u[vd] + w[T.int64(x[vd])]


@relax.prim_func
def gather(x: T.Buffer((n,), "float32"), at: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for a in range(n):
        with T.block("t"):
            va = T.axis.spatial(n, a)
            t[va] = x[va] * T.float32(2.0)
    for b in range(n):
        with T.block("y"):
            vb = T.axis.spatial(n, b)
            y[vb] = t[at[vb]]


@relax.prim_func
def mirrored(x: T.Buffer((n, n), "float32"), y: T.Buffer((n, n), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n, n), "float32")
    for a, b in T.grid(n, n):
        with T.block("t"):
            va, vb = T.axis.remap("SS", [a, b])
            t[va, vb] = x[va, vb]
    for c, d in T.grid(n, n):
        with T.block("y"):
            vc, vd = T.axis.remap("SS", [c, d])
            y[vc, vd] = t[vc, vd] + t[vd, vc]


@relax.prim_func
def rows_backwards(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m", "n"), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((m, n), "float32", scope="scratch")
    u = T.alloc_buffer((m, n), "float32", scope="scratch")
    for i in range(m):
        for j in range(n):
            with T.block("t"):
                a, b = T.axis.remap("SS", [i, j])
                t[a, b] = x[a, b]
        for k in range(n):
            with T.block("u"):
                c, d = T.axis.remap("SS", [i, k])
                u[c, d] = x[c, d] + T.float32(1.0)
    for r, s in T.grid(m, n):
        with T.block("y"):
            e, f = T.axis.remap("SS", [r, s])
            y[e, f] = t[m - 1 - e, f] + u[e, f]
