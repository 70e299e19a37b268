"""DROID-SLAM's network as the learner; upstream's own modules, imported and not changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from slam.engine.droid.weights import read_weights, require_network, trim
from slam.errors import InputError
from slam.train.loop import Metrics
from slam.train.options import Options

# Upstream's own list of scenes that it never trains on, in its folder of readers.
_TEST_SCENES = Path("droid_slam", "data_readers", "tartan_test.txt")
# Upstream starts every other sample with neighbours up to this far apart, and the rest with its frame graph.
_RADIUS = 2
_CHANCE = 0.5


def list_test_scenes(root: Path) -> list[str]:
    """The names of TartanAir's scenes that upstream keeps for tests."""
    path = root / _TEST_SCENES
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


class DroidLearner:
    """The network and upstream's three losses."""

    def __init__(self, options: Options, device: Any) -> None:
        import torch
        from droid_net import DroidNet

        self.options, self.device = options, device
        torch.manual_seed(options.seed)
        self.network = DroidNet()
        if options.ckpt is not None:
            _fill(self.network, options.ckpt)
        _freeze(self.network, options.freeze)
        self.network.to(device).train()

    def passes(
        self, model: Any, batch: Any, shared: np.random.Generator, own: np.random.Generator
    ) -> Iterator[tuple[Any, Metrics]]:
        """One pass, and with ``restart_prob`` another from where it has got to."""
        import torch
        from lietorch import SE3

        images, poses, disparities, intrinsics = (tensor.to(self.device) for tensor in batch)
        truth = SE3(poses).inv()
        graph = self._choose_graph(poses, disparities, intrinsics, own)
        estimate = SE3.IdentityLike(truth)
        # The first two cameras are given, and all others begin where the second is.
        estimate.data[:, 0] = truth.data[:, 0]
        estimate.data[:, 1:] = truth.data[:, [1]]
        depths = torch.ones_like(disparities[:, :, 3::8, 3::8])
        draw = -1.0
        while draw < self.options.restart_prob:
            draw = shared.random()
            estimates, refined, residuals = model(
                estimate, images, depths, intrinsics / 8, graph, num_steps=self.options.iters, fixedp=2
            )
            yield self._judge(truth, disparities, intrinsics, graph, (estimates, refined, residuals))
            estimate, depths = estimates[-1].detach(), refined[-1][:, :, 3::8, 3::8].detach()

    def _choose_graph(self, poses: Any, disparities: Any, intrinsics: Any, own: np.random.Generator) -> Any:
        from geom.graph_utils import build_frame_graph

        if own.random() < _CHANCE:
            return build_frame_graph(poses, disparities, intrinsics, num=self.options.edges)
        count = poses.shape[1]
        return {
            frame: [other for other in range(count) if 0 < abs(frame - other) <= _RADIUS]
            for frame in range(count)
        }

    def _judge(
        self, truth: Any, disparities: Any, intrinsics: Any, graph: Any, found: tuple[Any, Any, Any]
    ) -> tuple[Any, Metrics]:
        from geom.losses import flow_loss, geodesic_loss, residual_loss

        estimates, refined, residuals = found
        pose, pose_metrics = geodesic_loss(truth, estimates, graph, do_scale=False)
        residual, residual_metrics = residual_loss(residuals)
        flow, flow_metrics = flow_loss(truth, disparities, estimates, refined, intrinsics, graph)
        loss = self.options.w1 * pose + self.options.w2 * residual + self.options.w3 * flow
        return loss, {**pose_metrics, **residual_metrics, **flow_metrics}


def make_augment(options: Options) -> Any:
    """Upstream's changes of colour and scale, with a crop."""
    from data_readers.augmentation import RGBDAugmentor

    return RGBDAugmentor(crop_size=list(options.crop))


def _fill(network: Any, path: Path) -> None:
    _, values = read_weights(path)
    require_network(path, values, network.state_dict())
    network.load_state_dict(trim(values))


def _freeze(network: Any, prefixes: tuple[str, ...]) -> None:
    """Leave the parameters whose names begin with these as they are."""
    names = [name for name, _ in network.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            parts = sorted({name.partition(".")[0] for name in names})
            raise InputError(
                f"--freeze {prefix}: no parameter's name begins so; the network has {', '.join(parts)}"
            )
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not name.startswith(prefixes) if prefixes else True
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError("--freeze: nothing is left to train; freeze less")
