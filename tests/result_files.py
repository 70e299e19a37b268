"""The names of what ``infer`` leaves, written by hand: the program's own list would agree with itself."""

ALWAYS = frozenset(
    {
        "cameras.ply",
        "cloud.ply",
        "cloud.png",
        "poses.csv",
        "sparse",
        "summary.json",
        "trajectory.csv",
        "trajectory.kitti",
        "trajectory.png",
        "trajectory.tum",
        "transforms.json",
    }
)
WITH_TRUTH = ALWAYS | {"ate.json", "errors.csv", "groundtruth.tum", "rpe.json"}
DROID_WITH_PTH = WITH_TRUTH | {"keyframes.tum", "reconstruction.npz", "reconstruction.pth"}
