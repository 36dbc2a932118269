"""How a face behaves: one set of options on the command line and in a session's address, refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle import Avatar
from streamer.core.errors import ConfigError
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.pipeline import CoefficientStream
from streamer.stages import face_options
from tests.fakes.sound import speech_like

CLIP = speech_like(2.0)


def coefficients(tiny: Engines, dot: Avatar, **face: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    options = PipelineOptions(face=FaceOptions(**face))  # type: ignore[arg-type]
    stream = CoefficientStream(tiny, dot, options)
    return np.stack([window.values[:, 1] for window in stream.push(CLIP) + stream.flush()])


def test_the_plain_family_can_be_still_and_scaled_and_turned(tiny: Engines, dot: Avatar) -> None:
    plain = coefficients(tiny, dot)
    still = coefficients(tiny, dot, still=True)
    assert np.abs(plain[:, 4:]).max() > 0.1
    assert not still[:, 4:].any()
    np.testing.assert_array_equal(still[:, :4], plain[:, :4])
    weaker = coefficients(tiny, dot, expression_scale=0.5)
    np.testing.assert_allclose(weaker[:, 2:4], 0.5 * plain[:, 2:4], atol=1e-6)  # open and wide: no idle life in them
    turned = coefficients(tiny, dot, yaw=9.0, pitch=-4.0)
    np.testing.assert_array_equal(turned[:, 4:6], np.repeat([[-4.0, 9.0]], len(turned), axis=0))
    np.testing.assert_array_equal(turned[:, 6:], plain[:, 6:])


@pytest.mark.parametrize(
    ("face", "message"),
    [
        (FaceOptions(pose_style=3), "pose style 3; family tiny has no styles of head motion"),
        (FaceOptions(pose_mode="offline"), "pose mode offline; the head of family tiny has only the mode live"),
        (FaceOptions(yaw=11.0), "yaw of 11 degrees; tiny takes -10 to 10"),
        (FaceOptions(pitch=float("nan")), "pitch of nan degrees; tiny takes -8 to 8"),
        (FaceOptions(emotion="happy"), "emotion happy; the expression of family tiny has no face units"),
        (FaceOptions(expression_scale=-1.0), "expression scale -1, expected 0 to 3"),
        (
            FaceOptions(background="none"),
            "background 'none', expected a colour such as #00b140, blur, transparent or none",
        ),
        (
            FaceOptions(background="green"),
            "background 'green', expected a colour such as #00b140, blur, transparent or none",
        ),
    ],
)
def test_options_the_family_lacks_are_refused(tiny: Engines, dot: Avatar, face: FaceOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        CoefficientStream(tiny, dot, PipelineOptions(face=face))


def test_a_family_with_styles_knows_how_many(vae_folder: Path) -> None:
    manifest = Manifest.load(vae_folder)
    face_options.check(manifest, FaceOptions(pose_style=3, pose_mode="offline", yaw=45.0))
    with pytest.raises(ConfigError, match="pose style 4; family tiny-vae has 0 to 3"):
        face_options.check(manifest, FaceOptions(pose_style=4))


def test_a_file_gets_the_reference_s_pose_where_there_is_one(vae_folder: Path, tiny_folder: Path) -> None:
    vae, tiny = Manifest.load(vae_folder), Manifest.load(tiny_folder)
    assert face_options.for_a_file(vae, FaceOptions(yaw=1.0)) == FaceOptions(yaw=1.0, pose_mode="offline")
    assert face_options.for_a_file(vae, FaceOptions(pose_mode="live")).pose_mode == "live"
    assert face_options.for_a_file(tiny, FaceOptions()) == FaceOptions()


def test_a_session_s_own_options_come_before_the_server_s() -> None:
    server = FaceOptions(still=True, yaw=5.0)
    assert face_options.of_query({"still": "0", "roll": "1e0", "other": "x"}, server) == FaceOptions(yaw=5.0, roll=1.0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"still": "yes"}, "still is 'yes', expected 0 or 1"),
        ({"pose-style": "-1"}, "pose-style is '-1', expected the number of a style, from 0"),
        ({"pose-style": "²"}, "pose-style is '²', expected the number of a style"),
        ({"yaw": "nan"}, "yaw is 'nan', expected a number from -90 to 90"),
        ({"expression-scale": "inf"}, "expression-scale is 'inf', expected a number from 0 to 3"),
        ({"yaw": "1" * 5000}, "yaw is '11111111111111111111', expected a number"),
        ({"pose-mode": "offline"}, "pose-mode offline waits for later sound and is for `avatar render` only"),
        ({"pose-mode": "both"}, "pose-mode is 'both', expected live or offline"),
        (
            {"background": "green"},
            "background is 'green', expected a colour such as #00b140, blur, transparent or none",
        ),
        ({"background": "#00b1400"}, "background is '#00b1400', expected a colour"),
        ({"background": ""}, "background is '', expected a colour"),
    ],
)
def test_values_that_are_none_are_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        face_options.of_query(query, FaceOptions())
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 150
