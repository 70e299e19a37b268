"""A vocabulary of a sequence's own features, by which images that look alike are found.

COLMAP downloads one that was made of photographs from all over the world; a compute node has no network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slam.engine.colmap.project import Project
from slam.progress import attend

if TYPE_CHECKING:
    import pycolmap

# As many features for each word as the library wants, and so few words that they are found in seconds.
MOST_FEATURES, FEATURES_PER_WORD = 100_000, 40


def build_vocabulary(project: Project, database: pycolmap.Database) -> Path:
    """Group features of all images, chosen by the seed, into words; the file that COLMAP reads them from."""
    import pycolmap

    path = project.database.with_name("vocabulary.bin")
    if path.exists():
        return path
    sample = sample_features(database, project.settings.seed)
    options = pycolmap.VisualIndex.BuildOptions()
    options.num_visual_words = max(1, len(sample) // FEATURES_PER_WORD)
    options.num_iterations, options.num_rounds = 10, 1
    options.num_threads = project.settings.threads
    features = pycolmap.FeatureDescriptorsFloat(pycolmap.FeatureExtractorType.SIFT, sample)
    index = pycolmap.VisualIndex.create(128, 64)  # SIFT's, and what COLMAP keeps of it
    attend(lambda: index.build(options, features), lambda: "matching   finding words")
    index.write(path)
    return path


def sample_features(database: pycolmap.Database, seed: int) -> np.ndarray:
    """As many descriptors of each image, as float32 [n, 128]; all, where an image has fewer."""
    images = sorted(image.image_id for image in database.read_all_images())
    share = max(1, MOST_FEATURES // len(images))
    random = np.random.default_rng(seed)
    chosen = []
    for image in images:
        found = database.read_descriptors(image).to_float().data
        chosen.append(found[np.sort(random.permutation(len(found))[:share])])
    return np.concatenate(chosen)
