"""A stand-in for a checkout of DROID-SLAM: for what the real one cannot be made to do on demand.

Its classes have what ours touch of upstream's, do no work, and fail as the scenario says.
"""

from __future__ import annotations

from pathlib import Path

NETWORK = """
import torch

def layers():
    return torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity(), torch.nn.Conv2d(4, 2, 1))

class DroidNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.update = torch.nn.ModuleDict({"weight": layers(), "delta": layers()})
"""

DROID = """
import os, sys, types
import torch

SCENARIO = {scenario!r}

class Video:
    def __init__(self, size, rows):
        height, width = size
        self.counter = types.SimpleNamespace(value=0)
        self.tstamp = torch.zeros(rows, device="cuda")
        self.images = torch.zeros(rows, 3, height, width, dtype=torch.uint8, device="cuda")
        self.poses = torch.zeros(rows, 7, device="cuda")
        self.poses[:, 6] = 1
        self.disps = torch.ones(rows, height // 8, width // 8, device="cuda")
        self.disps_up = torch.ones(rows, height, width, device="cuda")
        self.intrinsics = torch.zeros(rows, 4, device="cuda")

class Droid:
    def __init__(self, args):
        print("a line that is not to be seen")
        self.args = args
        torch.load(args.weights)
        self.video = Video(args.image_size, args.buffer)
        graph = types.SimpleNamespace(damping=1e-6 * torch.ones_like(self.video.disps))
        self.frontend = types.SimpleNamespace(is_initialized=False, graph=graph)

    def track(self, t, image, depth=None, intrinsics=None):
        video, count = self.video, self.video.counter.value
        if SCENARIO == "out of memory" and t == 5:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        if SCENARIO == "crash" and t == 5:
            os.abort()
        if SCENARIO == "static" and count == 1 or SCENARIO == "few" and count == 4:
            return
        assert count + 17 <= len(video.tstamp), "no room"
        video.tstamp[count] = t
        video.images[count] = image[0]
        video.poses[count, 0] = -t
        video.intrinsics[count] = intrinsics / 8
        video.counter.value += 1
        self.frontend.is_initialized |= video.counter.value == self.args.warmup

    def terminate(self, stream):
        del self.frontend
        poses = torch.zeros(len(list(stream)), 7)
        poses[:, 0], poses[:, 6] = torch.arange(len(poses)), 1
        if SCENARIO == "no numbers":
            poses[3:, 0] = float("nan")
        if SCENARIO == "no keyframes":
            self.video.poses[2, 1] = float("inf")
        if SCENARIO == "too few poses":
            poses = poses[:-1]
        return poses.numpy()
"""


def write_standin(root: Path, scenario: str = "") -> Path:
    """Write it to a folder for ``DROID_ROOT``."""
    folder = root / "droid_slam"
    folder.mkdir(parents=True)
    (folder / "droid_net.py").write_text(NETWORK)
    (folder / "droid.py").write_text(DROID.format(scenario=scenario))
    return root
