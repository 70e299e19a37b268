"""Calibration files as the programs that they are named after write them."""

from pathlib import Path

import numpy as np

# 640x480 images; cx, cy are OpenCV's.
FX, FY, CX, CY = 458.654, 457.296, 317.215, 248.375
BENT = (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
FISHEYE = (0.0034824, 0.00071503, -0.00205324, 0.00020294)
SIZE = (640, 480)

KALIBR = f"""\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [{BENT[0]}, {BENT[1]}, {BENT[2]}, 1.76187114e-05]
  distortion_model: radtan
  intrinsics: [{FX}, {FY}, {CX}, {CY}]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [0.99999, 0.0023, 0.0003, -0.11]
  - [-0.0023, 0.99990, 0.0141, 0.0004]
  - [-0.0003, -0.0141, 0.99990, -0.0008]
  - [0.0, 0.0, 0.0, 1.0]
  cam_overlaps: [0]
  camera_model: pinhole
  distortion_coeffs: {list(FISHEYE)}
  distortion_model: equidistant
  intrinsics: [190.9, 190.8, 320.1, 240.2]
  resolution: [640, 480]
  rostopic: /cam1/image_raw
"""
SENSOR = f"""\
# General sensor definitions.
sensor_type: camera
comment: VI-Sensor cam0 (MT9M034)

# Sensor extrinsics wrt. the body-frame.
T_BS:
  cols: 4
  rows: 4
  data: [0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975,
         0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768,
        -0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949,
         0.0, 0.0, 0.0, 1.0]

# Camera specific definitions.
rate_hz: 20
resolution: [640, 480]
camera_model: pinhole
intrinsics: [{FX}, {FY}, {CX}, {CY}] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: {list(BENT)}
"""
ORBSLAM2 = f"""\
%YAML:1.0

#--------------------------------------------------------------------------------------------
# Camera Parameters. Adjust them!
#--------------------------------------------------------------------------------------------

# Camera calibration and distortion parameters (OpenCV)
Camera.fx: {FX}
Camera.fy: {FY}
Camera.cx: {CX}
Camera.cy: {CY}

Camera.k1: {BENT[0]}
Camera.k2: {BENT[1]}
Camera.p1: {BENT[2]}
Camera.p2: 1.76187114e-05
Camera.k3: 0.0

# Camera frames per second
Camera.fps: 30.0
ORBextractor.nFeatures: 1000
"""
ORBSLAM2_STEREO = f"""\
%YAML:1.0
Camera.fx: 435.2046959714599
Camera.fy: 435.2046959714599
Camera.cx: 367.4517211914062
Camera.cy: 252.2008514404297
Camera.k1: 0.0
Camera.k2: 0.0
Camera.p1: 0.0
Camera.p2: 0.0
Camera.width: 640
Camera.height: 480
LEFT.height: 480
LEFT.width: 640
LEFT.D: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data:[{BENT[0]}, {BENT[1]}, {BENT[2]}, 1.76187114e-05, 0.0]
LEFT.K: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [{FX}, 0.0, {CX}, 0.0, {FY}, {CY}, 0.0, 0.0, 1.0]
"""
ORBSLAM3 = f"""\
%YAML:1.0

File.version: "1.0"
Camera.type: "PinHole"

Camera1.fx: {FX}
Camera1.fy: {FY}
Camera1.cx: {CX}
Camera1.cy: {CY}
Camera1.k1: {BENT[0]}
Camera1.k2: {BENT[1]}
Camera1.p1: {BENT[2]}
Camera1.p2: 1.76187114e-05

Camera.width: 640
Camera.height: 480
Camera.newWidth: 600
Camera.newHeight: 350
IMU.T_b_c1: !!opencv-matrix
   rows: 4
   cols: 4
   dt: f
   data: [1.0, 0.0, 0.0, 0.0,
         0.0, 1.0, 0.0, 0.0,
         0.0, 0.0, 1.0, 0.0,
         0.0, 0.0, 0.0, 1.0]
"""
ORBSLAM3_FISHEYE = f"""\
%YAML:1.0
---
Camera.type: "KannalaBrandt8"
Camera1.fx: {FX}
Camera1.fy: {FY}
Camera1.cx: {CX}
Camera1.cy: {CY}
Camera1.k1: {FISHEYE[0]}
Camera1.k2: {FISHEYE[1]}
Camera1.k3: {FISHEYE[2]}
Camera1.k4: {FISHEYE[3]}
Camera.width: 640
Camera.height: 480
"""
ROS = f"""\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [ {FX},   0.     , {CX},
            0.     , {FY}, {CY},
            0.     ,   0.     ,   1.     ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [{BENT[0]}, {BENT[1]}, {BENT[2]}, {BENT[3]}, 0.000000]
projection_matrix:
  rows: 3
  cols: 4
  data: [ 400., 0., 300., 0., 0., 400., 240., 0., 0., 0., 1., 0. ]
"""
# COLMAP's cx, cy are half a pixel more.
COLMAP = (
    "# Camera list with one line of data per camera:\n"
    "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
    "# Number of cameras: 1\n"
    f"1 OPENCV 640 480 {FX} {FY} {CX + 0.5} {CY + 0.5} {' '.join(map(str, BENT))}\n"
)
KITTI = """\
P0: 7.188560000000e+02 0.0 6.071928000000e+02 0.0 0.0 7.188560000000e+02 1.852157000000e+02 0.0 0.0 0.0 1.0 0.0
P1: 7.188560000000e+02 0.0 6.071928000000e+02 -3.861448000000e+02 0.0 7.188560000000e+02 1.852157000000e+02 0.0 0.0 0.0 1.0 0.0
P2: 7.188560000000e+02 0.0 6.071928000000e+02 4.538225000000e+01 0.0 7.188560000000e+02 1.852157000000e+02 -1.130887000000e-01 0.0 0.0 1.0 3.779761000000e-03
P3: 7.188560000000e+02 0.0 6.071928000000e+02 -3.372877000000e+02 0.0 7.188560000000e+02 1.852157000000e+02 2.369057000000e+00 0.0 0.0 1.0 4.915215000000e-03
"""  # noqa: E501


def write_opencv(path: Path, *, fisheye: bool = False) -> Path:
    """By ``cv::FileStorage`` itself, as OpenCV's sample does."""
    import cv2

    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("calibration_time", "Tue 21 Nov 2026 10:11:12 AM UTC")
    storage.write("image_width", SIZE[0])
    storage.write("image_height", SIZE[1])
    storage.write("fisheye_model", int(fisheye))
    storage.write("camera_matrix", np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.array(FISHEYE if fisheye else (*BENT, 0.0))[:, None])
    storage.release()
    return path
