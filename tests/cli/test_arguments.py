"""Argument readers and the groups of options that commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from streamer.cli import cluster
from streamer.cli.arguments import add_face_options, face_options, port, server_address
from streamer.cli.main import main
from streamer.core.options import FaceOptions
from streamer.stages.face_options import of_query


def test_the_command_line_and_a_query_set_the_same_options() -> None:
    parser = argparse.ArgumentParser()
    add_face_options(parser, live=False)
    line = ["--still", "--pose-style", "7", "--expression-scale", "1.25", "--yaw", "-10", "--pose-mode", "live"]
    line += ["--background", "#00B140"]
    query = {"still": "1", "pose-style": "7", "expression-scale": "1.25", "yaw": "-10", "pose-mode": "live"}
    query |= {"background": "00b140"}
    asked = face_options(parser.parse_args(line))
    assert asked == of_query(query, FaceOptions())
    assert asked == FaceOptions(
        still=True, pose_style=7, expression_scale=1.25, yaw=-10.0, pose_mode="live", background="#00b140"
    )
    assert face_options(parser.parse_args([])) == FaceOptions()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--port", "99999"], "99999 found, a whole number from 0 to 65535 expected"),
        (["serve", "--threads", "0"], "0 found, a whole number from 1"),
        (["render", "--audio", "a", "--out", "b", "--seed", "-1"], "-1 found, a whole number from 0"),
        (["render", "--audio", "a", "--out", "b", "--lookahead", "much"], "much found, a whole number from 0"),
        (["render", "--audio", "a", "--out", "b", "--yaw", "far"], "far found, a number from -90 to 90 expected"),
        (["serve", "--pose-mode", "live"], "unrecognized arguments: --pose-mode live"),
        (["serve", "--port", "9" * 5000], "a whole number from 0 to 65535 expected"),
        (["camera", "--width", "641"], "641 found, an even number of pixels from 64 to 3840 expected"),
        (["render", "--audio", "a", "--out", "b", "--face", "0"], "0 found, a whole number from 1 to 999 expected"),
        (["bench", "--sessions", "1,x"], "1,x found, auto or a whole number from 1 to 64 expected"),
        (["bench", "--loss", "1,60"], "60 found, a percentage from 0 to 50 expected"),
        (["bench", "--seconds", "nan"], "nan found, a number of seconds from 1 to 86400 expected"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["localhost:8080", "ftp://host", "http://", "http://host:0", "http://host/?a=1", "http://[1"]
)
def test_an_invalid_server_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="an address such as http://localhost:8080 expected"):
        server_address(text)


def test_a_server_address_ends_with_one_slash() -> None:
    assert server_address("https://host/prefix//") == "https://host/prefix/"


def test_port_0_lets_the_system_choose() -> None:
    assert port("0") == 0


def test_a_shelf_in_a_folder_is_the_same_wherever_a_worker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    cluster.add_arguments(parser)
    for given, found in (("shelf", f"{tmp_path.resolve()}/shelf"), ("s3://faces/all", "s3://faces/all")):
        assert parser.parse_args(["start", "--shelf", given]).shelf == found
