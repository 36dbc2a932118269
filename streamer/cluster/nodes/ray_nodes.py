"""This machine as a node of a Ray cluster: starts and stops Ray's processes as one child process."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import ray

from streamer.cluster.nodes.ray_actors import NAMESPACE
from streamer.core.errors import ConfigError

START_S = 120.0
STOP_S = 20.0
STORE_BYTES = 80 << 20  # Ray's object store, which is not used here
COPY = "copy ~/.ray/auth_token of the machine that began the cluster to the same place here, or set RAY_AUTH_TOKEN"
NO_TOKEN = f"this machine has no token for a cluster; {COPY}"
RAY = (sys.executable, "-m", "ray.scripts.scripts")
ENVIRONMENT = {
    "RAY_worker_niceness": "0"
}  # Ray's default is 15: any other program on the machine would have priority over speech


def make_token() -> None:
    """Create the token that admits nodes and programs to a cluster, if missing: Ray runs any code they submit."""
    path = _token_file()
    if not has_token():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))


def has_token() -> bool:
    """Return whether this machine has a token or does not need one."""
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    return bool(given) or _token_file().exists() or os.environ.get("RAY_AUTH_MODE") != "token"


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"


@contextlib.contextmanager
def node(
    address: str, own: str | None, resources: Mapping[str, float], gpus: float | None, head: bool = False
) -> Iterator[str]:
    """Run a node, connected to its cluster, while the context lasts; yield the cluster's address.

    address: address of the head, HOST:PORT. own: this machine's address; None lets Ray detect it.

    Raises:
        ConfigError: the cluster cannot be started or reached.
    """
    if head:
        make_token()
    elif not has_token():
        raise ConfigError(NO_TOKEN)
    arguments = ["start", "--block", "--disable-usage-stats", "--num-cpus=0", f"--object-store-memory={STORE_BYTES}"]
    arguments += [f"--resources={json.dumps(dict(resources))}"]
    if gpus is not None:
        arguments += [f"--num-gpus={gpus:g}"]
    if own is not None:
        arguments += [f"--node-ip-address={own}"]
    if head:
        arguments += ["--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false"]
    else:
        arguments += [f"--address={address}"]
    with tempfile.TemporaryFile() as output:  # a pipe would block Ray unless it is read
        yield from _run(arguments, address, output)


def _run(arguments: list[str], address: str, output: IO[bytes]) -> Iterator[str]:
    environment = ENVIRONMENT | os.environ
    process = subprocess.Popen([*RAY, *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        _connect(address, process, output)
        yield address
    finally:
        with contextlib.suppress(Exception):  # the node must end in any case
            ray.shutdown()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _connect(address: str, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        if process.poll() is not None:
            raise ConfigError(f"Ray did not start at {address}: {_last_words(output)}")
        try:
            connect(address)
            return
        except ConfigError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def connect(address: str) -> None:
    """Connect this program to a cluster; the address `auto` means this machine's cluster. Raises ConfigError."""
    if not has_token():
        raise ConfigError(NO_TOKEN)
    options: dict[str, Any] = {"address": address, "namespace": NAMESPACE, "log_to_driver": False}
    try:
        ray.init(**options, logging_level=logging.ERROR)
    except ray.exceptions.AuthenticationError:
        raise ConfigError(f"the cluster at {address} has another token than this machine; {COPY}") from None
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        words = " ".join(str(error).split())[:160]
        raise ConfigError(f"no Ray cluster at {address} ({words}); begin one with `avatar cluster start`") from None


def _last_words(output: IO[bytes]) -> str:
    output.seek(0)
    lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
