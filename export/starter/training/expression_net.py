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

WINDOW = 32  # mel frames: 0.4 s, of which the last 16 are SadTalker's window; the past tells the speaker and the room
AHEAD = 3  # mel frames that it ends later than SadTalker's, less those that a student does without
UNHEARD = "unheard"  # the graph's metadata: how many those are
FRONT_LOSES = 10  # mel frames, to convolutions without padding
# What is reached is all or nothing, but the mean of uncertain guesses is neither: this much certainty counts as not,
# and as reached; smooth between. A dental is hardly heard, and a tongue that shows too often does no harm.
CERTAINTY = {"contact": (0.15, 0.55), "tuck": (0.09, 0.27), "rest": (0.15, 0.55), "tongue": (0.05, 0.10)}
MOST_GAIN = 1.75  # of what calibration may add to a field's range
# Exponent on it. The gap between the lips, in which several fields add up, is as varied on held-out voices as it should
# be at 0.7; pictures show some 0.85 of the keypoints' gap.
WIDENED = 0.95
KEPT_AT_REST = ("smile", "rest")  # a trace of a smile belongs to the neutral face


def _down(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class FieldNet(nn.Module):
    """mel [n, 1, 80, WINDOW], -4..4 -> viseme fields [n, len(FIELDS)], about 0..1, unbounded.

    The front part does not pad or stride in time, so that in training it runs once over a stretch of speech in which
    many windows overlap, with exactly the values that single windows give.

    unheard: mel frames of the end that it does without. Its windows lie as much earlier, and it does not look at so
    many of their first frames, so that its weights mean the same as those of a network that hears all.
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
        """Repeat the last of the front's features [n, channels, bands, t] for the mel frames that are not heard."""
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
    """What is exported: mel [n, 1, 80, WINDOW] -> expression [n, len(names)], 0..1, units speech does not drive at 0.

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
        """[n, 1, 80, WINDOW] -> [n, len(names)]."""
        values = ((self.fields(mel) - self.rest) * self.gain).clamp(0, 1)
        field = {name: values[:, i : i + 1] for i, name in enumerate(FIELDS)}
        for name, (no, yes) in CERTAINTY.items():
            x = ((field[name] - no) / (yes - no)).clamp(0, 1)
            field[name] = x * x * (3 - 2 * x)
        return torch.cat(list(units(field).values()), dim=1) @ self.spread


def unheard_by(model: onnx.ModelProto) -> int:
    """Return how many mel frames of the end of the full window a graph does without (see `FieldNet`)."""
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
        # The graph's convolutions have taken their norm in: what is left of it changes nothing.
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

    An uncertain network predicts near the mean, which looks like mumbling; the gain matches the targets' spread.
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
