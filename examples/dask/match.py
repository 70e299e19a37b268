"""Matches every pair of images of a folder: which of them show the same things.

So structure from motion begins. ``python3 match.py FOLDER`` writes a line for each pair to ``pairs.jsonl``,
as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from distributed import Client, as_completed, get_worker

SUFFIXES = {".jpg", ".jpeg", ".png"}
# Longest side in pixels, and features an image.
SIZE, FEATURES = 1024, 2000
# Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (2004), 7.1.
RATIO = 0.8
# Pixels from the epipolar line.
DISTANCE = 2.0
# Two images are linked by this many matches that one camera motion explains.
LINKED = 30

Features = tuple[Any, Any]


def detect(path: str) -> Features:
    """SIFT's keypoints [n, 2], in pixels of the reduced image, and descriptors [n, 128] of an image."""
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError(f"{path}: this is no image")
    scale = min(1.0, SIZE / max(image.shape))
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    keypoints, descriptors = cv2.SIFT.create(FEATURES).detectAndCompute(image, None)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.float32)
    return np.array([keypoint.pt for keypoint in keypoints], np.float32), descriptors


def match(first: Features, second: Features) -> dict[str, int]:
    """How many features of two images look alike, and how many of those one camera motion explains."""
    (points, descriptors), (other_points, other_descriptors) = first, second
    if min(len(points), len(other_points)) < 2:
        return {"matches": 0, "inliers": 0}
    nearest = cv2.BFMatcher().knnMatch(descriptors, other_descriptors, k=2)
    good = [one for one, two in nearest if one.distance < RATIO * two.distance]
    inliers = 0
    if len(good) >= 8:
        cv2.setRNGSeed(0)
        left = points[[one.queryIdx for one in good]]
        right = other_points[[one.trainIdx for one in good]]
        _, mask = cv2.findFundamentalMat(left, right, cv2.USAC_MAGSAC, DISTANCE, 0.999, 5000)
        inliers = 0 if mask is None else int(mask.sum())
    return {"matches": len(good), "inliers": inliers}


def match_pair(names: tuple[str, str], first: Features, second: Features) -> dict[str, Any]:
    """The line of one pair, with the worker that has computed it."""
    return {"pair": names, **match(first, second), "worker": get_worker().name}


def match_all(client: Client, paths: list[Path]) -> Iterator[dict[str, Any]]:
    """The lines of all pairs, in the order in which they are done.

    Features stay on the workers. What a worker had when it died is computed again by the others.
    """
    features = dict(zip(paths, client.map(detect, [str(path) for path in paths]), strict=True))
    futures = [
        client.submit(match_pair, (one.name, two.name), features[one], features[two])
        for one, two in combinations(paths, 2)
    ]
    for _, line in as_completed(futures, with_results=True):
        yield line


def count_groups(names: list[str], links: list[tuple[str, str]]) -> int:
    """How many groups of images there are that no pair links."""
    group = {name: name for name in names}
    for one, two in links:
        old, new = group[one], group[two]
        group = {name: new if of == old else of for name, of in group.items()}
    return len(set(group.values()))


def main() -> None:
    """Match the images of a folder on the workers of a Dask cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    out = Path(os.environ.get("SLIPWAY_OUT", "out"))
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise SystemExit(f"match.py: {folder} holds {len(paths)} images; two are needed")

    client = Client()  # launch.py has told it where; without, it makes workers on this machine
    lines = []
    with (out / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for line in match_all(client, paths):
            lines.append(line)
            print(json.dumps(line), file=file, flush=True)
            print("{} {}: {inliers} of {matches} matches agree ({worker})".format(*line["pair"], **line))
    links = [line["pair"] for line in lines if line["inliers"] >= LINKED]
    summary = {
        "images": len(paths),
        "pairs": len(lines),
        "linked": len(links),
        "groups": count_groups([path.name for path in paths], links),
        "pairs_by_worker": dict(Counter(line["worker"] for line in lines)),
    }
    (out / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
