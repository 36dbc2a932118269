"""Download SadTalker's official checkpoints.

    python -m export.sadtalker.fetch_checkpoints DIR [--size 256|512] [--url BASE]

An interrupted download resumes, also in a later run. Every file's SHA-256 is checked: against the table below for the
official address, otherwise against checksums.json, written at the first download.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines import json_file
from engines.manifest_file import sha256
from export.sadtalker.checkpoints import MAPPINGS, SIZES, combined_file
from export.tools import command
from export.tools.download import DownloadError, Progress, Retry, discard, download, finish

RELEASE = "https://github.com/OpenTalker/SadTalker/releases/download/v0.0.2-rc"
CHECKSUMS = "checksums.json"
PROGRESS_SECONDS = 1.0

# The release publishes no checksums; independent projects that pin its files agree on these.
OFFICIAL = {
    "SadTalker_V0.0.2_256.safetensors": "c211f5d6de003516bf1bbda9f47049a4c9c99133b1ab565c6961e5af16477bff",
    "SadTalker_V0.0.2_512.safetensors": "0e063f7ff5258240bdb0f7690783a7b1374e6a4a81ce8fa33456f4cd49694340",
    "mapping_00229-model.pth.tar": "62a1e06006cc963220f6477438518ed86e9788226c62ae382ddc42fbcefb83f1",
    "mapping_00109-model.pth.tar": "84a8642468a3fcfdd9ab6be955267043116c2bec2284686a5262f1eaf017f64c",
}


def fetch(folder: Path, sizes: Sequence[int] = SIZES, base: str = RELEASE, retry: Retry | None = None) -> None:
    """Download the files missing from `folder`, and check all of them.

    Raises:
        AvatarError: a file cannot be fetched, or has another SHA-256.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [*(combined_file(size) for size in sizes), *(source.file for source in MAPPINGS.values())]
        recorded = _read_checksums(folder / CHECKSUMS)
        for file in files:
            expected = recorded.get(file) or (OFFICIAL[file] if base == RELEASE else None)
            recorded[file] = _fetch_one(folder / file, f"{base.rstrip('/')}/{file}", expected, retry)
            _write_checksums(folder / CHECKSUMS, recorded)
    except OSError as error:
        raise DownloadError(f"{folder}: cannot write there ({error.strerror or error})") from None


def _fetch_one(path: Path, url: str, expected: str | None, retry: Retry | None) -> str:
    """Download `path` if missing, check it and return its SHA-256."""
    if path.is_file():
        found = sha256(path)
        if expected and found != expected:
            raise DownloadError(f"{path}: {_differs(found, expected)}; delete it and run this again")
        print(f"{path.name}: there already, {'checked' if expected else 'SHA-256 recorded'}")
        return found
    part = path.with_name(path.name + ".part")
    download(url, part, _printer(path.name), retry)
    found = sha256(part)
    if expected and found != expected:
        discard(part)
        raise DownloadError(f"{url}: {_differs(found, expected)}; not kept")
    finish(part, path)
    print(f"{path.name}: complete, SHA-256 {found[:12]}.. {'checked' if expected else 'recorded'}")
    return found


def _differs(found: str, expected: str) -> str:
    return f"damaged or another file (SHA-256 {found[:12]}.., expected {expected[:12]}..)"


def _printer(name: str) -> Progress:
    """Return a progress reporter that prints about once a second."""
    last = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PROGRESS_SECONDS and done != total:
            return
        last = now
        share = f" of {total / 1e6:.0f} MB, {100 * done / total:.0f} %" if total else " MB"
        print(f"{name}: {done / 1e6:.0f}{share}", flush=True)

    return show


def _read_checksums(path: Path) -> dict[str, str]:
    """Read SHA-256 by file name. Raises DownloadError if the file is malformed."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DownloadError(f"{path}: not JSON ({error}); delete it to record the sums anew") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise DownloadError(f"{path}: not a table of SHA-256 by file name; delete it to record them anew")
    return data


def _write_checksums(path: Path, sums: Mapping[str, str]) -> None:
    json_file.write(path, dict(sorted(sums.items())))


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to put them")
    parser.add_argument("--size", type=int, choices=SIZES, action="append", help="picture size (default: both)")
    parser.add_argument("--url", default=RELEASE, metavar="BASE", help=f"where the files are (default: {RELEASE})")
    args = parser.parse_args()
    return command.run(lambda: fetch(args.folder, args.size or SIZES, args.url), "stopped; run it again to go on")


if __name__ == "__main__":
    sys.exit(main())
