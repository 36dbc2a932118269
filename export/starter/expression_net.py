"""The starter's expression network: a 200 ms mel window -> viseme fields -> the family's face units.

It stands where SadTalker's ExpNet stands and takes the same windows, but has a tenth of its weights, because it
predicts ten numbers that drive a rig in place of 64 coefficients of a statistical face.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.starter.visemes import FIELDS, REACHED, units, unsided
from streamer.config import MEL_BANDS, WINDOW_MEL_FRAMES

# A closure of the lips is all or nothing, but the mean of uncertain guesses is neither: this much certainty counts as
# open, and as closed; smooth between.
OPEN_BELOW, CLOSED_ABOVE = 0.15, 0.55
MOST_GAIN = 1.75  # of what calibration may add to a field's range
KEPT_AT_REST = ("smile",)  # a trace of it belongs to the neutral face


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


def _down(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class FieldNet(nn.Module):
    """mel [n, 1, 80, 16], -4..4 -> viseme fields [n, len(FIELDS)], about 0..1, unbounded."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = nn.Sequential(  # bands x mel frames: 80 x 16
            _down(1, 24, (5, 5), (2, 2)),  # 40 x 8
            _down(24, 40, (3, 3), (2, 1)),  # 20 x 8
            _down(40, 64, (3, 3), (2, 2)),  # 10 x 4
            _down(64, 96, (3, 3), (2, 1)),  # 5 x 4
            _Residual(96),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(96 * 5 * 4, 128),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(128, len(FIELDS)),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """[n, 1, 80, 16] -> [n, len(FIELDS)]."""
        fields: Tensor = self.head(self.body(mel / 4))
        return fields


class ExpressionNet(nn.Module):
    """What is exported: mel [n, 1, 80, 16] -> expression [n, len(names)], 0..1, units speech does not drive at 0.

    `gain` [len(FIELDS)] widens the fields again that training narrowed (see `calibration`).
    """

    spread: Tensor
    rest: Tensor
    gain: Tensor

    def __init__(self, fields: FieldNet, names: Sequence[str], gain: Tensor) -> None:
        super().__init__()
        self.fields = fields.eval()
        driven = list(units({name: torch.zeros(1) for name in FIELDS}))
        spread = torch.tensor([[float(unsided(name) == unit) for name in names] for unit in driven])
        self.register_buffer("spread", spread)
        # What is left over in silence, so that a silent mouth is shut.
        rest = fields(silent_windows(1))[0].detach().clamp(min=0)
        self.register_buffer("rest", torch.where(torch.tensor([name in KEPT_AT_REST for name in FIELDS]), 0.0, rest))
        self.register_buffer("gain", gain)

    def forward(self, mel: Tensor) -> Tensor:
        """[n, 1, 80, 16] -> [n, len(names)]."""
        values = ((self.fields(mel) - self.rest) * self.gain).clamp(0, 1)
        field = {name: values[:, i : i + 1] for i, name in enumerate(FIELDS)}
        for name in REACHED:
            x = ((field[name] - OPEN_BELOW) / (CLOSED_ABOVE - OPEN_BELOW)).clamp(0, 1)
            field[name] = x * x * (3 - 2 * x)
        return torch.cat(list(units(field).values()), dim=1) @ self.spread


def calibration(predicted: Tensor, target: Tensor) -> Tensor:
    """Gain per field from predictions and targets [n, len(FIELDS)]: a network that is unsure answers near the mean,
    which reads as mumbling; matching the spread of the targets makes up for it. Closures keep their probability.
    """
    gain = (target.std(dim=0) / predicted.std(dim=0).clamp(min=1e-6)).clamp(1.0, MOST_GAIN)
    return torch.where(torch.tensor([name in REACHED for name in FIELDS]), 1.0, gain)


def silent_windows(count: int) -> Tensor:
    """Mel windows of digital silence, [count, 1, 80, 16]."""
    return torch.full((count, 1, MEL_BANDS, WINDOW_MEL_FRAMES), -4.0)


def export_expression(net: ExpressionNet, path: Path) -> None:
    """Write the ONNX graph (opset 17, float32, input `mel`, output `expression`, any batch), whole or not at all."""
    net.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.onnx.export(
        net,
        (silent_windows(2),),
        str(partial),
        input_names=["mel"],
        output_names=["expression"],
        dynamic_axes={"mel": {0: "n"}, "expression": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    partial.rename(path)
