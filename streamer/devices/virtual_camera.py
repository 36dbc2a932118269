"""Sends pictures to a virtual camera through pyvirtualcam: v4l2loopback on Linux, OBS Virtual Camera elsewhere.

A driver may block its writer. So a separate thread writes to it from a bounded queue: on overflow, pictures are dropped
and counted, and sound never waits for the driver.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.rates import FPS

WAITING = 5  # pictures; on overflow the newest is dropped
RETRY_S = 1.0  # between attempts to reopen a missing camera
STOP_S = 1.0
LONGEST_REASON = 160  # characters of a driver's error message
PACKAGE = "pyvirtualcam"

_INSTALL = {
    "linux": "install v4l2loopback (Debian, Ubuntu: `sudo apt install v4l2loopback-dkms`) and load it: "
    "`sudo modprobe v4l2loopback exclusive_caps=1 card_label=Avatar`",
    "win32": "install OBS Studio (obsproject.com), which brings the OBS Virtual Camera",
    "darwin": "install OBS Studio (obsproject.com), click Start Virtual Camera in it once, allow its extension in "
    "System Settings, and stop it again",
}


class VirtualCamera:
    """A camera that other programs see; a `PictureSink` and a context manager. `device` None: the first one found."""

    def __init__(
        self,
        fit: Fit,
        device: str | None = None,
        backend: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic`: time in seconds. Raises DeviceError if the package, the driver or the device is missing."""
        self.dropped = 0  # pictures dropped because the driver was too slow
        self._monotonic = monotonic
        self._fit = fit
        self._device = device
        self._backend = backend
        self._failure: DeviceError | None = None
        self._pictures: queue.Queue[ByteArray | None] = queue.Queue(WAITING)
        self._camera = self._open()
        self.name = f"{self._camera.device} ({self._camera.backend})"
        self._thread = threading.Thread(target=self._send, name="virtual-camera", daemon=True)
        self._thread.start()

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Queue a picture for the driver's thread. Raises DeviceError while the camera is gone."""
        try:
            self._pictures.put_nowait(rgb)
        except queue.Full:
            self.dropped += 1
        if (failure := self._failure) is not None:
            raise failure

    def close(self) -> None:
        """Send the queued pictures and release the camera."""
        try:
            self._pictures.put(None, timeout=STOP_S)
        except queue.Full:
            return  # the driver hangs; the thread ends with the program
        self._thread.join(STOP_S)

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Any:
        pyvirtualcam = _package()
        known = pyvirtualcam.camera.BACKENDS
        if self._backend is not None and self._backend not in known:
            raise DeviceError(f"no kind of virtual camera {self._backend!r}; here there is {', '.join(known)}")
        fit = self._fit
        try:
            return pyvirtualcam.Camera(fit.width, fit.height, FPS, device=self._device, backend=self._backend)
        except Exception as error:  # each backend has its own exceptions
            reason = " ".join(str(error).split()).split(". ")[0][:LONGEST_REASON]
            wanted = "no virtual camera" if self._device is None else f"no virtual camera {self._device!r}"
            raise DeviceError(f"{wanted} ({reason}): {install_hint(sys.platform)}") from None

    def _send(self) -> None:
        opened = self._monotonic()
        while (rgb := self._pictures.get()) is not None:
            try:
                if self._camera is None and self._monotonic() - opened >= RETRY_S:
                    opened = self._monotonic()
                    self._camera = self._open()
                    self._failure = None
                if self._camera is not None:
                    self._camera.send(self._fit.put(rgb))
            except DeviceError as error:
                self._failure = error
            except Exception as error:  # each backend has its own exceptions
                self._failure = DeviceError(f"the virtual camera {self.name} is gone ({error or type(error).__name__})")
                self._drop()
        self._drop()

    def _drop(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):  # it may be gone
                camera.close()


def install_hint(platform: str) -> str:
    """Return what to install on this `sys.platform`."""
    return _INSTALL.get(platform, "this system has no virtual camera that pyvirtualcam knows")


def _package() -> Any:
    try:
        import pyvirtualcam
    except ImportError:
        raise DeviceError(
            f"a virtual camera needs the package {PACKAGE}, which is not installed: "
            f"`{sys.executable} -m pip install {PACKAGE}`"
        ) from None
    return pyvirtualcam
