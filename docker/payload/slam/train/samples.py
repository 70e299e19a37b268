"""Short videos to learn from, drawn from scenes along their graphs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from slam.errors import MemoryShortError, SlamError
from slam.train.covisibility import Graph
from slam.train.options import Options
from slam.train.preparation import Footage
from slam.train.randomness import seeded
from slam.train.validation import read_depth, read_image

Batch = tuple[Any, Any, Any, Any]
Augment = Callable[[Any, Any, Any, Any], Batch]

# Disparities below it say nothing of a scene's scale.
_LEAST_DISPARITY = 0.01


class Samples:
    """The samples of a dataset; ``samples[epoch, number]`` is the same whenever and wherever it is drawn.

    A sample is images [n, 3, h, w] float32 blue, green, red of 0 to 255, poses [n, 7] camera to world,
    disparities [n, h, w] with 0 where there is no depth, and intrinsics [n, 4]; h, w are the crop. Lengths
    are in units of one over the mean disparity.
    """

    def __init__(self, footage: Footage, options: Options, augment: Augment) -> None:
        self.footage = footage
        self.options = options
        self.augment = augment

    def __len__(self) -> int:
        return len(self.footage.starts)

    def __getitem__(self, draw: tuple[int, int]) -> Batch | SlamError:
        try:
            return self._draw(*draw)
        except SlamError as error:
            # Raised in a process that loads samples, it would come out with a traceback for its message.
            return error

    def _draw(self, epoch: int, number: int) -> Batch:
        place, start = self.footage.starts[number]
        with seeded(self.options.seed, epoch, number) as generator:
            frames = walk(self.footage.graphs[place], start, self.options, generator)
            images, poses, disparities, intrinsics = scale(*self.augment(*self._read(place, frames)))
            # Sums depend on how numbers lie in memory, which must not depend on who loads them.
            return images.contiguous(), poses.contiguous(), disparities.contiguous(), intrinsics.contiguous()

    def _read(self, place: int, frames: list[int]) -> Batch:
        import torch

        scene = self.footage.scenes[place]
        images = np.stack([read_image(scene.images[frame]) for frame in frames])
        depths = np.stack([read_depth(scene.depths[frame], scene.depth_divisor) for frame in frames])
        disparities = np.divide(1, depths, out=np.zeros_like(depths), where=depths > 0)
        return (
            torch.from_numpy(images).permute(0, 3, 1, 2).float(),
            torch.from_numpy(scene.poses[frames].astype(np.float32)),
            torch.from_numpy(disparities),
            torch.from_numpy(np.tile(scene.camera.astype(np.float32), (len(frames), 1))),
        )


def walk(graph: Graph, start: int, options: Options, generator: np.random.Generator) -> list[int]:
    """The frames of one sample: from each to one that overlaps it well enough, later if there is one."""
    frames = [start]
    while len(frames) < options.n_frames:
        near = graph.within(frames[-1], options.fmin, options.fmax)
        later = near[near > frames[-1]]
        choices: npt.NDArray[np.int64] = later if later.size else near
        frames.append(int(generator.choice(choices)))
    return frames


def scale(images: Any, poses: Any, disparities: Any, intrinsics: Any) -> Batch:
    """Bring the mean disparity to 1, for the scale of a scene cannot be learned."""
    known = disparities[disparities > _LEAST_DISPARITY]
    if len(known):
        mean = known.mean()
        disparities = disparities / mean
        poses = poses.clone()
        poses[..., :3] *= mean
    return images, poses, disparities, intrinsics


class Draws:
    """Which samples the batches of an epoch hold, for one of several processes, from some batch on."""

    def __init__(self, samples: int, *, batch: int, rank: int, world: int, seed: int) -> None:
        from torch.utils.data.distributed import DistributedSampler

        self.batch = batch
        self.epoch = self.position = 0
        # It looks at nothing but the length.
        self.sampler = DistributedSampler(range(samples), world, rank, shuffle=True, seed=seed)

    def begin(self, epoch: int, position: int) -> None:
        """Go to a batch of an epoch."""
        self.epoch, self.position = epoch, position
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        numbers = list(self.sampler)
        for first in range(self.position * self.batch, len(numbers), self.batch):
            yield [(self.epoch, number) for number in numbers[first : first + self.batch]]


class Feed:
    """Batches of samples, loaded by processes of their own."""

    def __init__(self, samples: Samples, draws: Draws, *, workers: int, pin: bool) -> None:
        import torch
        from torch.utils.data import DataLoader

        self.draws = draws
        self.processes: list[BaseProcess] = []
        self.loader = DataLoader(
            samples,
            batch_sampler=draws,
            num_workers=workers,
            pin_memory=pin,
            worker_init_fn=_ignore_signals,
            collate_fn=_collate,
            # It draws a seed for each pass, and would take it from the generator that the network draws from.
            generator=torch.Generator(),
        )

    def batches(self, epoch: int, position: int) -> Iterator[Batch]:
        """The batches of an epoch from one of them on.

        Raises:
            InputError: a file of a sample has become unreadable since it was checked.
        """
        self.draws.begin(epoch, position)
        batches = iter(self.loader)
        self.processes = multiprocessing.active_children()
        for batch in batches:
            if isinstance(batch, SlamError):
                raise batch
            yield batch

    def require_processes(self) -> None:
        """Find out whether a training failed because a process that loads samples was ended from outside.

        PyTorch then raises a RuntimeError wherever the training happens to be.

        Raises:
            MemoryShortError: it was.
        """
        if any((process.exitcode or 0) < 0 for process in self.processes):
            raise MemoryShortError(
                "a process that loads samples was killed, as it is where memory or room in /dev/shm does not "
                "suffice; ask for more (--mem; docker's --shm-size), or load without such processes "
                "(--workers 0)"
            )


def _collate(samples: list[Batch | SlamError]) -> Batch | SlamError:
    from torch.utils.data import default_collate

    errors = [sample for sample in samples if isinstance(sample, SlamError)]
    return errors[0] if errors else tuple(default_collate(samples))


def _ignore_signals(_worker: int) -> None:
    """What a signal means is the training's business, which may still need the next batch."""
    import signal

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
