"""Emulate a GPU's float16 on the CPU: accumulate in float32, round every result.

ONNX Runtime's CPU provider keeps float32 between the operators of a float16 graph, so it shows neither rounding nor
overflow. Here the result of every operation of the exported module is rounded (and its weights, once), like a tensor
core that multiplies float16 and accumulates in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from engines.chain import CompiledGraph, DeviceTensor, GraphRequest
from engines.chain import Tensor as Array
from engines.manifest import GraphSpec
from export.tools.onnx_file import GraphPlan


class HalfRounding(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, round every float32 result to float16; overflow becomes infinity."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and round its results."""
        return tree_map(_rounded, func(*args, **(kwargs or {})))


def _rounded(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.half().float()
    return value


class RoundedGraph:
    """`engines.chain.CompiledGraph`: an export plan's module, rounded where its graph is float16."""

    def __init__(self, plan: GraphPlan) -> None:
        self.plan = plan
        self.module = plan.gpu or plan.module
        if plan.half:
            self.module = copy.deepcopy(self.module)
            for parameter in self.module.parameters():
                parameter.data = _rounded(parameter.data)

    def request(self) -> GraphRequest:
        """Create a new set of inputs."""
        return _Request(self.module, self.plan)


class _Request:
    def __init__(self, module: nn.Module, plan: GraphPlan) -> None:
        self._module, self._plan = module.eval(), plan
        self._held: dict[str, Tensor] = {}

    def set(self, name: str, value: Array | DeviceTensor) -> None:
        self._held[name] = torch.from_numpy(np.array(value))

    def run(self) -> dict[str, Array]:
        """Compute the outputs by name from the inputs that were set, in half precision if the plan says so."""
        given = [self._held[name] for name in self._plan.inputs]
        with torch.no_grad():
            if self._plan.half:
                given = [_rounded(value) for value in given]
                with HalfRounding():  # type: ignore[no-untyped-call]
                    made = self._module(*given)
            else:
                made = self._module(*given)
        results = (made,) if isinstance(made, Tensor) else tuple(made)
        return {name: value.numpy() for name, value in zip(self._plan.outputs, results, strict=True)}


def rounded(plans: Sequence[GraphPlan]) -> Callable[[GraphSpec], CompiledGraph]:
    """Return a loader for `engines.chain.GraphChain` of the graphs written from `plans`."""
    by_name = {plan.name: plan for plan in plans}
    return lambda graph: RoundedGraph(by_name[graph.path.stem])
