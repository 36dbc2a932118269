"""The subcommands of `avatar cluster`: start or join a cluster, show its status, drain workers, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import ray

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.messages import View
from streamer.cluster.nodes.ray_actors import ClusterSettings, find_controller, node_name, start_controller
from streamer.cluster.nodes.ray_directory import RayDirectory
from streamer.cluster.nodes.ray_nodes import connect, node
from streamer.cluster.scaling import CORES
from streamer.cluster.shelves.shelf import Shelf
from streamer.cluster.signed import Signer
from streamer.cluster.table import table
from streamer.core.aio import MonotonicClock, until_first
from streamer.core.console import say
from streamer.core.errors import ConfigError
from streamer.core.system.signals import stop_event

CALL_S = 10.0
LOOK_S = 1.0
CLEAR = "\x1b[H\x1b[J"


@dataclass(frozen=True)
class NodeOptions:
    """This machine's part in a cluster. cluster: address of the cluster's head, HOST:PORT.

    own: this machine's address for the other machines; None lets Ray detect it. cores: CPU cores for workers.
    """

    cluster: str
    own: str | None
    cores: int
    gpus: float | None = None


def start(this: NodeOptions, settings: ClusterSettings, door: GatewayOptions, head: bool = True) -> None:
    """Start a cluster with this machine as head and gateway; run until SIGINT, SIGTERM or `stop`.

    head: False to join a Ray cluster that already exists.
    """
    with _member(this, head):
        start_controller(settings)
        asyncio.run(_serve(this, door))


def join(this: NodeOptions, door: GatewayOptions | None) -> None:
    """Join a cluster with this machine's cores, and run a gateway here if `door` is given; run until stopped."""
    with _member(this, head=False):
        asyncio.run(_serve(this, door))


def status(cluster: str, once: bool, as_json: bool) -> None:
    """Print the table of workers, once or every second until SIGINT."""
    with _visitor(cluster) as controller:
        while True:
            view, _ = msgspec.json.decode(_ask(controller.view), type=tuple[View, bool])
            text = msgspec.json.encode(view).decode() if as_json else table(view)
            say(text if once or as_json else CLEAR + text)
            if once:
                return
            time.sleep(LOOK_S)


def drain(cluster: str, name: str, wait: bool = False) -> list[str]:
    """Drain a worker, or all workers of a node (`this`: this machine's node); return the workers' names.

    wait: return only when they have no sessions left.

    Raises:
        ConfigError: the worker or node does not exist.
    """
    with _visitor(cluster) as controller:
        found: list[str] = _ask(controller.drain, node_name() if name == "this" else name)
        if not found:
            raise ConfigError(f"no worker or node {name[:40]!r}; `avatar cluster status` names them")
        while wait:
            view, _ = msgspec.json.decode(_ask(controller.view), type=tuple[View, bool])
            if not any(worker.sessions for worker in view.workers if worker.worker in found):
                break
            time.sleep(LOOK_S)
        return found


def publish(url: str, family: Path | None, name: str) -> str:
    """Publish an avatar of this machine on a shelf; return its digest. Raises AvatarError."""
    manifest = Manifest.load(family or SHIPPED_FAMILY)
    return Shelf(url, manifest.family).put(manifest, name)


def check_shelf(url: str, family: Path | None) -> None:
    """Check that a shelf can be read, before starting a cluster with it. Raises AvatarError."""
    Shelf(url, Manifest.load(family or SHIPPED_FAMILY).family).check()


def stop(cluster: str) -> None:
    """Stop the cluster: all workers, and all `avatar cluster start` and `join` programs."""
    with _visitor(cluster) as controller:
        _ask(controller.stop)


def new_secret() -> bytes:
    """Return a new random secret for a cluster's signatures."""
    return secrets.token_bytes(32)


@contextlib.contextmanager
def _member(this: NodeOptions, head: bool) -> Any:
    with node(this.cluster, this.own, {CORES: float(this.cores)}, this.gpus, head):
        yield


@contextlib.contextmanager
def _visitor(cluster: str) -> Any:
    connect(cluster)
    try:
        yield find_controller()
    finally:
        ray.shutdown()


def _ask(method: Any, *arguments: Any) -> Any:
    try:
        return ray.get(method.remote(*arguments), timeout=CALL_S)
    except ray.exceptions.RayError as error:
        raise ConfigError(f"the cluster's controller does not answer ({type(error).__name__}); try again") from None


async def _serve(this: NodeOptions, door: GatewayOptions | None) -> None:
    stopped = stop_event()
    directory = RayDirectory(MonotonicClock())
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(directory.followed())
        if door is not None:
            secret, keys = await find_controller().door.remote()
            guarded = replace(door, token_keys=tuple(keys))
            say(f"avatar: a gateway at {await stack.enter_async_context(gateway(guarded, directory, Signer(secret)))}")
        say(f"avatar: machines join with `avatar cluster join {this.cluster}`")
        await until_first(stopped.wait(), directory.stopping.wait())
    say("avatar: stopped")
