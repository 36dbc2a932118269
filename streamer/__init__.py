"""A real-time talking avatar: speech in, video of a speaking face out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("avatar-streamer")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
