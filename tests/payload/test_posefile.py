"""Files of poses in all formats: told by their content; rows that are not as they should be."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slam.errors import InputError
from slam.posefile.clock import find_clock, to_seconds
from slam.posefile.posefile import read_posefile
from slam.trajectory import Trajectory, write_trajectory

RNG = np.random.default_rng(3)
TURNS = Rotation.random(4, random_state=RNG)
PLACES = RNG.normal(size=(4, 3))
SECONDS = [f"14037155{place}.25" for place in range(20, 24)]


def tum(path: Path, stamps: list[str] = SECONDS, separator: str = " ") -> Path:
    rows = np.hstack([PLACES, TURNS.as_quat()])[: len(stamps)]
    lines = [
        separator.join([stamp, *map(repr, row.tolist())]) for stamp, row in zip(stamps, rows, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def kitti(path: Path) -> Path:
    np.savetxt(path, np.dstack([TURNS.as_matrix(), PLACES]).reshape(4, 12))
    return path


def euroc(path: Path) -> Path:
    wxyz = np.roll(TURNS.as_quat(), 1, axis=1)
    lines = [
        "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z []"
    ]
    for stamp, row in zip(SECONDS, np.hstack([PLACES, wxyz]), strict=True):
        lines.append(",".join([str(int(Decimal(stamp) * 10**9)), *map(repr, row.tolist()), "0", "0"]))
    path.write_text("\n".join(lines) + "\n")
    return path


# By evo's own readers of these files.
_EVO = """
import sys
import numpy as np
from evo.tools import file_interface as files
kind, path, out = sys.argv[1:]
read = {"tum": files.read_tum_trajectory_file, "kitti": files.read_kitti_poses_file,
        "euroc": files.read_euroc_csv_trajectory}[kind]
