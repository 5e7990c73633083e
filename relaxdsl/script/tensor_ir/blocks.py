"""Blocks in kernels: ``with T.block("name"):`` and ``with T.init():``."""

from __future__ import annotations

import ast

from relaxdsl import tir
from relaxdsl.errors import ScriptError
from relaxdsl.ir.loops import Block
from relaxdsl.script.interpreter import Flow
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter, OpenBlock, kernel_statement


@kernel_statement(ast.With)
def read_with(interp: KernelInterpreter, node: ast.With) -> Flow:
    """A block, or what it starts a reduction with."""
    if len(node.items) != 1 or not isinstance(node.items[0].context_expr, ast.Call):
        raise _unknown_with(interp, node)
    call = node.items[0].context_expr
    construct = interp.evaluate(call.func)
    if node.items[0].optional_vars is not None:
        raise ScriptError("a block has no name after `as`", hint='write `with T.block("name"):`')
    if construct is tir.block:
        _read_block(interp, node, call)
    elif construct is tir.init:
        _read_init(interp, node)
    else:
        raise _unknown_with(interp, node)
    return Flow.NEXT


def _unknown_with(interp: KernelInterpreter, node: ast.With) -> ScriptError:
    context = node.items[0].context_expr
    is_init = not isinstance(context, ast.Call) and interp.evaluate(context) is tir.init
    hint = "write `with T.init():`" if is_init else 'write `with T.block("name"):`'
    return ScriptError("`with` begins a block in a kernel", hint=hint, span=interp.source.span(context))


def _read_block(interp: KernelInterpreter, node: ast.With, call: ast.Call) -> None:
    name = interp.evaluate(call.args[0]) if len(call.args) == 1 and not call.keywords else "block"
    if len(call.args) > 1 or call.keywords or not isinstance(name, str):
        raise ScriptError("T.block takes a name", hint='write `with T.block("name"):`')
    if interp.block is not None:
        raise ScriptError("blocks do not stand in blocks", hint="write loops in the block, or two blocks in order")
    opened = OpenBlock(name)
    interp.block, interp.hidden = opened, {each: loop.shown for each, loop in interp.loops.items()}
    try:
        with interp.inside_loops({}):
            body = interp.read(node.body, "block", opened.body)
    finally:
        interp.block, interp.hidden = None, {}
    block = Block(name, tuple(opened.axes), body, opened.init)
    interp.places[block] = interp.source.span(call)
    interp.body.append(block)


def _read_init(interp: KernelInterpreter, node: ast.With) -> None:
    block = interp.block
    if block is None or interp.is_in_init:
        raise ScriptError("T.init stands in a block", hint='write it inside `with T.block("name"):`')
    if not interp.is_at_start_of_block():
        raise ScriptError("T.init stands before the block's statements", hint="move it up, below the axes")
    if block.init is not None:
        raise ScriptError(f"the block {block.name} has a T.init already", hint="put all first values into one")
    if not any(axis.kind == "reduce" for axis in block.axes):
        raise ScriptError(
            f"the block {block.name} has no reduction axis, so there is no first step",
            hint='bind one above: vk = T.axis.reduce(n, k), or "R" in T.axis.remap',
        )
    interp.is_in_init = True
    try:
        block.init = interp.read(node.body, "T.init")
    finally:
        interp.is_in_init = False
