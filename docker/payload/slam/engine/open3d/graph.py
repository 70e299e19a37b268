"""Views that see the same place again, and the poses that agree with all motions between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slam.engine.open3d.odometry import (
    SAME_PLACE_M,
    Motion,
    View,
    find_certainty,
    find_motion,
    share_in_sight,
)
from slam.trajectory import Floats

# Of a view's pixels, this share has to be in sight of another one, and then to be found there.
LOOP_OVERLAP = 0.5
# Each view is tied to at most so many earlier ones: those that it should share most with.
LOOPS_EACH = 3


@dataclass(frozen=True, kw_only=True)
class Tie:
    """A motion from one keyframe to another, by their places among the keyframes."""

    source: int
    target: int
    motion: Motion
    is_loop: bool


def find_loops(views: list[View], poses: list[Floats]) -> list[Tie]:
    """Ties between keyframes that are no neighbours, where what they see agrees."""
    ties = []
    for source in range(2, len(views)):
        targets = range(source - 1)
        motions = [np.linalg.inv(poses[target]) @ poses[source] for target in targets]
        shares = [
            share_in_sight(views[source], views[target], motion)
            for target, motion in zip(targets, motions, strict=True)
        ]
        for target in sorted(targets, key=lambda place: -shares[place])[:LOOPS_EACH]:
            if shares[target] < LOOP_OVERLAP:
                break
            found = find_motion(views[source], views[target], motions[target])
            if found is not None and found.overlap >= LOOP_OVERLAP:
                ties.append(Tie(source=source, target=target, motion=found, is_loop=True))
    return ties


def adjust(views: list[View], poses: list[Floats], ties: list[Tie]) -> list[Floats]:
    """The poses [4, 4] of keyframes that fit all ties best; loops that fit nothing else are left out.

    Choi, Zhou and Koltun, "Robust reconstruction of indoor scenes", CVPR 2015. The first pose stays.
    """
    import open3d

    registration = open3d.pipelines.registration
    graph = registration.PoseGraph()
    for pose in poses:
        graph.nodes.append(registration.PoseGraphNode(pose))
    for tie in ties:
        certainty = find_certainty(views[tie.source], views[tie.target], tie.motion.transform)
        edge = registration.PoseGraphEdge(
            tie.source, tie.target, tie.motion.transform, certainty, uncertain=tie.is_loop
        )
        graph.edges.append(edge)
    registration.global_optimization(
        graph,
        registration.GlobalOptimizationLevenbergMarquardt(),
        registration.GlobalOptimizationConvergenceCriteria(),
        registration.GlobalOptimizationOption(max_correspondence_distance=SAME_PLACE_M, reference_node=0),
    )
    return [np.array(node.pose) for node in graph.nodes]
