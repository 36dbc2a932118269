"""The controller and the workers as Ray actors: Ray places them by their resources and restarts them if they die.

Actors are detached: they outlive the program that created them, and end with their cluster. A worker's actor only
supervises a separate process (`worker_main`), so that Ray's threads never delay an audio packet.
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
REPORT_S = 0.5  # interval of a worker's reports
SCALE_S = 1.0
SETTLE_S = 10.0  # during which a new controller collects reports and ends no worker
CALL_S = 5.0
HUNG_S = 20.0  # without a report, after which the worker process is ended and replaced
FOREVER = -1  # unlimited restarts
HEAD = {"node:__internal_head__": 0.001}  # Ray's resource of the head node: the controller runs on no other machine


class ClusterSettings(msgspec.Struct, frozen=True):
    """Settings of a cluster. `elastic`: minimum and maximum number of workers; None means as many as fit on the
    nodes. `shelf`: URL of the store for avatars (`shelf`) and, if `options` allows photos, visitors' photos
    (`photo_shelf`). `host`: address on which workers listen; None means their node's address.
    """

    secret: bytes
    share: Share
    options: ServeOptions
    elastic: tuple[int, int] | None = None
    shelf: str | None = None
    host: str | None = None


class Controller:
    """Tracks the workers and scales their number. After a restart, their reports restore its state within a second."""

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
        """Return what a gateway needs: the secret for signed addresses, and the keys for checking tokens."""
        return self._settings.secret, self._settings.options.token_keys

    async def take(self, report: bytes) -> bool:
        """Store a worker's report; return whether the worker must be drained."""
        return self._board.take(msgspec.json.decode(report, type=Report))

    async def view(self) -> bytes:
        """Return, as JSON, the view of the cluster and whether it is being stopped."""
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
        """Remove a worker that a gateway could not reach; if it is alive, its next report adds it again."""
        self._board.forget(worker)

    async def drain(self, name: str) -> list[str]:
        """Drain a worker, or all workers of a node; return the workers' names."""
        return self._board.drain(name)

    async def stop(self) -> None:
        """Stop the cluster: end all workers, and announce the stop in the view."""
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
                ray.kill(actor, no_restart=False)  # it restarts with the current engines and avatars
                self._board.forget(worker)

    def _wanted(self, view: View) -> int:
        if self._settings.elastic is not None:
            return self._scaler.wanted(view)
        return fitting(self._settings.share, nodes())

    def _adopt(self) -> None:
        """Take over the workers that an earlier controller started."""
        if not self._workers:
            for name in ray.util.list_named_actors():
                if name.startswith("worker-"):
                    self._workers[name] = ray.get_actor(name)

    def _end(self, name: str, reports: list[Report]) -> None:
        """End a surplus worker: at once if it has no sessions or the cluster stops, else after draining."""
        if self._stopping or not any(report.sessions for report in reports):
            ray.kill(self._workers.pop(name), no_restart=True)
            return
        for report in reports:
            self._board.drain(report.worker)


class Worker:
    """Supervises a worker process on the node chosen by Ray."""

    def __init__(self, name: str, settings: bytes, pass_word: str) -> None:
        cluster = decode_settings(settings)
        if cluster.shelf is not None:
            fetch_avatars(cluster.shelf, cluster.options)
        options = replace(cluster.options, host=cluster.host or node_address(), port=0)
        shelf = cluster.shelf if options.photos else None
        self._process = WorkerProcess(WorkerSettings(new_name(name), node_name(), pass_word, options, shelf))
        threading.Thread(target=self._watch, daemon=True).start()

    def url(self) -> str:
        """Return the address of its server, once it is ready."""
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
            except Exception as error:  # the controller is restarting: sessions continue
                print(f"worker: {error}", flush=True)  # noqa: T201 - Ray keeps it in the actor's log
        self._process.stop()
        os._exit(1)  # Ray restarts the actor; its process gets a new name


def fetch_avatars(shelf: str, options: ServeOptions) -> None:
    """Fetch the shelf's avatars to this machine; if the shelf does not answer, keep the avatars already here."""
    manifest = Manifest.load(options.family or SHIPPED_FAMILY)
    try:
        Shelf(shelf, manifest.family).fetch(home_folder())
    except StoreError as error:
        print(f"worker: {error}", flush=True)  # noqa: T201 - Ray keeps it in the actor's log


def start_worker(name: str, settings: ClusterSettings) -> Any:
    """Start a worker's actor; it waits until a node has the resources it needs."""
    demand = settings.share.demand
    gpus = demand.pop("GPU", 0.0)
    actor = ray.remote(num_cpus=0, num_gpus=gpus, resources=demand, max_restarts=FOREVER)(Worker)
    started = actor.options(name=name, lifetime="detached", get_if_exists=True)
    return started.remote(name, encode_settings(settings), Signer(settings.secret).pass_word)


def start_controller(settings: ClusterSettings) -> Any:
    """Start the controller of the connected cluster, or return the running one."""
    actor = ray.remote(num_cpus=0, resources=HEAD, max_restarts=FOREVER, max_task_retries=3)(Controller)
    started = actor.options(name=CONTROLLER, lifetime="detached", get_if_exists=True)
    return started.remote(encode_settings(settings))


def find_controller() -> Any:
    """Return the running controller. Raises ConfigError if the cluster has none."""
    try:
        return ray.get_actor(CONTROLLER, NAMESPACE)
    except ValueError:
        raise ConfigError("this Ray cluster has no avatars; begin with `avatar cluster start`") from None


def node_address() -> str:
    """Return this node's address for other nodes."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def node_name() -> str:
    """Return this node's name for tables: the first 8 digits of its Ray ID."""
    return str(ray.get_runtime_context().get_node_id())[:8]


def nodes() -> list[dict[str, float]]:
    """Return the resources of each live node."""
    known = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in known if node["Alive"]]


def encode_settings(settings: ClusterSettings) -> bytes:
    """Encode the settings as one line of JSON."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode_settings(settings: bytes) -> ClusterSettings:
    """Decode settings written by `encode_settings`."""
    return msgspec.json.decode(settings, type=ClusterSettings, dec_hook=read_path)
