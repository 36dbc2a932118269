"""One step of gradient descent on a network, with a moving average of its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST_GRADIENT = 1.0  # norm over all parameters
SLOW = 8  # steps in which the average's memory grows by one step, up to its limit


def descend(
    optimizer: torch.optim.Optimizer, model: nn.Module, average: nn.Module, loss: Tensor, step: int, memory: float
) -> None:
    """Change `model` to lower `loss` (a scalar of its graph), and update the parameters of `average`.

    step: its number, from 1; memory: share of the average kept in a step (Polyak and Juditsky, 1992), smaller in the
    first steps, when there is little history.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
    optimizer.step()
    kept = min(memory, 1 - 1 / (step / SLOW + 2))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - kept)
