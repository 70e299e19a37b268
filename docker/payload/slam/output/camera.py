"""The camera that took a sequence's images, in the words of COLMAP."""

from __future__ import annotations

from dataclasses import dataclass

from slam.dataset.camera import camera_model
from slam.dataset.sequence import Sequence

# https://colmap.github.io/cameras.html, parameters in COLMAP's order.
PARAMETERS = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
}


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera of images of ``width`` by ``height`` pixels, upright.

    ``model`` is COLMAP's name, ``parameters`` are COLMAP's, in pixels; the middle of the first pixel is at
    (0.5, 0.5). ``turn`` is a rotation matrix, row by row, from this camera's axes to those of the camera
    whose poses a trajectory holds, where that is another one in the same place: a rectified one.
    """

    model: str
    parameters: tuple[float, ...]
    width: int
    height: int
    turn: tuple[float, ...] | None = None

    def named(self) -> dict[str, float]:
        """The parameters by their names: ``fx fy cx cy``, then those of the distortion.

        Raises:
            ValueError: the model is not in the table.
        """
        if self.model not in PARAMETERS:
            raise ValueError(f"the camera model {self.model}")
        named = dict(zip(PARAMETERS[self.model].split(), self.parameters, strict=True))
        focal = named.pop("f", None)
        return named if focal is None else {"fx": focal, "fy": focal, **named}

    def summarize(self) -> dict[str, object]:
        """What goes to ``summary.json``."""
        return {
            "model": self.model,
            "parameters": list(self.parameters),
            "image_size": [self.width, self.height],
        }


def camera_of(sequence: Sequence) -> Camera | None:
    """The camera of a sequence's files; ``None`` where nothing says what it is."""
    if sequence.intrinsics is None:
        return None
    model, parameters = camera_model(sequence.intrinsics)
    width, height = sequence.file_size or (sequence.width, sequence.height)
    return Camera(model=model, parameters=tuple(parameters), width=width, height=height, turn=sequence.turn)
