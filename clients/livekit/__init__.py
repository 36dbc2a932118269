"""A face for LiveKit's voice agents (docs/livekit.md): a plugin for the agent, and the worker that serves its requests.

Needs `pip install avatar-streamer[livekit]`.
"""

from clients.livekit.avatar_session import AvatarSession
from clients.livekit.room_worker import RoomWorker

__all__ = ["AvatarSession", "RoomWorker"]
