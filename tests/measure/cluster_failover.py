"""What callers see when a machine of a cluster dies: `python -m tests.measure.cluster_failover --kills 10`.

Three nodes of Ray on this machine, each with a worker of two places, two gateways in processes of their own, and three
callers that do what the page does (`page_caller`). All processes of a node, in which somebody talks, are killed at once
(SIGKILL), or stopped with `--signal STOP`, as a machine that hangs and refuses no connection; another node takes its
place. Stopped ones go on after their callers have called again (SIGCONT): nobody is to have two sessions then.

Before each kill there is a control run: as long, in which nothing is killed, and as many callers hang up and call
again. Of the callers of the other nodes it is told, for both, from a second before to five seconds after: packets lost
on the way, packets of sound and pictures that their servers left out (`rtp_log`). Losses are harm; what is left out
in both alike is the load of the machine, on which all nodes and all callers are. At the end a gateway is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamer.cluster.nodes.ray_actors import ClusterSettings, start_controller
from streamer.cluster.nodes.ray_directory import RayDirectory
from streamer.cluster.scaling import Share
from streamer.core.aio import MonotonicClock
from streamer.server.options import ServeOptions
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.families import tiny_family
from tests.measure.lone_gateway import lone_gateway
from tests.measure.page_caller import Loss, PageCaller
from tests.measure.rtp_log import Gaps
from tests.nodes import Nodes, name_of, nodes
from tests.waiting import eventually

SECRET = b"of the cluster that is measured"
NODES, PLACES, CALLERS = 3, 2, 3
BEFORE_S, WINDOW_S = 1.0, 5.0  # of a control run, and of a kill: before and after its moment
SETTLE_S = 3.0  # after a node has come
REVIVED_S = 15.0  # after which a session whose caller has gone must have ended (`Limits.gone_s`)
PATIENCE_S = 180.0


@dataclass
class Others:
    """What callers miss whose node was not killed, of each run."""

    runs: list[Gaps] = field(default_factory=list)

    def take(self, pages: Sequence[PageCaller], moment: float) -> None:
        """All of one run."""
        self.runs.append(sum((page.packets.gaps(moment - BEFORE_S, moment + WINDOW_S) for page in pages), Gaps()))

    def told(self) -> str:
        """The last run."""
        run = self.runs[-1]
        return f"{run.lost} lost, {run.sound}+{run.pictures} left out, longest {1000 * run.longest_s:.0f} ms"

    def summed(self) -> str:
        """All runs."""
        pictures = sorted(run.pictures for run in self.runs)
        sound = sum(run.sound for run in self.runs)
        text = f"{sum(run.lost for run in self.runs)} packets lost, {sound} packets of sound and {sum(pictures)} "
        return text + f"pictures left out (each run: {pictures}, median {statistics.median(pictures)})"


@dataclass
class House:
    """The cluster that is measured."""

    nodes: Nodes
    controller: Any
    directory: RayDirectory
    gateways: list[tuple[str, asyncio.subprocess.Process]]
    pages: list[PageCaller]

    async def settled(self) -> None:
        """Until all nodes have a worker, and all callers see a moving face."""
        await eventually(lambda: self.ready == NODES and all(page.worker for page in self.pages), PATIENCE_S)
        await asyncio.sleep(SETTLE_S)

    @property
    def ready(self) -> int:
        """Workers that take sessions."""
        return sum(worker.open for worker in self.directory.view.workers)

    def node_of(self, page: PageCaller) -> str:
        """Of its worker."""
        worker = self.directory.view.find(page.worker)
        return "" if worker is None else worker.node

    def victim(self) -> tuple[Any, list[PageCaller]]:
        """A node in which somebody talks, not the head, and who: the node that has been there longest."""
        for node in self.nodes.others:
            if found := [page for page in self.pages if self.node_of(page) == name_of(node)]:
                return node, found
        raise SystemExit("all callers are on the head's node; run it again")


@contextlib.asynccontextmanager
async def running(family: Path, callers: int = CALLERS) -> AsyncIterator[House]:
    """Nodes, gateways, callers."""
    with nodes(NODES, at_exit=False) as found:
        options = ServeOptions(family=family, max_sessions=PLACES, threads=1, photos=False)
        controller = start_controller(ClusterSettings(SECRET, Share(cores=1), options))
        await asyncio.wait_for(controller.door.remote(), PATIENCE_S)
        directory = RayDirectory(MonotonicClock())
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(directory.followed())
            gateways = [await stack.enter_async_context(lone_gateway(found.address)) for _ in range(2)]
            await eventually(lambda: sum(each.open for each in directory.view.workers) == NODES, PATIENCE_S)
            pages = [PageCaller([url for url, _ in gateways]) for _ in range(callers)]
            tasks = []
            for page in pages:
                tasks.append(asyncio.create_task(page.run()))
                await asyncio.sleep(1.5)  # until the next sees its place taken
            try:
                yield House(found, controller, directory, gateways, pages)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def one_kill(house: House, how: signal.Signals, control: Others, harmed: Others) -> list[Loss]:
    """A control run and a kill; how its callers fared."""
    await house.settled()
    _, again = house.victim()
    start = time.monotonic()
    for page in again:
        page.call_again()
    await asyncio.sleep(WINDOW_S)
    control.take([page for page in house.pages if page not in again], start)
    await house.settled()
    node, victims = house.victim()
    others = [page for page in house.pages if page not in victims]
    before = [len(page.losses) for page in victims]
    start = time.monotonic()
    await asyncio.to_thread(house.nodes.kill, node, how)

    def fared() -> list[list[Loss]]:
        return [page.losses[count:] for page, count in zip(victims, before, strict=True)]

    await eventually(lambda: all(losses and losses[-1].moving for losses in fared()), PATIENCE_S)
    await asyncio.sleep(max(0.0, start + WINDOW_S - time.monotonic()))
    harmed.take(others, start)
    found = [losses[-1] for losses in fared()]
    for loss in found:
        print(f"still for {loss.still_s:.2f} s: {loss.told()}")
    print(f"  of the others: {harmed.told()}; in the control run: {control.told()}", flush=True)
    if how == signal.SIGSTOP:
        await revived(house, node)
    house.nodes.others.remove(node)
    house.nodes.others.append(await asyncio.to_thread(house.nodes.add))
    return found


async def revived(house: House, node: Any) -> None:
    """A node that hung goes on: what becomes of its worker, and how many sessions there are for all callers."""
    await asyncio.to_thread(house.nodes.revive, node)
    await asyncio.sleep(REVIVED_S)
    there = [worker for worker in house.directory.view.workers if worker.node == name_of(node)]
    sessions = sum(worker.sessions for worker in house.directory.view.workers)
    state = f"{there[0].sessions} sessions, open: {there[0].open}" if there else "gone"
    print(f"  after {REVIVED_S:.0f} s of going on: its worker {state}; {sessions} sessions, {len(house.pages)} callers")
    await asyncio.to_thread(house.nodes.kill, node)


async def gateway_killed(house: House) -> None:
    """What callers miss when the gateway dies through which they all came."""
    await house.settled()
    control, harmed = Others(), Others()
    start = time.monotonic()
    await asyncio.sleep(WINDOW_S)
    control.take(house.pages, start)
    counts = [len(page.losses) for page in house.pages]
    asked, failed = (sum(getattr(page, name) for page in house.pages) for name in ("asked", "unanswered"))
    start = time.monotonic()
    house.gateways[0][1].kill()
    await asyncio.sleep(WINDOW_S)
    harmed.take(house.pages, start)
    losses = [loss.why for page, count in zip(house.pages, counts, strict=True) for loss in page.losses[count:]]
    asked = sum(page.asked for page in house.pages) - asked
    failed = sum(page.unanswered for page in house.pages) - failed
    print(
        f"gateway killed: {len(losses)} calls lost {losses}; {harmed.told()}; in the control run: {control.told()}; ",
        end="",
    )
    print(f"{asked} requests, of which {failed} not answered by the other gateway")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--signal", choices=("KILL", "STOP"), default="KILL")
    parser.add_argument("--engines", type=Path, help="a family (default: networks in miniature)")
    args = parser.parse_args()
    offer_only(LOOPBACK)
    how = signal.Signals[f"SIG{args.signal}"]
    with tempfile.TemporaryDirectory() as folder:
        control, harmed, found = Others(), Others(), list[Loss]()
        async with running(args.engines or tiny_family.build(Path(folder) / "tiny")) as house:
            for _ in range(args.kills):
                found += await one_kill(house, how, control, harmed)
            await gateway_killed(house)
    still = [loss.still_s for loss in found]
    if still:
        print(
            f"{args.kills} kills, {len(still)} callers: median {statistics.median(still):.2f} s, worst {max(still):.2f}"
        )
        print(f"of the others: {harmed.summed()}")
        print(f"in as many control runs: {control.summed()}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
