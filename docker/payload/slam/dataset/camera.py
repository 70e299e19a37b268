"""Pinhole cameras with lens distortion, and where their numbers come from."""

from __future__ import annotations

from dataclasses import dataclass

CALIBRATION = "calib.txt"
HALF_PIXEL = 0.5
# Parts of an image's width and height; lenses are centred to a few hundredths.
_MOST_OFF_MIDDLE = 0.1


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A camera of OpenCV's pinhole or fisheye model.

    ``fx fy cx cy`` are in pixels. The image's upper left corner is (0, 0), so the middle of the first pixel
    is (0.5, 0.5), as in COLMAP; OpenCV's own ``cx cy`` are half a pixel less. ``distortion`` has no units. It
    is ``k1 k2 p1 p2 [k3 [k4 k5 k6]]`` or empty, and ``k1 k2 k3 k4`` of a fisheye lens.
    https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html
    https://docs.opencv.org/4.x/db/d58/group__calib3d__fisheye.html

    ``middle_px`` is what is taken from ``cx cy`` for OpenCV: 0.5, or 0 where nothing says what a
    calibration's numbers count from. Those go to OpenCV as they stand, as DROID-SLAM's scripts have it.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False
    middle_px: float = 0.0


def opencv_camera(
    *,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    distortion: tuple[float, ...] = (),
    is_fisheye: bool = False,
) -> Intrinsics:
    """A camera whose ``cx cy`` are OpenCV's: the middle of the first pixel is (0, 0)."""
    return Intrinsics(
        fx=fx,
        fy=fy,
        cx=cx + HALF_PIXEL,
        cy=cy + HALF_PIXEL,
        distortion=distortion,
        is_fisheye=is_fisheye,
        middle_px=HALF_PIXEL,
    )


# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#intrinsic_camera_calibration_of_the_kinect
# (the colour cameras; those of freiburg3 are already undistorted). Its cx, cy may be OpenCV's; half a pixel
# is less than these calibrations are good for, so the published numbers stand.
TUM_CAMERAS = {
    "freiburg1": Intrinsics(
        fx=517.3, fy=516.5, cx=318.6, cy=255.3, distortion=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    ),
    "freiburg2": Intrinsics(
        fx=520.9, fy=521.0, cx=325.1, cy=249.7, distortion=(0.2312, -0.7849, -0.0033, -0.0001, 0.9172)
    ),
    "freiburg3": Intrinsics(fx=535.4, fy=539.2, cx=320.1, cy=247.6),
}


def camera_model(intrinsics: Intrinsics) -> tuple[str, list[float]]:
    """COLMAP's name for the smallest model that holds these intrinsics, and its parameters.

    https://colmap.github.io/cameras.html
    """
    pinhole = [intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
    distortion = list(intrinsics.distortion)
    if intrinsics.is_fisheye:
        return "OPENCV_FISHEYE", pinhole + distortion
    if not distortion:
        return "PINHOLE", pinhole
    if len(distortion) == 4:
        return "OPENCV", pinhole + distortion
    return "FULL_OPENCV", pinhole + distortion + [0.0] * (8 - len(distortion))


def tum_intrinsics(name: str) -> Intrinsics | None:
    """The published camera of a TUM RGB-D sequence whose name holds ``freiburg1`` or ``fr1`` and so on."""
    for camera, intrinsics in TUM_CAMERAS.items():
        words = name.lower().replace("-", "_").split("_")
        if camera in words or camera.replace("eiburg", "") in words:
            return intrinsics
    return None


def describe(camera: Intrinsics) -> str:
    """The camera's numbers in words."""
    kind, names = ("fisheye", "k1 k2 k3 k4") if camera.is_fisheye else ("pinhole", "k1 k2 p1 p2 k3 k4 k5 k6")
    pinhole = f"fx {camera.fx:.3f} fy {camera.fy:.3f} cx {camera.cx:.3f} cy {camera.cy:.3f}"
    bent = (f" {name} {value:.6g}" for name, value in zip(names.split(), camera.distortion, strict=False))
    return f"{kind}, {pinhole}{''.join(bent)}"


def describe_middle(camera: Intrinsics, size: tuple[int, int]) -> tuple[str, ...]:
    """A note where the principal point is far from the middle of images of ``size`` (width, height)."""
    width, height = size
    if max(abs(camera.cx / width - 0.5), abs(camera.cy / height - 0.5)) <= _MOST_OFF_MIDDLE:
        return ()
    other = max(abs(camera.cx / height - 0.5), abs(camera.cy / width - 0.5)) <= _MOST_OFF_MIDDLE
    likely = f"; it looks like one for {height}x{width} images, those of the camera turned" if other else ""
    note = (
        f"the principal point ({camera.cx:g}, {camera.cy:g}) is far from the middle of the {width}x{height} "
        f"images{likely}; the calibration has to be for the images as a viewer shows them"
    )
    return (note,)
