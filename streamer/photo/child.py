"""Child process that makes one avatar: a JSON request on standard input, a JSON answer on standard output.

    python -m streamer.photo.child

A decoder given an untrusted file may crash, hang or use all memory; in a child process this does not affect the server.
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
    """Make the requested avatar and return the answer."""
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
    answers, sys.stdout = sys.stdout, sys.stderr  # keeps output of libraries out of the answer
    answer = make(msgspec.json.decode(sys.stdin.buffer.read(), type=MakeAvatar))
    answers.buffer.write(msgspec.json.encode(answer))
    answers.flush()


if __name__ == "__main__":
    main()
