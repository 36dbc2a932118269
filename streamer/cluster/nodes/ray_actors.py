"""The controller and the workers as Ray actors: Ray places them by their resources and starts anew what dies.

Actors are detached: they outlive the program that made them, and end with their cluster. The worker's actor is only the
supervisor of a process of its own (`worker_main`): what Ray does in its threads never holds up a packet of sound.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from dataclasses import replace
from typing import Any

import msgspec
import ray

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.catalogue import home_folder
from streamer.cluster.board import Board
from streamer.cluster.messages import Report, View
from streamer.cluster.nodes.worker_main import WorkerSettings, read_path
from streamer.cluster.nodes.worker_process import WorkerProcess, new_name
from streamer.cluster.scaling import Scaler, Share, actor_of, fitting, too_many
from streamer.cluster.shelves.shelf import Shelf
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.core.errors import ConfigError, StoreError
from streamer.server.options import ServeOptions

NAMESPACE = "avatar"
CONTROLLER = "controller"
REPORT_S = 0.5  # between two reports of a worker
SCALE_S = 1.0
SETTLE_S = 10.0  # in which a new controller hears of the workers, and ends none
CALL_S = 5.0
HUNG_S = 20.0  # without a report: the worker's process is ended, and another begun
FOREVER = -1  # restarts
HEAD = {"node:__internal_head__": 0.001}  # Ray's own mark of the head: the controller dies with no other machine


class ClusterSettings(msgspec.Struct, frozen=True):
    """What the controller is told. `elastic`: the least and the most workers; None is as many as fit on the
    nodes. `shelf`: where avatars are shared (`shelf`), and visitors' photos (`photo_shelf`) where `options` takes any.
    `host`: where workers listen, None for their nodes' addresses.
    """

    secret: bytes
    share: Share
    options: ServeOptions
    elastic: tuple[int, int] | None = None
    shelf: str | None = None
    host: str | None = None


class Controller:
    """Knows the workers, and how many there should be. What it knows it learns anew within a second of its start."""

    async def __init__(self, settings: bytes) -> None:  # type: ignore[misc] # Ray awaits it, in the actor's loop
        self._settings = decode_settings(settings)
        self._clock = MonotonicClock()
        self._board = Board(self._clock)
        least, most = self._settings.elastic or (0, 0)
        self._scaler = Scaler(least, most, self._clock)
        self._workers: dict[str, Any] = {}  # actors by name
        self._stopping = False
        self._settled = self._clock.now() + SETTLE_S
        self._task = asyncio.create_task(self._run())

    async def door(self) -> tuple[bytes, tuple[str, ...]]:
        """What a gateway needs: what addresses are signed with, and what tokens are checked by."""
        return self._settings.secret, self._settings.options.token_keys

    async def take(self, report: bytes) -> bool:
        """Take a worker's report; return whether it is to be drained."""
        return self._board.take(msgspec.json.decode(report, type=Report))

    async def view(self) -> bytes:
        """All workers, and how many callers wait; whether the cluster is being stopped."""
        return msgspec.json.encode((self._board.view(), self._stopping))

    async def has_turn(self, ticket: str | None) -> bool:
        """See `Board`."""
        return self._board.has_turn(ticket)

    async def wait(self, ticket: str, address: str) -> int | None:
        """See `Board`."""
        return self._board.wait(ticket, address)

    async def leave(self, ticket: str) -> None:
        """See `WaitingLine`."""
        self._board.line.leave(ticket)

    async def forget(self, worker: str) -> None:
        """A gateway could not reach this worker; if it is there nonetheless, it reports again."""
        self._board.forget(worker)

    async def drain(self, name: str) -> list[str]:
        """Drain a worker, or all of a node; return whom."""
        return self._board.drain(name)

    async def stop(self) -> None:
        """End all workers, and tell everybody."""
        self._stopping = True

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._look)
            except Exception as error:  # Ray raises many kinds while nodes come and go
                print(f"controller: {error}", flush=True)  # noqa: T201 - Ray keeps it in the actor's log
            await asyncio.sleep(SCALE_S)

    def _look(self) -> None:
        view = self._board.view()
        wanted = 0 if self._stopping else self._wanted(view)
        self._adopt()
        unused = (f"worker-{number}" for number in itertools.count() if f"worker-{number}" not in self._workers)
        for name in itertools.islice(unused, max(0, wanted - len(self._workers))):
            self._workers[name] = start_worker(name, self._settings)
        if self._stopping or self._clock.now() > self._settled:
            for name in too_many(self._workers, wanted, view):
                self._end(name, [each for each in view.workers if actor_of(each.worker) == name])
        for worker in self._board.emptied():
            if (actor := self._workers.get(actor_of(worker))) is not None:
                ray.kill(actor, no_restart=False)  # it starts anew, with the engines and avatars that there are now
                self._board.forget(worker)

    def _wanted(self, view: View) -> int:
        if self._settings.elastic is not None:
            return self._scaler.wanted(view)
        return fitting(self._settings.share, nodes())

    def _adopt(self) -> None:
        """Take over the workers of a controller that died."""
        if not self._workers:
            for name in ray.util.list_named_actors():
                if name.startswith("worker-"):
                    self._workers[name] = ray.get_actor(name)

    def _end(self, name: str, reports: list[Report]) -> None:
        """End a worker that is too many: at once where nobody talks there, else after its draining."""
        if self._stopping or not any(report.sessions for report in reports):
            ray.kill(self._workers.pop(name), no_restart=True)
            return
        for report in reports:
            self._board.drain(report.worker)


