"""What `avatar cluster` does: a machine begins a cluster or joins one; tables, draining, the end."""

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
    """This machine's part. cluster: where the cluster's head listens, HOST:PORT.

    own: this machine's address as the others know it; None is what Ray finds. cores: that workers may have.
    """

    cluster: str
    own: str | None
    cores: int
    gpus: float | None = None


def start(this: NodeOptions, settings: ClusterSettings, door: GatewayOptions, head: bool = True) -> None:
    """Begin a cluster, with this machine as its head, and a gateway here. Until SIGINT, SIGTERM or `stop`.

    head: False on a Ray cluster that is there already, which this machine joins.
    """
    with _member(this, head):
        start_controller(settings)
        asyncio.run(_serve(this, door))


def join(this: NodeOptions, door: GatewayOptions | None) -> None:
    """Put this machine's cores at a cluster's disposal, with a gateway here or without. Until told to stop."""
    with _member(this, head=False):
        asyncio.run(_serve(this, door))


def status(cluster: str, once: bool, as_json: bool) -> None:
    """Print the table of workers, once or again each second, until SIGINT."""
    with _visitor(cluster) as controller:
        while True:
            view, _ = msgspec.json.decode(_ask(controller.view), type=tuple[View, bool])
            text = msgspec.json.encode(view).decode() if as_json else table(view)
            say(text if once or as_json else CLEAR + text)
            if once:
                return
            time.sleep(LOOK_S)


def drain(cluster: str, name: str, wait: bool = False) -> list[str]:
    """Drain a worker, or all of a node (`this`: the machine's own); return whom.

    wait: until nobody talks there.

    Raises:
        ConfigError: there is no such worker or node.
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
    """Put an avatar of this machine on a shelf; return its digest. Raises AvatarError."""
    manifest = Manifest.load(family or SHIPPED_FAMILY)
    return Shelf(url, manifest.family).put(manifest, name)


def check_shelf(url: str, family: Path | None) -> None:
    """Look whether a shelf can be read, before a cluster is begun with it. Raises AvatarError."""
    Shelf(url, Manifest.load(family or SHIPPED_FAMILY).family).check()


def stop(cluster: str) -> None:
    """End all workers; the programs that began and joined the cluster end with them."""
    with _visitor(cluster) as controller:
        _ask(controller.stop)


def new_secret() -> bytes:
    """What a cluster signs with."""
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
