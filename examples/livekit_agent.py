"""A LiveKit agent with a face that needs no account but LiveKit's: it greets whoever comes, by espeak-ng.

    python examples/livekit_worker.py          # beside it, see there
    python examples/livekit_agent.py dev       # LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET in the environment

An agent of yours has an STT, an LLM and a TTS in its session; the lines with `AvatarSession` stay as they are. Needs
avatar-streamer[livekit], and espeak-ng.
"""

import asyncio
import io
import os
import wave

from livekit import agents
from livekit.agents import tts

from clients.livekit import AvatarSession

RATE = 22_050  # of espeak-ng's voices
WORKER = os.environ.get("AVATAR_WORKER", "http://localhost:8090")


class Espeak(tts.TTS[str]):
    """Speech by espeak-ng."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: agents.APIConnectOptions = agents.DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speak a text."""
        return EspeakStream(tts=self, input_text=text, conn_options=conn_options)


class EspeakStream(tts.ChunkedStream):
    """One text's speech."""

    async def _run(self, output: tts.AudioEmitter) -> None:
        espeak = await asyncio.create_subprocess_exec(
            *("espeak-ng", "--stdin", "--stdout"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        sound, _ = await espeak.communicate(self.input_text.encode())
        output.initialize(request_id="", sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        with wave.open(io.BytesIO(sound)) as file:  # its header promises more than there is
            output.push(file.readframes(len(sound) // 2))
        output.flush()


async def entrypoint(ctx: agents.JobContext) -> None:
    """Join the room with a face, and greet."""
    await ctx.connect()
    session = agents.AgentSession[None](tts=Espeak())
    await AvatarSession(WORKER).start(session, ctx.room)
    await session.start(agents.Agent(instructions="You greet people."), room=ctx.room)
    await session.say("Hello! I am a face without an account.")


if __name__ == "__main__":
    agents.cli.run_app(agents.WorkerOptions(entrypoint_fnc=entrypoint))
