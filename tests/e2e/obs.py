"""OBS Studio itself, without a screen: started on a virtual X display with a throwaway configuration, and spoken to by
obs-websocket 5 (its protocol's documentation: obsproject/obs-websocket, docs/generated/protocol.md).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from websockets.sync.client import ClientConnection, connect

from streamer.core.frames import ByteArray
from tests.fakes.ports import free_port

CANVAS = (1280, 720)
SCREEN = (1440, 900)  # OBS takes less of it
START_S = 60.0
NEEDED = ("obs", "Xvfb", "ffmpeg")
PACKAGES = "obs-studio xvfb ffmpeg"
HELLO, IDENTIFY, IDENTIFIED, REQUEST, RESPONSE = 0, 1, 2, 6, 7  # kinds of messages
SCENE = "Stage"


def missing() -> list[str]:
    """Programs that are not installed."""
    return [program for program in NEEDED if shutil.which(program) is None]


class ObsError(Exception):
    """OBS refused a request, or did not start."""


class Remote:
    """A connection to OBS."""

    def __init__(self, port: int, password: str) -> None:
        self._socket: ClientConnection = connect(f"ws://127.0.0.1:{port}", max_size=2**26)
        self._count = 0
        hello = self._receive(HELLO)["authentication"]
        secret = _hash(password + hello["salt"])
        self._send(
            IDENTIFY, {"rpcVersion": 1, "eventSubscriptions": 0, "authentication": _hash(secret + hello["challenge"])}
        )
        self._receive(IDENTIFIED)

    def ask(self, request: str, **data: object) -> dict[str, Any]:
        """The answer to a request. Raises ObsError."""
        self._count += 1
        self._send(REQUEST, {"requestType": request, "requestId": str(self._count), "requestData": data})
        answer = self._receive(RESPONSE)
        if not answer["requestStatus"]["result"]:
            raise ObsError(f"{request}: {answer['requestStatus'].get('comment', answer['requestStatus']['code'])}")
        found: dict[str, Any] = answer.get("responseData") or {}
        return found

    def screenshot(self, source: str, width: int | None = None) -> ByteArray:
        """A source or scene as it is now: uint8 [H, W, 3], RGB; made smaller where a width is given."""
        size = {} if width is None else {"imageWidth": width}
        answer = self.ask("GetSourceScreenshot", sourceName=source, imageFormat="png", **size)
        data = base64.b64decode(answer["imageData"].partition(",")[2])
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ObsError(f"no picture of {source}")
        return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)

    def close(self) -> None:
        self._socket.close()

    def _send(self, kind: int, data: dict[str, Any]) -> None:
        self._socket.send(json.dumps({"op": kind, "d": data}))

    def _receive(self, kind: int) -> dict[str, Any]:
        while True:
            message = json.loads(self._socket.recv(30))
            if message["op"] == kind:
                found: dict[str, Any] = message["d"]
                return found


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True)
class Obs:
    """A running OBS: its remote control, its display, and the folder that its recordings go to."""

    remote: Remote
    display: str
    recordings: Path

    def window(self) -> ByteArray:
        """What a person would see on the screen: uint8 [H, W, 3], RGB."""
        size = f"{SCREEN[0]}x{SCREEN[1]}"
        grab = ["ffmpeg", "-v", "error", "-f", "x11grab", "-video_size", size, "-i", self.display]
        one = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run([*grab, *one], capture_output=True, check=True)
        screen = np.frombuffer(raw.stdout, np.uint8).reshape(SCREEN[1], SCREEN[0], 3)
        lit = screen.max(axis=2) > 0  # around the window, the display is black
        return screen[: np.flatnonzero(lit.any(axis=1)).max() + 1, : np.flatnonzero(lit.any(axis=0)).max() + 1]


@contextlib.contextmanager
def running(home: Path) -> Iterator[Obs]:
    """OBS with nothing but an empty scene; `home` is a folder for all that it writes."""
    port, password = free_port(), secrets.token_hex(8)
    recordings = home / "recordings"
    recordings.mkdir(parents=True)
    _configure(home, port, password, recordings)
    with _display(home) as display:
        environment = os.environ | {
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_RUNTIME_DIR": str(home),
            "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb",
        }  # fmt: skip
        with (home / "obs.log").open("wb") as log:
            command = ["obs", "--multi", "--disable-updater", "--collection", "Stage", "--profile", "Stage"]
            obs = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            remote = _connected(obs, port, password, home / "obs.log")
            yield Obs(remote, display, recordings)
            remote.close()
        finally:
            obs.terminate()
            try:
                obs.wait(10)
            except subprocess.TimeoutExpired:
                obs.kill()
                obs.wait()


def _configure(home: Path, port: int, password: str, recordings: Path) -> None:
    folder = home / "config" / "obs-studio"
    profile = folder / "basic" / "profiles" / "Stage"
    profile.mkdir(parents=True)
    (folder / "global.ini").write_text(
        "[General]\nFirstRun=true\nLastVersion=486539266\n"
        f"[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nServerPort={port}\nAlertsEnabled=false\n"
        f"AuthRequired=true\nServerPassword={password}\n"
        "[Basic]\nProfile=Stage\nProfileDir=Stage\nSceneCollection=Stage\nSceneCollectionFile=Stage\n"
    )
    width, height = CANVAS
    (profile / "basic.ini").write_text(
        "[General]\nName=Stage\n"
        f"[Video]\nBaseCX={width}\nBaseCY={height}\nOutputCX={width}\nOutputCY={height}\nFPSType=0\nFPSCommon=30\n"
        "[Audio]\nSampleRate=48000\nChannelSetup=Stereo\n"
        "[Output]\nMode=Simple\n"
        f"[SimpleOutput]\nFilePath={recordings}\nRecFormat=mkv\nRecQuality=Stream\nStreamEncoder=x264\n"
        "UseAdvanced=true\nx264Settings=bframes=0\nPreset=veryfast\nVBitrate=2500\n"
    )


@contextlib.contextmanager
def _display(home: Path) -> Iterator[str]:
    """A virtual X display; Xvfb chooses a free number and writes it to the pipe."""
    read, write = os.pipe()
    size = f"{SCREEN[0]}x{SCREEN[1]}x24"
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp"]
    with (home / "xvfb.log").open("wb") as log:
        xvfb = subprocess.Popen(command, pass_fds=[write], stdout=log, stderr=log)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise ObsError("Xvfb did not start")
        yield f":{number}"
    finally:
        xvfb.terminate()
        xvfb.wait()


def _connected(obs: subprocess.Popen[bytes], port: int, password: str, log: Path) -> Remote:
    """Once OBS is ready. Raises ObsError."""
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and obs.poll() is None:
        with contextlib.suppress(OSError, EOFError):
            remote = Remote(port, password)
            while time.monotonic() < give_up:
                with contextlib.suppress(ObsError):  # "OBS is not ready to perform the request."
                    remote.ask("CreateScene", sceneName="Ready")
                    remote.ask("CreateScene", sceneName=SCENE)
                    remote.ask("SetCurrentProgramScene", sceneName=SCENE)
                    remote.ask("RemoveScene", sceneName="Ready")
                    return remote
                time.sleep(0.2)
        time.sleep(0.2)
    raise ObsError(f"OBS did not start: {log.read_text(errors='replace').splitlines()[-3:]}")
