"""Expression network of the starter family: a 400 ms mel window -> viseme fields -> the family's face units.

It replaces SadTalker's ExpNet and takes the same windows with more past. It has a fraction of the weights, because it
predicts ten numbers that drive a rig instead of 64 coefficients of a statistical face.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from engines.files import replacing
from export.starter.voices.visemes import FIELDS, REACHED, units, unsided
from streamer.core.rates import MEL_BANDS

WINDOW = 32  # mel frames: 0.4 s, the last 16 are SadTalker's window; the earlier ones show the speaker and the room
AHEAD = 3  # mel frames by which it ends later than SadTalker's, minus those that a student does not use (`unheard`)
UNHEARD = "unheard"  # key of the graph's metadata with their number
FRONT_LOSES = 10  # mel frames lost by convolutions without padding
# These fields are all or nothing, but the mean of uncertain guesses lies between: values up to the first bound count as
# 0, from the second as 1, smooth between. Dentals are hardly audible, and showing the tongue too often does no harm.
CERTAINTY = {"contact": (0.15, 0.55), "tuck": (0.09, 0.27), "rest": (0.15, 0.55), "tongue": (0.05, 0.10)}
MOST_GAIN = 1.75  # largest gain of a field by calibration
# Exponent on the gain. At 0.7 the gap between the lips, the sum of several fields, varies on held-out voices as it
# should; pictures show only about 0.85 of the keypoints' gap.
WIDENED = 0.95
KEPT_AT_REST = ("smile", "rest")  # a slight smile is part of the neutral face


def _down(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class FieldNet(nn.Module):
    """mel [n, 1, 80, WINDOW], -4..4 -> viseme fields [n, len(FIELDS)], about 0..1, unbounded.

    The front part has no padding or stride in time, so that in training it runs once over a stretch of speech with many
    overlapping windows, with exactly the values of single windows.

    unheard: mel frames at the window's end that it does not use. Its windows start that much earlier, and it skips that
    many of their first frames, so that its weights mean the same as those of a network that uses all.
    """

    def __init__(self, unheard: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.unheard = unheard
        self.front = nn.Sequential(  # bands x mel frames: 80 x 32
            _down(1, 32, (5, 5), (2, 1), (2, 0)),  # 40 x 28
            _down(32, 48, (3, 3), (2, 1), (1, 0)),  # 20 x 26
            _down(48, 64, (3, 3), (2, 1), (1, 0)),  # 10 x 24
            _down(64, 80, (3, 3), (2, 1), (1, 0)),  # 5 x 22
        )
        self.back = nn.Sequential(
            _down(80, 96, (3, 3), (1, 2), (1, 1)),  # 5 x 11
            _down(96, 128, (5, 3), (1, 2), (0, 1)),  # 1 x 6
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(128 * 6, 160),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(160, len(FIELDS)),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """[n, 1, 80, WINDOW] -> [n, len(FIELDS)]."""
        fields: Tensor = self.head(self.back(self.to_the_end(self.front(mel[..., self.unheard :] / 4))))
        return fields

    def to_the_end(self, seen: Tensor) -> Tensor:
        """Repeat the last of the front's features [n, channels, bands, t] for the unused mel frames."""
        return torch.cat([seen, *[seen[..., -1:]] * self.unheard], dim=-1) if self.unheard else seen

    def forward_runs(self, mel: Tensor, starts: Tensor) -> Tensor:
        """mel [n, 1, 80, t], starts [n, run] of windows in it -> [n, run, len(FIELDS)]; as `forward` of each window."""
        shared = self.front(mel / 4)
        at = starts[..., None] + torch.arange(self.unheard, WINDOW - FRONT_LOSES)
        row = torch.arange(len(mel))[:, None, None]
        windows = shared.permute(0, 3, 1, 2)[row, at].flatten(0, 1).permute(0, 2, 3, 1)
        fields: Tensor = self.head(self.back(self.to_the_end(windows))).unflatten(0, starts.shape)
        return fields


