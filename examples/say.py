"""Speaks what you type, through espeak-ng and an avatar.

    python examples/say.py ADDRESS [--voice en]

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
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                await speech.say(*await synthesise(line, voice))
            else:
                print(f"interrupted after {await speech.clear() / 1000:.1f} s")
        await speech.idle()


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
