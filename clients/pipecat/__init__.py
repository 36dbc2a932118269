"""A face for Pipecat's voice agents (docs/pipecat.md). Needs `pip install avatar-streamer[pipecat]`."""

from clients.pipecat.avatar_video import AvatarVideoService

__all__ = ["AvatarVideoService"]
