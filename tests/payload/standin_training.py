"""A stand-in for DROID-SLAM's sources: the same modules and calls around a network of a few numbers.

It is for what the real one is too slow for, or cannot be made to do: dozens of starts, a loss that is no
number, memory that runs out. The real one is in test_train_droid.py.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

MODULES = {
    "droid.py": "",
    "lietorch.py": """
        import torch

        class SE3:
            def __init__(self, data):
                self.data = data
            def inv(self):
                return SE3(-self.data)
            def detach(self):
                return SE3(self.data.detach())
            @staticmethod
            def IdentityLike(other):
                return SE3(torch.zeros_like(other.data))
        """,
    "droid_net.py": """
        import os
        import time

        import torch
        from lietorch import SE3

        STEP = [0]

        def happen(what):
            # BREAK is `what:step`, or `what:step:rank`.
            name, step, *rank = os.environ.get("BREAK", ":0").split(":")
            return name == what and STEP[0] == int(step) and rank in ([], [os.environ["RANK"]])

        class DroidNet(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.fnet = torch.nn.Linear(3, 2)
                self.update = torch.nn.Linear(2, 7)

            def forward(self, Gs, images, disps, intrinsics, graph, num_steps, fixedp):
                assert fixedp == 2 and images.dtype == torch.float32
                STEP[0] += 1
                if happen("settings"):
                    print("deterministic", torch.are_deterministic_algorithms_enabled())
                    print("cublas", os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
                time.sleep(float(os.environ.get("SLEEP", "0")))
                if happen("crash"):
                    raise RuntimeError("an accident of the network's")
                if happen("memory"):
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                if happen("kill"):
                    os.kill(os.getpid(), 9)
                # Drawn at random, so that a resumed training needs the states of the generators.
                noise = torch.randn(7) * 0.01
                found = self.update(self.fnet(images.mean((3, 4)) / 255)) + noise
                if happen("nan"):
                    found = found * float("nan")
                pose = SE3(Gs.data + found)
                fine = disps.repeat_interleave(8, 2).repeat_interleave(8, 3) * (1 + found[..., :1, None])
                return [pose] * num_steps, [fine] * num_steps, [found] * num_steps
        """,
    "geom/__init__.py": "",
    "geom/graph_utils.py": """
        def build_frame_graph(poses, disps, intrinsics, num):
            return {0: [1], 1: [0]}
        """,
    "geom/losses.py": """
        def geodesic_loss(Ps, poses_est, graph, do_scale):
            error = (poses_est[-1].data - Ps.data).square().mean()
            return error, {"tr_error": error.item()}

        def residual_loss(residuals):
            loss = residuals[-1].abs().mean()
            return loss, {"residual": loss.item()}

        def flow_loss(Ps, disps, poses_est, disps_est, intrinsics, graph):
            loss = (disps_est[-1] - disps).abs().mean()
            return loss, {"f_error": loss.item()}
        """,
    "data_readers/__init__.py": "",
    "data_readers/augmentation.py": """
        import numpy as np
        import torch

        class RGBDAugmentor:
            def __init__(self, crop_size):
                self.crop_size = crop_size

            def __call__(self, images, poses, disps, intrinsics):
                height, width = self.crop_size
                light = np.random.uniform(0.8, 1.2) + 0.1 * torch.rand(1)
                return light * images[:, :, :height, :width], poses, disps[:, :height, :width], intrinsics
        """,
    "data_readers/tartan_test.txt": "hall/hall/Easy/P000\n",
}


def make_standin(root: Path) -> Path:
    """Write the stand-in to a folder for ``DROID_ROOT``."""
    for name, text in MODULES.items():
        path = root / "droid_slam" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return root
