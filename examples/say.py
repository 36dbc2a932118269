"""Speaks what you type, through espeak-ng and an avatar.

    .venv/bin/python examples/say.py ADDRESS [--voice en]

ADDRESS is the session's: open the server's page with ?speech=1 and copy it from there, or take the one that `avatar
camera --speech` says. Each line that you type is spoken; an empty line interrupts. Needs espeak-ng, and the package
`websockets`.
"""

import argparse
import asyncio
import io
import signal
import sys
import wave

from clients.speech import SpeechClient, SpeechClientError


async def synthesise(text: str, voice: str) -> tuple[bytes, int]:
    """Speech for `text`: s16le mono PCM and its sample rate."""
    command = ["espeak-ng", "-v", voice, "--stdin", "--stdout"]
    espeak = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    sound, _ = await espeak.communicate(text.encode())
    if espeak.returncode:
        raise SystemExit(f"espeak-ng failed; is {voice} one of its voices?")
    with wave.open(io.BytesIO(sound)) as file:  # its header promises more than there is
        return file.readframes(len(sound) // 2), file.getframerate()


async def main(address: str, voice: str) -> None:
    """Until the end of the input, and of the speech."""
    async with SpeechClient(address) as speech:
        if sys.stdin.isatty():
            print("Type what is to be said; an empty line interrupts, Ctrl-D ends.")
        while line := await asyncio.to_thread(read_line):
            try:
                if line.strip():
                    await speech.say(*await synthesise(line, voice))
                else:
                    print(f"interrupted after {await speech.clear() / 1000:.1f} s")
            except SpeechClientError as error:
                if speech.lost:
                    raise
                print(error, file=sys.stderr)  # one message was refused; the next may be taken
        await speech.idle()


def read_line() -> str:
    """A line of the input, after a prompt where somebody types; nothing at its end."""
    if sys.stdin.isatty():
        print("> ", end="", flush=True)
    return sys.stdin.readline()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speak typed text through an avatar.")
    parser.add_argument("address", help="of the session, e.g. http://localhost:8080/session/...")
    parser.add_argument("--voice", default="en", help="one of `espeak-ng --voices`")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, also where it waits for a line
    try:
        asyncio.run(main(options.address, options.voice))
    except FileNotFoundError:
        sys.exit("espeak-ng is not installed (Debian, Ubuntu: apt install espeak-ng; macOS: brew install espeak-ng)")
    except SpeechClientError as error:
        sys.exit(str(error))
