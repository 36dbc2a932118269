"""Golden files for the narrow networks, in the layout that `export.parity` reads, and a few of their numbers to keep.

`python -m tests.families.narrow_golden` writes the numbers in tests/data/parity_narrow.npz anew: only when it is known
why they changed. The networks they come from agreed with the reference implementation at full width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.parity.__main__ import Weights
from export.parity.cases import CANONICAL, case_of, read
from export.parity.clip import move, run_clip
from export.parity.compare import Array
from export.parity.stages import TorchStages
from tests import DATA

KEPT = DATA / "parity_narrow.npz"
WIDTH, SIZE = 1 / 16, 128
FRAMES = 36  # a block of poses and a tail
KEPT_VALUES = 128  # of each output


def inputs() -> dict[str, dict[str, Array]]:
    """The inputs of each file."""
    rng = np.random.default_rng(2)

    def normal(*shape: int) -> Array:
        return np.asarray(0.5 * rng.standard_normal(shape), np.float32)

    def image(size: int) -> Array:
        smooth = np.cumsum(np.cumsum(rng.standard_normal((1, 3, size, size)), 2), 3)
        return np.asarray(255 * (smooth - smooth.min()) / np.ptp(smooth), np.uint8)

    files = {
        "expnet": {
            "mel": 4 * normal(1, 3, 1, 80, 16),
            "ref": normal(1, 3, 64),
            "ratio": rng.random((1, 3, 1), np.float32),
        },
        "posevae_class7": {
            "mel": 4 * normal(1, 32, 1, 80, 16),
            "ref": normal(1, 6),
            "z": normal(1, 64),
            "class_id": np.array(7),
        },
        "mapping70": {"coeff": normal(2, 70, 27)},
        "mapping73": {"coeff": normal(2, 73, 27)},
        "keypoints": {"image": image(SIZE)},
        "generator_near": {"kp_source": normal(1, 15, 3), "kp_driving": normal(1, 15, 3)},
        "face_3drecon": {"image": image(224)},
    }
    pcm = (3000 * np.sin(np.arange(FRAMES * 640 + 70) ** 1.1) + 500 * rng.standard_normal(FRAMES * 640 + 70)).astype(
        np.int16
    )
    files["offline_clip"] = {
        "pcm": pcm,
        "ref": normal(1, 70),
        "blink": rng.random((FRAMES, 1), np.float32),
        "z": normal(2, 1, 64),
        "pose_style": np.array(3),
        "coeff_scale": np.array(0.1, np.float32),
        "image": image(SIZE),
    }
    return files


def write(folder: Path) -> None:
    """Write complete golden files."""
    stages = TorchStages(Weights(width=WIDTH).network)
    files = inputs()
    for name, given in files.items():
        np.savez(folder / f"{name}.npz", allow_pickle=False, **given)  # some take inputs from each other
    for name, given in files.items():
        path = folder / f"{name}.npz"
        np.savez(path, allow_pickle=False, **given, **_outputs(path, given, stages))


def _outputs(path: Path, given: dict[str, Array], stages: TorchStages) -> dict[str, Array]:
    if path.stem == "offline_clip":
        frames = {f"frame_{i}": np.zeros(0) for i in (0, FRAMES - 1)}
        return run_clip(given | frames, stages)
    if path.stem.startswith("mapping"):
        outputs = dict(move(given["coeff"], CANONICAL, stages))
        del outputs["keypoints"]
        return outputs
    return dict(case_of(path).run(given, path, stages).found)


def kept(folder: Path) -> dict[str, Array]:
    """KEPT_VALUES of each output in complete golden files, by "file/output"."""
    result = {}
    for path in sorted(folder.glob("*.npz")):
        case = case_of(path)
        for name, array in read(path).items():
            if name not in case.inputs:
                result[f"{path.stem}/{name}"] = array.reshape(-1)[:: max(1, array.size // KEPT_VALUES)]
    return result


def main() -> None:
    """Write the numbers to keep."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        np.savez_compressed(KEPT, allow_pickle=False, **kept(Path(folder)))


if __name__ == "__main__":
    main()
