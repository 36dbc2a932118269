"""Nodes of Ray on this machine, for tests and figures of the cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import ray

from streamer.cluster.nodes.ray_actors import NAMESPACE
from streamer.cluster.scaling import CORES

NODE: dict[str, Any] = {"num_cpus": 0, "object_store_memory": 80 << 20, "resources": {CORES: 1}}
TRIES = 4  # Ray gives a node half a minute to start, which a busy machine may not have


class Nodes:
    """A cluster of Ray in which each node has the cores for one worker, and this program is connected to the first.

    at_exit: nodes end with this program, however it ends; then all are added from its main thread.
    """

    def __init__(self, count: int, at_exit: bool = True) -> None:
        from ray.cluster_utils import Cluster

        self._stopped: list[psutil.Process] = []
        head = {**NODE, "include_dashboard": False}
        self._cluster = patiently(lambda: Cluster(True, head_node_args=head, shutdown_at_exit=at_exit))
        self.address = str(self._cluster.address)
        patiently(lambda: ray.init(address=self.address, namespace=NAMESPACE, log_to_driver=False))
        self.others = [self.add() for _ in range(count - 1)]

    def add(self) -> Any:
        """One node more."""
        return patiently(lambda: self._cluster.add_node(**NODE))

    def kill(self, node: Any, how: signal.Signals = signal.SIGKILL) -> None:
        """As a machine that loses its power: all of a node's processes at once, without a word.

        how: SIGSTOP is a machine that hangs, until `stop`: its connections are not refused.
        """
        [raylet] = node.all_processes["raylet"]
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends by itself where the others have given it up
            tree = psutil.Process(raylet.process.pid)
            for process in [tree, *tree.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                    os.kill(process.pid, how)
                    self._stopped += [process] * (how == signal.SIGSTOP)
        if how == signal.SIGKILL:
            self._cluster.remove_node(node, allow_graceful=False)

    def revive(self, node: Any) -> None:
        """Let a node go on that was stopped."""
        for process in self._stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self._stopped.clear()

    def stop(self) -> None:
        """End them all."""
        for process in self._stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        ray.shutdown()
        self._cluster.shutdown()


def name_of(node: Any) -> str:
    """What workers call their node."""
    return str(node.node_id)[:8]


def patiently(begin: Callable[[], Any]) -> Any:
    """What `begin` gives, at the first of several tries that succeeds."""
    for left in reversed(range(TRIES)):
        try:
            return begin()
        except Exception:
            if not left:
                raise
            time.sleep(2)
    return None


@contextlib.contextmanager
def nodes(count: int, at_exit: bool = True) -> Iterator[Nodes]:
    """So many nodes, until the context ends. See `Nodes`."""
    found = Nodes(count, at_exit)
    try:
        yield found
    finally:
        found.stop()
