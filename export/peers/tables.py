"""Layers that the generators of other talking faces run for one frame, from their papers and published code.

Only convolutions, linear layers and attention: norms, activations, sampling and steps run once per photo or per
sentence are left out, so a real network takes longer. Each distinct layer is listed once, with its number of runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from export.peers.layers import Attention, Conv, Layer, Linear

Table = Mapping[Layer, int]


def wav2lip() -> Table:
    """List Wav2Lip's generator for 96 x 96 pixels (Prajwal et al., A Lip Sync Expert Is All You Need, 2020)."""
    layers: list[Layer] = [Conv(6, 16, (96, 96), 7)]
    before, side = 16, 96
    for channels, same in ((32, 2), (64, 3), (128, 2), (256, 2), (512, 1)):  # the face's encoder
        layers.append(Conv(before, channels, (side, side), stride=2))
        side //= 2
        layers += [Conv(channels, channels, (side, side))] * same
        before = channels
    layers += [Conv(512, 512, (3, 3), pad=0), Conv(512, 512, (1, 1), 1)]
    layers += [Conv(1, 32, (80, 16)), *[Conv(32, 32, (80, 16))] * 2]  # the sound's encoder
    layers += [Conv(32, 64, (27, 16)), *[Conv(64, 64, (27, 16))] * 2]
    layers += [Conv(64, 128, (9, 6)), *[Conv(128, 128, (9, 6))] * 2]
    layers += [Conv(128, 256, (3, 3)), Conv(256, 256, (3, 3)), Conv(256, 512, (3, 3), pad=0), Conv(512, 512, (1, 1), 1)]
    layers += [Conv(512, 512, (1, 1), 1), Conv(1024, 512, (3, 3)), Conv(512, 512, (3, 3))]  # the decoder
    side = 3
    for inputs, channels in ((1024, 512), (768, 384), (512, 256), (320, 128), (160, 64)):
        layers.append(Conv(inputs, channels, (side, side), pad=1, up=True))
        side *= 2
        layers += [Conv(channels, channels, (side, side))] * 2
    return Counter([*layers, Conv(80, 32, (96, 96)), Conv(32, 3, (96, 96), 1)])


def liveportrait() -> Table:
    """List LivePortrait's warping module and SPADE decoder, 512 x 512 pixels (Guo et al., LivePortrait, 2024; sizes as
    in face-vid2vid, Wang et al., 2021, with 21 keypoints)."""
    volume = (16, 64, 64)
    layers: list[Layer] = [Conv(32, 4, volume, 1)]
    shown = 22 * 5
    widths, sides = (shown, 64, 128, 256, 512, 1024), (64, 32, 16, 8, 4, 2)
    for level in range(5):
        layers.append(Conv(widths[level], widths[level + 1], (16, sides[level], sides[level])))
    below = 1024
    for level in reversed(range(5)):
        made = (32, 64, 128, 256, 512)[level]
        layers.append(Conv(below, made, (16, sides[level], sides[level])))
        below = made + widths[level]
    layers += [Conv(below, 22, volume, 7), Conv(below * 16, 1, (64, 64), 7)]
    layers += [Conv(512, 256, (64, 64)), Conv(256, 256, (64, 64), 1), Conv(256, 512, (64, 64))]
    blocks = [*[(512, 512, 64)] * 6, (512, 256, 128), (256, 64, 256)]
    for inputs, outputs, side in blocks:
        layers += _spade_block(inputs, outputs, (side, side))
    return Counter([*layers, Conv(64, 12, (256, 256))])


def _spade_block(inputs: int, outputs: int, size: tuple[int, int]) -> Iterable[Layer]:
    middle = min(inputs, outputs)
    yield from (Conv(inputs, middle, size), Conv(middle, outputs, size))
    normed = [inputs, middle]
    if inputs != outputs:
        yield Conv(inputs, outputs, size, 1)
        normed.append(inputs)
    for channels in normed:
        yield from (Conv(256, 128, size), Conv(128, channels, size), Conv(128, channels, size))


def musetalk() -> Table:
    """List MuseTalk's U-Net, one step over 32 x 32 latents, and the decoder to 256 x 256 pixels (Zhang et al.,
    MuseTalk, 2024; sizes as in Stable Diffusion 1, Rombach et al., 2022, with 384 channels of sound)."""
    return Counter([*_unet(), *_vae_decoder()])


def _unet() -> Iterable[Layer]:
    yield Conv(8, 320, (32, 32))
    for side, inputs, channels in ((32, 320, 320), (16, 320, 640), (8, 640, 1280), (4, 1280, 1280)):
        for before in (inputs, channels):
            yield from _residual(before, channels, side)
            if side > 4:
                yield from _transformer(channels, side)
        if side > 4:
            yield Conv(channels, channels, (side, side), stride=2)
    yield from (*_residual(1280, 1280, 4), *_transformer(1280, 4), *_residual(1280, 1280, 4))
    for side, joined, channels in (
        (4, (2560, 2560, 2560), 1280),
        (8, (2560, 2560, 1920), 1280),
        (16, (1920, 1280, 960), 640),
        (32, (960, 640, 640), 320),
    ):
        for before in joined:
            yield from _residual(before, channels, side)
            if side > 4:
                yield from _transformer(channels, side)
        if side < 32:
            yield Conv(channels, channels, (2 * side, 2 * side))
    yield Conv(320, 4, (32, 32))


def _residual(inputs: int, outputs: int, side: int) -> Iterable[Layer]:
    yield from (Conv(inputs, outputs, (side, side)), Conv(outputs, outputs, (side, side)))
    if inputs != outputs:
        yield Conv(inputs, outputs, (side, side), 1)


def _transformer(channels: int, side: int) -> Iterable[Layer]:
    """Yield attention to the picture, attention to 50 tokens of sound, and a gated layer of four times the width."""
    tokens, sound = side * side, 50
    yield from [Linear(channels, channels, tokens)] * (2 + 4 + 2)
    yield from [Linear(384, channels, sound)] * 2
    yield from (Attention(channels, tokens, tokens), Attention(channels, tokens, sound))
    yield from (Linear(channels, 8 * channels, tokens), Linear(4 * channels, channels, tokens))


def _vae_decoder() -> Iterable[Layer]:
    yield from (Conv(4, 4, (32, 32), 1), Conv(4, 512, (32, 32)))
    yield from [*_residual(512, 512, 32), *_residual(512, 512, 32)]
    yield from [Linear(512, 512, 1024)] * 4
    yield Attention(512, 1024, 1024, heads=1)
    for side, inputs, channels in ((32, 512, 512), (64, 512, 512), (128, 512, 256), (256, 256, 128)):
        for before in (inputs, channels, channels):
            yield from _residual(before, channels, side)
        if side < 256:
            yield Conv(channels, channels, (2 * side, 2 * side))
    yield Conv(128, 3, (256, 256))


PEERS: Mapping[str, Callable[[], Table]] = {
    "Wav2Lip, 96 pixels": wav2lip,
    "LivePortrait's warp and decoder, 512 pixels": liveportrait,
    "MuseTalk's U-Net and decoder, 256 pixels": musetalk,
}