class Worker:
    """Supervises a worker's process on the node where Ray has put it."""

    def __init__(self, name: str, settings: bytes, pass_word: str) -> None:
        cluster = decode_settings(settings)
        if cluster.shelf is not None:
            fetch_avatars(cluster.shelf, cluster.options)
        options = replace(cluster.options, host=cluster.host or node_address(), port=0)
        shelf = cluster.shelf if options.photos else None
        self._process = WorkerProcess(WorkerSettings(new_name(name), node_name(), pass_word, options, shelf))
        threading.Thread(target=self._watch, daemon=True).start()

    def url(self) -> str:
        """Where its server is, once it is ready."""
        return self._process.url

    def _watch(self) -> None:
        heard = time.monotonic()
        while self._process.alive and time.monotonic() - heard < HUNG_S:
            time.sleep(REPORT_S)
            try:
                report = self._process.report()
                heard = time.monotonic()
            except OSError:
                continue
            try:
                controller = ray.get_actor(CONTROLLER, NAMESPACE)
                if ray.get(controller.take.remote(msgspec.json.encode(report)), timeout=CALL_S) and not report.draining:
                    self._process.drain()
            except Exception as error:  # the controller is being started anew: conversations go on
                print(f"worker: {error}", flush=True)  # noqa: T201 - Ray keeps it in the actor's log
        self._process.stop()
        os._exit(1)  # Ray starts it anew, under another name


def fetch_avatars(shelf: str, options: ServeOptions) -> None:
    """Have the shelf's avatars on this machine; where it does not answer, those that were there before."""
    manifest = Manifest.load(options.family or SHIPPED_FAMILY)
    try:
        Shelf(shelf, manifest.family).fetch(home_folder())
    except StoreError as error:
        print(f"worker: {error}", flush=True)  # noqa: T201 - Ray keeps it in the actor's log


def start_worker(name: str, settings: ClusterSettings) -> Any:
    """A worker's actor, which waits for a node that has what it needs."""
    demand = settings.share.demand
    gpus = demand.pop("GPU", 0.0)
    actor = ray.remote(num_cpus=0, num_gpus=gpus, resources=demand, max_restarts=FOREVER)(Worker)
    started = actor.options(name=name, lifetime="detached", get_if_exists=True)
    return started.remote(name, encode_settings(settings), Signer(settings.secret).pass_word)


def start_controller(settings: ClusterSettings) -> Any:
    """The controller of the cluster that this program is connected to; the one that runs, if there is one."""
    actor = ray.remote(num_cpus=0, resources=HEAD, max_restarts=FOREVER, max_task_retries=3)(Controller)
    started = actor.options(name=CONTROLLER, lifetime="detached", get_if_exists=True)
    return started.remote(encode_settings(settings))


def find_controller() -> Any:
    """The controller that runs. Raises ConfigError where there is none."""
    try:
        return ray.get_actor(CONTROLLER, NAMESPACE)
    except ValueError:
        raise ConfigError("this Ray cluster has no avatars; begin with `avatar cluster start`") from None


def node_address() -> str:
    """This node's address, as other nodes know it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def node_name() -> str:
    """What this node is called in tables."""
    return str(ray.get_runtime_context().get_node_id())[:8]


def nodes() -> list[dict[str, float]]:
    """What the nodes that are alive have."""
    known = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in known if node["Alive"]]


def encode_settings(settings: ClusterSettings) -> bytes:
    """As one line."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode_settings(settings: bytes) -> ClusterSettings:
    """What `encode_settings` made."""
    return msgspec.json.decode(settings, type=ClusterSettings, dec_hook=read_path)
