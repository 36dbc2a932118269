"""Run the whole chain offline on a clip, from sound to frames, with all random draws given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.signal import savgol_filter

from export.parity.compare import Array
from export.parity.stages import Stages
from export.sadtalker.networks.pose import BLOCK, STYLES
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.mel import mel_spectrogram
from streamer.stages.mel_windows import clip_windows

PCM_SCALE = np.float32(1 / 32768)
EXPRESSION, POSE = 64, 6
CONTEXT = 13  # frames before and after that mappingNet sees
SMOOTHING_TAPS, SMOOTHING_ORDER = 13, 2  # Savitzky-Golay
FRAME = "frame_"


def run_clip(clip: Mapping[str, Array], stages: Stages) -> dict[str, Array]:
    """Run the chain on a clip; return its outputs by the names of `offline_clip.npz`.

    clip: pcm int16 [samples] at 16 kHz, ref [1, 70 or 73], blink [frames, 1], z [blocks, 1, 64], pose_style,
    coeff_scale, image uint8 [1, 3, S, S], and a frame_<i> for each frame to be rendered.
    """
    frames = len(clip["pcm"]) // SAMPLES_PER_FRAME
    samples = clip["pcm"][: frames * SAMPLES_PER_FRAME].astype(np.float32) * PCM_SCALE
    windows = clip_windows(samples)
    reference = clip["ref"].astype(np.float32)
    heard = {"mel": windows, "blink": clip["blink"], "reference_expression": reference[:, :EXPRESSION]}
    expression = stages.run("expression", heard)["expression"]
    pose = pose_track(windows, reference[:, EXPRESSION : EXPRESSION + POSE], clip["z"], int(clip["pose_style"]), stages)
    smooth = smoothed(pose)
    made = {"mel": mel_spectrogram(samples), "windows": windows[:, 0], "exp": expression}
    made |= {"pose_raw": pose, "pose_smooth": smooth}
    coefficients = np.concatenate([expression, smooth], 1) * clip["coeff_scale"].astype(np.float32)
    return made | _pictures(clip, coefficients, reference, stages)


def _pictures(clip: Mapping[str, Array], coefficients: Array, reference: Array, stages: Stages) -> dict[str, Array]:
    """Compute keypoints of all frames, and render the frames that the clip names."""
    appearance = dict(stages.run("appearance", {"portrait": picture(clip["image"])}))
    canonical = appearance.pop("canonical_keypoints")
    # The last three of 73 coefficients describe the crop: they are kept from the portrait.
    crop = np.repeat(reference[:, EXPRESSION + POSE :], len(coefficients), 0)
    driving = move(context_windows(np.concatenate([coefficients, crop], 1)), canonical, stages)["keypoints"]
    source = move(context_windows(reference), canonical, stages)["keypoints"]
    made = {"kp_canonical": canonical, "kp_source": source, "kp_driving": driving}
    wanted = [name for name in clip if name.startswith(FRAME)]
    return made | {name: render(appearance, source, driving, name, stages) for name in wanted}


def constants(image: Array, stages: Stages) -> dict[str, Array]:
    """Compute the render stage's constants of a portrait uint8 [1, 3, S, S]."""
    outputs = dict(stages.run("appearance", {"portrait": picture(image)}))
    del outputs["canonical_keypoints"]
    return outputs


def render(appearance: Mapping[str, Array], source: Array, driving: Array, name: str, stages: Stages) -> Array:
    """Render frame i of `name` = frame_<i>, [3, S, S]; driving: keypoints of all frames [n, 15, 3]."""
    index = int(name.removeprefix(FRAME))
    points = {"source_keypoints": source, "driving_keypoints": driving[index : index + 1]}
    return np.asarray(stages.run("render", {**appearance, **points})["image"][0])


def pose_track(windows: Array, reference: Array, latents: Array, style: int, stages: Stages) -> Array:
    """Compute the poses of all frames, [n, 1, 80, 16] -> [n, 6], offline: blocks of 32 from frame 1 on.

    Frame 0 is the reference pose. A shorter tail is computed from the clip's last 32 windows, so it overlaps the block
    before it; if the clip has fewer, the first is repeated.
    """
    one_hot = np.eye(STYLES, dtype=np.float32)[[style]]
    residuals = [np.zeros((min(1, len(windows)), POSE), np.float32)]
    heard = windows[1:]
    for block, start in enumerate(range(0, len(heard), BLOCK)):
        mel = heard[start : start + BLOCK]
        new = len(mel)
        if new < BLOCK:
            mel = heard[-BLOCK:]
            mel = np.concatenate([np.repeat(mel[:1], BLOCK - len(mel), 0), mel])
        given = {"mel": mel, "noise": latents[block], "style": one_hot, "reference_pose": reference}
        residuals.append(stages.run("pose", given)["residual"][-new:])
    return np.asarray(reference + np.concatenate(residuals), np.float32)


def smoothed(track: Array) -> Array:
    """Apply a Savitzky-Golay filter over frames to [n, k]; a shorter track uses the most taps that fit."""
    taps = min(SMOOTHING_TAPS, (len(track) - 1) // 2 * 2 + 1)
    if taps <= SMOOTHING_ORDER:
        return track
    return np.asarray(savgol_filter(track, taps, SMOOTHING_ORDER, axis=0), np.float32)


def context_windows(coefficients: Array) -> Array:
    """Gather each frame with its neighbours, [n, C] -> [n, C, 27]; indices are clamped to the clip."""
    offsets = np.arange(-CONTEXT, CONTEXT + 1)
    indices = np.clip(np.arange(len(coefficients))[:, None] + offsets, 0, len(coefficients) - 1)
    return np.ascontiguousarray(coefficients[indices].transpose(0, 2, 1), np.float32)


def move(windows: Array, canonical: Array, stages: Stages) -> Mapping[str, Array]:
    """Run the motion stage that matches the coefficient count of windows [n, C, 27], at their view."""
    free = np.zeros((len(windows), 3), np.float32)
    given = {"coefficients": windows, "canonical_keypoints": canonical, "view": free, "view_on": free}
    return stages.run("motion" if windows.shape[1] == EXPRESSION + POSE else "motion_full", given)


def picture(pixels: Array) -> Array:
    """Convert uint8 to float32 in 0..1."""
    return pixels.astype(np.float32) / 255