class ExpressionNet(nn.Module):
    """Exported network: mel [n, 1, 80, WINDOW] -> expression [n, len(names)], 0..1; units not driven by speech are 0.

    `gain` [len(FIELDS)] restores the fields' range that training narrowed (see `calibration`).
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
        # The fields' output for silence, subtracted so that a silent mouth is shut.
        rest = fields(silent_windows(1))[0].detach().clamp(min=0)
        self.register_buffer("rest", torch.where(torch.tensor([name in KEPT_AT_REST for name in FIELDS]), 0.0, rest))
        self.register_buffer("gain", gain)

    def forward(self, mel: Tensor) -> Tensor:
        """[n, 1, 80, WINDOW] -> [n, len(names)]."""
        values = ((self.fields(mel) - self.rest) * self.gain).clamp(0, 1)
        field = {name: values[:, i : i + 1] for i, name in enumerate(FIELDS)}
        for name, (no, yes) in CERTAINTY.items():
            x = ((field[name] - no) / (yes - no)).clamp(0, 1)
            field[name] = x * x * (3 - 2 * x)
        return torch.cat(list(units(field).values()), dim=1) @ self.spread


def unheard_by(model: onnx.ModelProto) -> int:
    """Return how many mel frames at the end of the full window a graph does not use (see `FieldNet`)."""
    return next((int(entry.value) for entry in model.metadata_props if entry.key == UNHEARD), 0)


def read_expression(path: Path, names: Sequence[str]) -> ExpressionNet:
    """Read a graph written by `export_expression`, to export it with other `units`.

    Raises:
        ValueError: the graph is not of this network.
    """
    model = onnx.load(path)
    arrays = {entry.name: torch.tensor(to_array(entry)) for entry in model.graph.initializer}
    convolutions = [array for name, array in arrays.items() if name.startswith("onnx::Conv")]
    fields = FieldNet(unheard_by(model))
    state = fields.state_dict()
    steps = [f"{part}.{k}" for part in ("front", "back") for k in range(len(getattr(fields, part)))]
    if len(convolutions) != 2 * len(steps) or not {"rest", "gain", "fields.head.1.weight"} <= arrays.keys():
        raise ValueError(f"{path}: not a graph of the starter's expression network")
    for step, weight, bias in zip(steps, convolutions[::2], convolutions[1::2], strict=True):
        # The graph's convolutions have their norms folded in: the remaining norms do nothing.
        state |= {f"{step}.0.weight": weight, f"{step}.1.bias": bias}
        state[f"{step}.1.running_var"] = torch.full_like(bias, 1 - nn.BatchNorm2d(1).eps)
    state |= {name.removeprefix("fields."): array for name, array in arrays.items() if name.startswith("fields.head")}
    fields.load_state_dict(state)
    net = ExpressionNet(fields, names, arrays["gain"])
    net.rest.copy_(arrays["rest"])
    return net


@torch.no_grad()
def renormalise(fields: FieldNet, mel: Tensor) -> None:
    """Restore the batch norms of a network read from its graph, from windows [n, 1, 80, WINDOW], for further training.

    Its outputs do not change.
    """
    x = mel[..., fields.unheard :] / 4
    for step in (*fields.front, *fields.back):
        convolution, norm, activation = step  # type: ignore[misc]
        x = convolution(fields.to_the_end(x) if step is fields.back[0] else x)
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3))
        shift = norm.bias - norm.running_mean * norm.weight / (norm.running_var + norm.eps).sqrt()
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + mean * scale)
        x = activation(scale[:, None, None] * x + shift[:, None, None])


def calibration(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute a gain per field from predictions and targets [n, len(FIELDS)].

    An uncertain network predicts near the mean, which looks like mumbling; the gain restores the targets' spread.
    Closures keep their probability.
    """
    gain = (target.std(dim=0) / predicted.std(dim=0).clamp(min=1e-6)).clamp(1.0, MOST_GAIN) ** WIDENED
    return torch.where(torch.tensor([name in REACHED for name in FIELDS]), 1.0, gain)


def silent_windows(count: int) -> Tensor:
    """Make mel windows of digital silence, [count, 1, 80, WINDOW]."""
    return torch.full((count, 1, MEL_BANDS, WINDOW), -4.0)


def export_expression(net: ExpressionNet, path: Path) -> None:
    """Write the ONNX graph (opset 17, float32, input `mel`, output `expression`, any batch) atomically."""
    net.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
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
        if net.fields.unheard:
            model = onnx.load(str(partial))
            onnx.helper.set_model_props(model, {UNHEARD: str(net.fields.unheard)})
            onnx.save(model, str(partial))
