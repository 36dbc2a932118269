"""Gives LiveKit agents faces that a running `avatar serve` makes.

    avatar serve --sessions 4
    python examples/livekit_worker.py [--server http://localhost:8080] [--host HOST] [--port 8090] [--rooms 4]

An agent asks for one by `AvatarSession("http://localhost:8090")`. The secret that agents have to know is in
AVATAR_WORKER_SECRET; without one, only this machine's agents are heard. Needs avatar-streamer[livekit].
"""

import argparse
import asyncio
import contextlib
import os

from clients.livekit import RoomWorker
from clients.livekit.room_worker import serve
from streamer.desktop.program_face import FaceOnServer
from streamer.desktop.remote_face import ServerChoice


async def main(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    url = options.server.rstrip("/") + "/"
    worker = RoomWorker(
        lambda avatar: FaceOnServer(ServerChoice(url, avatar)),
        options.rooms,
        os.environ.get("AVATAR_WORKER_SECRET", ""),
    )
    print(f"faces of {url} for agents that ask http://{options.host}:{options.port}; Ctrl-C ends", flush=True)
    await serve(worker, options.host, options.port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Give LiveKit agents faces.")
    parser.add_argument("--server", default="http://localhost:8080", help="the `avatar serve` that makes them")
    parser.add_argument("--host", default="localhost", help="address to listen on (default: localhost)")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--rooms", type=int, default=4, help="at most so many faces (default: 4)")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(parser.parse_args()))
    except (ValueError, OSError) as error:
        parser.error(str(error))