poses = read(path)
times = getattr(poses, "timestamps", np.arange(poses.num_poses))
np.savez(out, times=times, poses=np.array(poses.poses_se3))
"""


@pytest.mark.parametrize(
    ("kind", "make", "name"), [("tum", tum, "TUM"), ("kitti", kitti, "KITTI"), ("euroc", euroc, "EuRoC")]
)
def test_reads_what_evo_reads(tmp_path: Path, kind: str, make, name: str) -> None:
    path = make(tmp_path / "poses")  # no ending tells its format
    subprocess.run(
        [sys.executable, "-c", _EVO, kind, path, tmp_path / "evo.npz"],
        env={**os.environ, "HOME": str(tmp_path)}, check=True,
    )  # fmt: skip
    evo = np.load(tmp_path / "evo.npz")
    poses = read_posefile(path)
    assert (poses.format.name, poses.notes) == (name, ())
    # evo divides nanoseconds as floats, which are a quarter of a microsecond apart by now.
    np.testing.assert_allclose(poses.trajectory.times, evo["times"], rtol=0, atol=3e-7)
    np.testing.assert_allclose(poses.trajectory.positions, evo["poses"][:, :3, 3], atol=1e-12)
    turns = Rotation.from_quat(poses.trajectory.quaternions).as_matrix()
    np.testing.assert_allclose(turns, evo["poses"][:, :3, :3], atol=1e-9)
    assert poses.trajectory.is_timed is (kind != "kitti")
    assert poses.trajectory.frame == ("body" if kind == "euroc" else None)


def test_a_table_that_names_its_columns_is_read_by_these_names(tmp_path: Path) -> None:
    """With commas both orders of a quaternion are common."""
    path = tum(tmp_path / "poses.csv", separator=",")
    plain = path.read_text()
    for header in (
        "timestamp,tx,ty,tz,qx,qy,qz,qw\n",
        "# time [s], x, y, z, q_x [], q_y [], q_z [], q_w []\n",
    ):
        path.write_text(header + plain)
        poses = read_posefile(path)
        assert poses.format.name == "CSV"
        assert poses.trajectory.stamps == tuple(SECONDS)
        np.testing.assert_allclose(poses.trajectory.quaternions, TURNS.as_quat())


# Of `rostopic echo -p` on a PoseStamped.
ROSTOPIC = ",".join(
    [
        *("%time", "field.header.seq", "field.header.stamp", "field.header.frame_id"),
        *(f"field.pose.position.{axis}" for axis in "xyz"),
        *(f"field.pose.orientation.{axis}" for axis in "xyzw"),
    ]
)


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("timestamp,qx,qy,qz,qw,tx,ty,tz", (0, 4, 5, 6, 7, 1, 2, 3)),
        ("frame,timestamp,x,y,z,qw,qx,qy,qz", (-1, 0, 1, 2, 3, 7, 4, 5, 6)),
        (",vx,stamp,p_x,p_y,p_z,q_x,q_y,q_z,q_w", (-1, -1, 0, 1, 2, 3, 4, 5, 6, 7)),
        (ROSTOPIC, (-1, -1, 0, -1, 1, 2, 3, 4, 5, 6, 7)),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_columns_are_those_that_a_header_names(
    tmp_path: Path, header: str, order: tuple[int, ...], separator: str
) -> None:
    """What is named otherwise, -1 here, may be text, too."""
    rows = [line.split() for line in tum(tmp_path / "poses.txt").read_text().splitlines()]
    lines = [header, *(",".join("world" if place < 0 else row[place] for place in order) for row in rows)]
    path = tmp_path / "poses.csv"
    path.write_text("\r".join(lines).replace(",", separator))
    poses = read_posefile(path)
    assert (poses.format.name, poses.notes) == ("CSV", ())
    assert poses.trajectory.stamps == tuple(SECONDS)
    np.testing.assert_allclose(poses.trajectory.positions, PLACES, atol=1e-6)
    np.testing.assert_allclose(poses.trajectory.quaternions, TURNS.as_quat(), atol=1e-6)


def test_eurocs_columns_are_told_by_its_header_and_a_guess_without_one(tmp_path: Path) -> None:
    header = (
        "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], "
        "v_RS_R_x [m s^-1], v_RS_R_y [m s^-1], v_RS_R_z [m s^-1], b_w_RS_S_x [rad s^-1]\n"
    )
    path = tmp_path / "data.csv"
    row = "1403636580838555648,4.6,-1.7,0.8,0.5,-0.5,-0.5,-0.5,0,0,0,0\n"
    for text, notes in (
        (header + row, ()),
        (row, ("nothing names its columns, which are taken for EuRoC's",)),
    ):
        path.write_text(text)
        poses = read_posefile(path)
        assert poses.format.name == "EuRoC"
        np.testing.assert_array_equal(poses.trajectory.quaternions, [[-0.5, -0.5, -0.5, 0.5]])
        assert len(poses.notes) == len(notes)
        assert all(note in found for note, found in zip(notes, poses.notes, strict=True))


def test_rows_of_a_moment_that_was_there_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("1 1 0 0 0 0 0 1\n2 2 0 0 0 0 0 1\n2.0 3 0 0 0 0 0 1\n3 4 0 0 0 0 0 1\n")
    poses = read_posefile(path)
    assert poses.trajectory.stamps == ("1", "2", "3")
    np.testing.assert_array_equal(poses.trajectory.positions[:, 0], [1, 2, 4])
    words = "1 of 4 rows have a timestamp that was there before (line 3); the first of each moment is kept"
    assert poses.notes == (f"{path}: {words}",)
    assert poses.as_it_stands is not None
    np.testing.assert_array_equal(poses.as_it_stands.positions[:, 0], [1, 2, 3, 4])
    with pytest.raises(InputError, match=r"1 of 4 rows have a timestamp that was there before .*--strict"):
        read_posefile(path, strict=True)


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("3 3 0 0 0 0 0 1\n1 1 0 0 0 0 0 1\n2 2 0 0 0 0 0 1\n")
    poses = read_posefile(path)
    np.testing.assert_array_equal(poses.trajectory.positions[:, 0], [1, 2, 3])
    assert "1 of 3 rows are earlier than the one before (line 2)" in poses.notes[0]
    with pytest.raises(InputError, match="earlier"):
        read_posefile(path, strict=True)


@pytest.mark.parametrize("row", ["2 nan nan nan 0 0 0 1", "2 0 0 inf 0 0 0 1", "nan 0 0 0 0 0 0 1"])
def test_rows_without_numbers_are_left_out(tmp_path: Path, row: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(f"1 1 0 0 0 0 0 1\n{row}\n3 3 0 0 0 0 0 1\n")
    poses = read_posefile(path)
    assert poses.trajectory.stamps == ("1", "3")
    assert "1 of 3 rows have a number that is not finite (line 2)" in poses.notes[0]
    with pytest.raises(InputError, match="not finite"):
        read_posefile(path, strict=True)
    path.write_text(f"{row}\n")
    with pytest.raises(InputError, match="no row in it has a finite number"):
        read_posefile(path)


def test_places_stay_what_they_are_where_a_row_is_left_out(tmp_path: Path) -> None:
    path = kitti(tmp_path / "00.txt")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], " ".join(["nan"] * 12), *lines[2:]]))
    assert read_posefile(path).trajectory.stamps == ("0.0", "2.0", "3.0")


@pytest.mark.parametrize(
    "rows", ["1 0 0 0 0 1 0 0 0 0 -1 0", "2 0 0 0 0 2 0 0 0 0 2 0", "0 0 0 0 0 0 0 0 0 0 0 0"]
)
def test_a_matrix_has_to_be_a_rotation(tmp_path: Path, rows: str) -> None:
    (tmp_path / "00.txt").write_text(f"{rows}\n")
    with pytest.raises(InputError, match=r"00.txt:1: the matrix is no rotation"):
        read_posefile(tmp_path / "00.txt")


@pytest.mark.parametrize(
    ("stamps", "name"),
    [
        (["1403715529.11", "1403715529.16"], "seconds"),
        (["1403715529110", "1403715529160"], "milliseconds"),
        (["1403715529110000", "1403715529160000"], "microseconds"),
        (["1403715529112143517", "1403715529162143517"], "nanoseconds"),
        (["0", "50000", "100000"], "microseconds"),
        (["0", "50000000", "100000000"], "nanoseconds"),
        (["0", "0.05", "0.1"], "seconds"),
        (["0", "3", "6"], "seconds"),  # places of images with a stride, too
    ],
)
def test_units_of_clocks_are_told_by_size(tmp_path: Path, stamps: list[str], name: str) -> None:
    clock = find_clock([Decimal(stamp) for stamp in stamps])
    assert clock.name == name
    poses = read_posefile(tum(tmp_path / "t.txt", stamps))
    assert poses.trajectory.times == pytest.approx([float(one) / 10**clock.digits for one in stamps])
    assert [name in note for note in poses.notes] == ([True] if clock.digits else [])


def test_no_digit_is_lost() -> None:
    clock = find_clock([Decimal("1403715529112143517")])
    assert to_seconds("1403715529112143517", clock) == "1403715529.112143517"


def test_what_moves_is_written_and_read(tmp_path: Path) -> None:
    trajectory = Trajectory(
        stamps=("1", "2", "3", "4"), positions=PLACES, quaternions=TURNS.as_quat(), frame="camera"
    )
    write_trajectory(tmp_path / "t.tum", trajectory)
    assert (tmp_path / "t.tum").read_text().splitlines()[1] == "# frame: camera"
    assert read_posefile(tmp_path / "t.tum").trajectory.frame == "camera"
    # The word goes before what a format means by itself; others say nothing.
    path = euroc(tmp_path / "data.csv")
    body = path.read_text()
    for word, frame in [("camera", "camera"), ("map", "body")]:
        path.write_text(f"# frame: {word}\n{body}")
        assert read_posefile(path).trajectory.frame == frame


def write_bag(path: Path, *topics: str) -> None:
    """A bag of ROS 1 with the same poses in each topic."""
    rosbag1 = pytest.importorskip("rosbags.rosbag1", reason="bags are read by rosbags")
    from evo.core.trajectory import PoseTrajectory3D
    from evo.tools.file_interface import write_bag_trajectory

    quaternions = np.roll(TURNS.as_quat(), 1, axis=1)
    times = np.array([float(stamp) for stamp in SECONDS])
    with rosbag1.Writer(path) as writer:
        for topic in topics:
            write_bag_trajectory(writer, PoseTrajectory3D(PLACES, quaternions, times), topic)


def test_a_bags_poses_are_read(tmp_path: Path) -> None:
    write_bag(tmp_path / "one", "/pose")
    poses = read_posefile(tmp_path / "one")
    assert poses.format.name == "ROS bag"
    np.testing.assert_allclose(poses.trajectory.times, [float(stamp) for stamp in SECONDS], atol=1e-6)
    np.testing.assert_allclose(poses.trajectory.positions, PLACES)
    np.testing.assert_allclose(np.abs(poses.trajectory.quaternions), np.abs(TURNS.as_quat()), atol=1e-9)


def test_a_topic_is_named_where_several_have_poses(tmp_path: Path) -> None:
    path = tmp_path / "two.bag"
    write_bag(path, "/a", "/b")
    with pytest.raises(InputError, match=r"poses in the topics /a, /b; name one with --estimate-topic"):
        read_posefile(path)
    assert len(read_posefile(path, topic="/b").trajectory) == 4
    with pytest.raises(InputError, match=r"two.bag: no messages for topic '/c'"):
        read_posefile(path, topic="/c")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"two.bag: "):
        read_posefile(path)
