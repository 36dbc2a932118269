"""Save and load small weight files: float16 arrays in an `.npz`, without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.files import replacing


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a state dict as float16 arrays, atomically. Batch-norm variances must fit: they stay float32."""
    arrays = {}
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().numpy()
        keep = name.endswith(("running_var", "num_batches_tracked"))
        arrays[name] = array if keep else array.astype(np.float16)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_weights(path: Path, model: nn.Module) -> None:
    """Load a weight file strictly. Raises ValueError naming missing or misshapen tensors."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    wanted = model.state_dict()
    wrong = [name for name in wanted if name not in arrays or arrays[name].shape != tuple(wanted[name].shape)]
    extra = sorted(set(arrays) - set(wanted))
    if wrong or extra:
        raise ValueError(f"{path}: missing or misshapen: {wrong or 'none'}; unknown: {extra or 'none'}")
    model.load_state_dict({name: torch.from_numpy(array).to(wanted[name].dtype) for name, array in arrays.items()})
