from pathlib import Path

import numpy as np
import pytest

from slam.errors import InputError
from slam.posefile.posefile import read_posefile
from slam.trajectory import Trajectory, write_trajectory


def test_reads_poses_past_comments(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(
        "# timestamp tx ty tz qx qy qz qw\n\n"
        "1305031098.6659 1.3563 0.6305 1.6380 0.6132 0.5962 -0.3311 -0.3986\n"
        "1305031098.6758\t1 2 3 0 0 0 1\n"
    )
    trajectory = read_posefile(tmp_path / "t.txt").trajectory
    assert trajectory.stamps == ("1305031098.6659", "1305031098.6758")
    np.testing.assert_array_equal(trajectory.positions, [[1.3563, 0.6305, 1.6380], [1, 2, 3]])
    np.testing.assert_array_equal(trajectory.quaternions, [[0.6132, 0.5962, -0.3311, -0.3986], [0, 0, 0, 1]])
    np.testing.assert_array_equal(trajectory.times, [1305031098.6659, 1305031098.6758])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", r"t.txt:2: 3 numbers; expected `timestamp tx ty tz qx qy qz qw`"),
        ("1 0 0 0 0 0 0 1 9", r"t.txt:2: 9 numbers"),
        ("1,0,0,0,0,0,0,1", r"t.txt:2: could not convert"),
        ("1 0 0 0 0 0 0 0", r"t.txt:2: the quaternion's length is 0, not 1"),
        ("1 0.5 0.5 0.5 1 2 3 0", r"t.txt:2: the quaternion's length is 3.74"),
    ],
)
def test_says_which_line_is_no_pose(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(f"0 0 0 0 0 0 0 1\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_posefile(tmp_path / "t.txt")


def test_a_trajectory_must_hold_a_pose(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"t.txt: no pose in it"):
        read_posefile(tmp_path / "t.txt")
    with pytest.raises(InputError, match=r"u.txt: there is no such trajectory file"):
        read_posefile(tmp_path / "u.txt")
    with pytest.raises(InputError, match=r"it cannot be read \(Is a directory\)"):
        read_posefile(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf0 0 0 0 0 0 0 1\r\n\r\n1 0 0 0 0 0 0 1\r\n")
    assert read_posefile(tmp_path / "t.txt").trajectory.stamps == ("0", "1")


def test_writes_what_it_read_with_the_stamps_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "t.tum"
    stamps = ("1.0", "2.0", "1305031102.100000")
    positions = np.array([[1.5, -2.25, 1e-9], [0, 0, 0], [1234.5, 0, 0]])
    quaternions = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0.6, 0, -0.8, 0]])
    write_trajectory(path, Trajectory(stamps=stamps, positions=positions, quaternions=quaternions))
    lines = path.read_text().splitlines()
    assert lines[0] == "# timestamp tx ty tz qx qy qz qw"
    assert [line.split()[0] for line in lines[1:]] == list(stamps)
    np.testing.assert_allclose(np.loadtxt(path)[:, 1:4], positions, atol=5e-10)
    again = read_posefile(path).trajectory
    assert again.stamps == stamps
    np.testing.assert_allclose(again.quaternions, quaternions, atol=5e-10)
    assert [file.name for file in tmp_path.iterdir()] == ["t.tum"]


def test_reads_the_motion_capture_of_tum(shared_data: Path) -> None:
    truth = read_posefile(shared_data / "tum_fr1_xyz_groundtruth.txt").trajectory
    assert len(truth) == 3000
    assert truth.stamps[0] == "1305031098.6659"
