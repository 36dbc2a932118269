"""Find an NVIDIA GPU through the driver, before importing any library that could crash without one."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache

from engines.errors import EngineError

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_SUCCESS = 0
_NAME_BYTES = 256
# CUdevice_attribute of cuda.h
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True)
class Gpu:
    """The first GPU. capability: compute capability, such as "8.9"; driver: the CUDA version it supports."""

    name: str
    capability: str
    driver: str


@cache
def find_gpu() -> Gpu | None:
    """Return the first GPU that the driver lists; None without a driver or a device."""
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    statuses: list[int] = [
        driver.cuInit(0),  # fails without a device; the others then fail, too
        driver.cuDeviceGetCount(ctypes.byref(count)),
        driver.cuDeviceGet(ctypes.byref(device), 0),
        driver.cuDriverGetVersion(ctypes.byref(version)),
    ]
    if any(status != _SUCCESS for status in statuses):
        return None
    name = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    major, minor = (_attribute(driver, device, which) for which in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR))
    spoken = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode("ascii", "replace"), f"{major}.{minor}", spoken)


def require_gpu() -> Gpu:
    """Return the first GPU.

    Raises:
        EngineError: no GPU is found.
    """
    gpu = find_gpu()
    if gpu is None:
        raise EngineError(
            "no NVIDIA GPU found (no driver answers, or it lists no device); "
            "set AVATAR_ENGINE=openvino to run on the CPU"
        )
    return gpu


def _attribute(driver: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
