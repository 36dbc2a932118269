"""A process that makes one avatar: a request on standard input, an answer on standard output, both JSON.

    python -m streamer.photo.child

A decoder that meets a stranger's file may crash, hang or take all memory; here it takes its own process with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from engines.manifest import Manifest
from streamer.core.errors import AvatarError
from streamer.photo.messages import Answer, Made, MakeAvatar, Refused
from streamer.photo.portrait import SeveralFacesError
from streamer.photo.prepare import PrepareOptions, prepare


def make(request: MakeAvatar) -> Answer:
    """Do what a request asks for."""
    options = PrepareOptions(
        Path(request.photo),
        name=request.name,
        title=request.title,
        face=request.face,
        threads=request.threads,
        owner=request.owner,
    )
    try:
        return Made(prepare(Manifest.load(Path(request.engines)), options).notes)
    except SeveralFacesError as error:
        reason = f"{error.count} faces in the photo, none clearly the largest; choose one, counted from the left"
        return Refused(reason, error.count)
    except AvatarError as error:
        return Refused(str(error).replace(f"{request.photo}: ", ""))


def main() -> None:
    """Answer the request on standard input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is not the answer
    answer = make(msgspec.json.decode(sys.stdin.buffer.read(), type=MakeAvatar))
    answers.buffer.write(msgspec.json.encode(answer))
    answers.flush()


if __name__ == "__main__":
    main()
