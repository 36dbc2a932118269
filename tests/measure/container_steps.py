"""Carry out the Dockerfile's steps in a clean Debian, where there is no Docker.

    python -m tests.measure.container_steps [BASE.tar]

Needs root and mmdebstrap. The server is then started as the image would start it, and asked for its health; the size of
what the image adds to Debian is printed.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests import ROOT

# How this machine reaches others: file here, file there. Packages of Debian's write certificates of their own.
HOSTS = {"/etc/resolv.conf": "etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt": "host-certificates.pem"}
CERTIFICATES = dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), "/host-certificates.pem")
CLEAN = 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'  # as Debian's image has it
MOUNTED = ("dev", "dev/shm", "proc")
READY_S = 180.0


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return (instruction, rest) of each, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def build(stages: Path, base: Path) -> tuple[Path, dict[str, str]]:
    """Make every stage; return the last one's root and its environment."""
    roots: dict[str, Path] = {}
    root, environment = stages, dict[str, str]()
    for word, rest in instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        print(word, rest, flush=True)
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            root, environment = stages / name, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            roots[name] = root
            root.mkdir()
            subprocess.run(["tar", "-xf", base, "-C", root], check=True)
            for here, there in HOSTS.items():
                (root / there).write_bytes(Path(here).read_bytes())
            (root / "etc/apt/apt.conf.d/docker-clean").write_text(CLEAN)
        elif word in ("ENV", "ARG"):
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                environment[name] = value.replace("$PATH", environment["PATH"])
        elif word == "RUN":
            subprocess.run(["chroot", root, "/bin/sh", "-ec", rest], check=True, env=environment | CERTIFICATES)
        elif word == "COPY":
            _copy(rest, root, roots)
    return root, environment


def _copy(rest: str, root: Path, roots: dict[str, Path]) -> None:
    parts = shlex.split(rest)
    target = root / parts[-1][1:]
    target.mkdir(parents=True, exist_ok=True)
    if parts[0].startswith("--from="):
        source = roots[parts[0].removeprefix("--from=")] / parts[1][1:]
        subprocess.run(["cp", "-a", f"{source}/.", target], check=True)
        return
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in kept:
        subprocess.run(["cp", "-a", ROOT / name, target], check=True)


def serve(root: Path, environment: dict[str, str]) -> None:
    """Start the image's program as its user, and wait until its health check passes."""
    found = dict(instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    command = [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]
    process = subprocess.Popen(["chroot", f"--userspec={found['USER']}", root, *command], env=environment)
    try:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=4) as answer:
                    print("healthz:", answer.status, flush=True)
                    return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(1)
    finally:
        process.terminate()
        print("stopped:", process.wait(20))


def main() -> int:
    """Build, measure, serve; the exit status."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        base = Path(folder) / "base.tar"
        if len(sys.argv) > 1:
            base = Path(sys.argv[1])
        else:
            subprocess.run(["mmdebstrap", "--variant=minbase", "trixie", base], check=True)
        root, environment = build(Path(folder), base)
        megabytes = int(
            subprocess.run(["du", "-sm", root], check=True, capture_output=True, text=True).stdout.split()[0]
        )
        print(f"{megabytes} MB")
        for name in MOUNTED:
            subprocess.run(["mount", "--bind", f"/{name}", root / name], check=True)
        try:
            serve(root, environment)
        finally:
            for name in reversed(MOUNTED):
                subprocess.run(["umount", root / name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
