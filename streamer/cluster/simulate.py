"""Compare placement policies in simulated time: `python -m streamer.cluster.simulate`.

python -m streamer.cluster.simulate --workers 10,100,1000 --plot placement.png
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from streamer.cluster.placement import Policy, any_of_them, least_burdened, two_choices
from streamer.cluster.simulation import Result, Scenario, Simulation
from streamer.core.console import say

POLICIES: dict[str, Policy] = {"two choices": two_choices, "least loaded": least_burdened, "random": any_of_them}
EACH = 50  # callers per worker
COLUMNS = (
    "workers",
    "policy",
    "begun",
    "denied",
    "in line",
    "came in p50/p99",
    "left",
    "late",
    "spread",
    "back p50/max",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of results; with --plot, also save the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="10,100,1000", help="how many, with commas (default: 10,100,1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="save the workers' loads over time (needs matplotlib)"
    )
    args = parser.parse_args(arguments)
    results: dict[int, list[Result]] = {}
    say("| " + " | ".join(COLUMNS) + " |")
    say("|" + "---|" * len(COLUMNS))
    for workers in [int(text) for text in args.workers.split(",")]:
        scenario = Scenario(workers, callers=EACH * workers, deaths=max(1, workers // 20), seed=args.seed)
        results[workers] = []
        for name, policy in POLICIES.items():
            result = Simulation(scenario, policy, name).run()
            results[workers].append(result)
            say("| " + " | ".join(row(workers, result)) + " |")
    if args.plot is not None:
        plot(results, args.plot)


def row(workers: int, result: Result) -> list[str]:
    """Return the cells of one table row."""
    waited = sorted(result.waited)
    moved = sorted(result.moved)
    queued = sum(each > 1 for each in waited)
    back = f"{statistics.median(moved):.1f} / {moved[-1]:.1f} s" if moved else "-"
    return [
        str(workers),
        result.policy,
        str(result.begun),
        f"{result.denied / max(1, result.asked):.2%}",
        str(queued),
        f"{statistics.median(waited):.2f} / {waited[int(0.99 * len(waited))]:.2f} s",
        str(result.left),
        f"{result.late_s / max(1.0, result.talked_s):.2%}",
        f"{statistics.mean(result.imbalance):.2f}",
        back,
    ]


def plot(results: dict[int, list[Result]], path: Path) -> None:
    """Plot, over time, how far the fullest worker's load is above the mean."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(5 * len(results), 3.6), sharey=True, squeeze=False)
    for axis, (workers, found) in zip(axes[0], results.items(), strict=True):
        for result in found:
            axis.plot(result.imbalance, label=result.policy, linewidth=1.2)
        axis.set_title(f"{workers} workers")
        axis.set_xlabel("time, s")
    axes[0][0].set_ylabel("fullest worker's load above the mean")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
