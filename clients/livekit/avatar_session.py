"""The agent's side: request a face from a worker, and route the agent's speech to it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import aiohttp
from livekit import api, rtc
from livekit.agents import AgentSession, get_job_context
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.agents.voice.avatar import AvatarSession as BaseAvatarSession
from livekit.agents.voice.avatar import DataStreamAudioOutput

ASK_S = 90.0  # a worker answers once the face is in the room
TOKEN_LASTS = timedelta(minutes=10)  # for joining; a participant in the room stays beyond it
ATTEMPTS, RETRY_S = 4, 2.0  # while the worker is full
MOST_REASON = 300  # characters


class AvatarSessionError(Exception):
    """The worker cannot be reached or refused the request; the message is for people."""


class AvatarSession(BaseAvatarSession[Any]):
    """Gives an agent a face, used like other avatar plugins:

        avatar = AvatarSession("http://localhost:8090", avatar="mina")
        await avatar.start(session, room=ctx.room)
        await session.start(agent=..., room=ctx.room)

    worker: address of a `RoomWorker`. avatar: one of its faces, None for its default.
    secret: the worker's secret; default: the environment variable AVATAR_WORKER_SECRET.
    """

    def __init__(
        self, worker: str, avatar: str | None = None, secret: str | None = None, identity: str = "avatar"
    ) -> None:
        super().__init__()
        self._rooms = worker.rstrip("/") + "/rooms"
        self._avatar = avatar
        self._secret = secret or os.environ.get("AVATAR_WORKER_SECRET", "")
        self._identity = identity

    @property
    def avatar_identity(self) -> str:
        """Identity of the face's participant in the room."""
        return self._identity

    @property
    def provider(self) -> str:
        """Name of the provider, for metrics."""
        return "avatar-streamer"

    async def start(
        self,
        agent_session: AgentSession[Any],
        room: rtc.Room,
        livekit_url: str | None = None,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
    ) -> None:
        """Bring the face into the room and route the agent's speech to it.

        livekit_url, livekit_api_key, livekit_api_secret: default to the environment variables LIVEKIT_URL,
            LIVEKIT_API_KEY, LIVEKIT_API_SECRET.

        Raises:
            AvatarSessionError: the worker cannot be reached, or refuses.
            ValueError: the LiveKit credentials are missing.
        """
        await super().start(agent_session, room)
        url = livekit_url or os.environ.get("LIVEKIT_URL")
        if not url:
            raise ValueError("no address of LiveKit; set LIVEKIT_URL or pass livekit_url")
        context = get_job_context(required=False)
        agent = context.local_participant_identity if context else room.local_participant.identity
        name = context.job.room.name if context else room.name  # the agent may not have joined yet
        token = (
            api.AccessToken(livekit_api_key, livekit_api_secret)
            .with_kind("agent")
            .with_identity(self._identity)
            .with_ttl(TOKEN_LASTS)
            .with_grants(api.VideoGrants(room_join=True, room=name))
            .with_attributes({ATTRIBUTE_PUBLISH_ON_BEHALF: agent})
            .to_jwt()
        )
        await self._ask({"livekit_url": url, "livekit_token": token, "agent": agent, "avatar": self._avatar})
        agent_session.output.replace_audio_tail(
            DataStreamAudioOutput(
                room,
                destination_identity=self._identity,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                wait_playback_start=True,
            )
        )

    async def _ask(self, wanted: dict[str, str | None]) -> None:
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        timeout = aiohttp.ClientTimeout(total=ASK_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
            for attempt in range(ATTEMPTS):
                if attempt:
                    await asyncio.sleep(RETRY_S)
                try:
                    async with http.post(self._rooms, json=wanted) as response:
                        if response.status == 201:
                            return
                        reason = (await response.text())[:MOST_REASON].strip()
                except (aiohttp.ClientError, TimeoutError) as error:
                    raise AvatarSessionError(f"{self._rooms}: {error or type(error).__name__}") from None
                if response.status != 503:
                    break
        raise AvatarSessionError(f"{self._rooms}: {response.status}, {reason}")
