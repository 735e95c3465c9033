"""Debugging: watch a computation go wrong, and see what the tape holds.

Observers of the core and nothing else: what is here could be written outside the package.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tt_foundation.autograd import Leaf, Node
from tt_foundation.primitive import Phase, Primitive, observe
from tt_foundation.rows import Rows
from tt_foundation.tensor import Tensor

__all__ = ["GraphNode", "anomaly_mode", "graph_dot", "graph_nodes", "graph_text"]

_PACKAGE = str(Path(__file__).parent)


@contextmanager
def anomaly_mode() -> Iterator[None]:
    """Check every operation in the block, forward and backward, at a cost of a pass over every array.

    Raises:
        FloatingPointError: an operation, or the gradient of one, made a NaN that its inputs did not have; the message
            names it and where it was called.
        RuntimeError: an array that the tape kept was changed behind the library's back (through ``tensor.data``).
    """
    origins: WeakKeyDictionary[Node, str] = WeakKeyDictionary()
    checksums: WeakKeyDictionary[Node, list[int]] = WeakKeyDictionary()

    def watch(op: Any, phase: Phase, inputs: Sequence[Any], params: Mapping[str, Any], output: Any) -> None:
        if not isinstance(op, Primitive):
            return
        if phase == "forward" and output is not None:
            if _has_nan(output) and not any(_has_nan(x) for x in inputs):
                shapes = ", ".join(str(np.shape(x)) for x in inputs)
                raise FloatingPointError(f"{op.name} made a NaN from inputs of shape {shapes}, called at {_caller()}")
            if isinstance(output, Tensor) and isinstance(output.node, Node):
                origins[output.node] = _caller()
                checksums[output.node] = _checksums(output.node)
        elif phase == "backward":
            node, g = inputs
            origin = origins.get(node, "a place outside anomaly mode")
            if output is None:
                if node in checksums and checksums[node] != _checksums(node):
                    raise RuntimeError(
                        f"an array that {op.name} kept (called at {origin}) was changed through `data`: "
                        "write with the tensor's own operations"
                    )
            elif any(_has_nan(part) for part in output) and not _has_nan(g):
                raise FloatingPointError(f"the gradient of {op.name} made a NaN; it was called at {origin}")

    with observe(watch):
        yield


def _has_nan(value: Any) -> bool:
    array = value.data if isinstance(value, Tensor) else value.values if isinstance(value, Rows) else value
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and bool(np.isnan(array).any())


def _checksums(node: Node) -> list[int]:
    """A checksum of every array the node keeps."""
    values = [*(node.kept or ()), *node.inputs]
    return [zlib.crc32(np.ascontiguousarray(v).view(np.uint8).data) for v in values if type(v) is np.ndarray and v.size]


def _caller() -> str:
    """File and line of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class GraphNode:
    """One line of a drawn graph: an operation or a leaf, what it holds, and the keys of what it came from."""

    def __init__(self, key: int, node: Node | Leaf) -> None:
        self.key = key
        self.shape = node.shape
        self.dtype = node.dtype
        self.name = node.op.name if isinstance(node, Node) else "leaf"
        self.kept_bytes = _kept_bytes(node) if isinstance(node, Node) else 0
        self.parents: list[int] = []


def _kept_bytes(node: Node) -> int:
    """The bytes of the arrays that the tape keeps alive for a node, each counted once."""
    values = list(node.inputs)
    for value in node.kept or ():
        values.extend(value if isinstance(value, tuple) else [value])
    return sum({id(v): v.nbytes for v in values if isinstance(v, np.ndarray)}.values())


def graph_nodes(root: Tensor) -> list[GraphNode]:
    """The operations that ``root`` was made by, last first.

    Raises:
        ValueError: ``root`` requires no gradient, so that no operation was recorded.
    """
    if root.node is None:
        raise ValueError("nothing was recorded for this tensor: none of its inputs requires a gradient")
    seen: dict[Node | Leaf, GraphNode] = {}
    waiting: list[Node | Leaf] = [root.node]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen[node] = GraphNode(len(seen), node)
        if isinstance(node, Node):
            waiting.extend(reversed(node.parents))
    for node, line in seen.items():
        if isinstance(node, Node):
            line.parents = [seen[parent].key for parent in node.parents]
    return list(seen.values())


def graph_text(root: Tensor) -> str:
    """The graph as a table: key, operation, shape, bytes kept for the gradient, and where its inputs come from."""
    lines = [f"{'#':>4} {'operation':<20} {'shape':<18} {'kept bytes':>12}  from"]
    nodes = graph_nodes(root)
    for n in nodes:
        sources = ", ".join(map(str, n.parents))
        lines.append(f"{n.key:>4} {n.name:<20} {n.shape!s:<18} {n.kept_bytes:>12,}  {sources}".rstrip())
    lines.append(f"{'':>4} {'total':<20} {'':<18} {sum(n.kept_bytes for n in nodes):>12,}")
    return "\n".join(lines)


def graph_dot(root: Tensor) -> str:
    """The graph in the DOT language of Graphviz: ``dot -Tsvg`` draws it."""
    lines = ["digraph tape {", "  rankdir=BT; node [shape=box, fontname=monospace];"]
    for n in graph_nodes(root):
        style = ", style=filled, fillcolor=lightgrey" if n.name == "leaf" else ""
        label = f"{n.name}\\n{n.shape} {n.dtype}" + (f"\\nkeeps {n.kept_bytes:,} B" if n.kept_bytes else "")
        lines.append(f'  n{n.key} [label="{label}"{style}];')
        lines.extend(f"  n{parent} -> n{n.key};" for parent in n.parents)
    return "\n".join([*lines, "}"])
