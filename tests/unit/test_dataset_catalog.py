"""cluster/datasets.yaml: what comes with Slipway, what a user adds, and what is said of mistakes."""

from pathlib import Path

import pytest

from slipway.dataset.catalog import Dataset, find_dataset, load_catalog
from slipway.dataset.choice import choose_sequences
from slipway.errors import ConfigError, UsageError
from slipway.project import Project
from slipway.site_file import list_sites, load_site
from slipway.steps.datasets import known_datasets

ROOT = Path(__file__).parents[2]
OWN = ROOT / "cluster" / "datasets.yaml"


def read(folder: Path, text: str) -> dict[str, Dataset]:
    file = folder / "datasets.yaml"
    file.write_text(text)
    return load_catalog([file])


def test_what_comes_with_slipway() -> None:
    catalog = load_catalog([OWN])
    assert list(catalog) == ["eth3d", "euroc", "room", "tartanair", "tum"]
    tum = catalog["tum"]
    assert len(tum.sequences) == 47
    assert len(tum.usual) == 9
    xyz = tum.sequences["freiburg1_xyz"]
    assert xyz.fetch[0].url == (
        "https://cvg.cit.tum.de/rgbd/dataset/freiburg1/rgbd_dataset_freiburg1_xyz.tgz"
    )
    assert xyz.folder == "rgbd_dataset_freiburg1_xyz"
    assert [one.file_name for one in catalog["eth3d"].sequences["sofa_1"].fetch] == [
        "sofa_1_mono.zip",
        "sofa_1_rgbd.zip",
    ]
    assert catalog["euroc"].sequences["MH_01_easy"].folder == "MH_01_easy"
    assert catalog["room"].program == ("python3", "-m", "slam.demo.scene")
    assert all(dataset.source and dataset.licence for dataset in catalog.values())


def test_reference_figures_are_those_of_the_program() -> None:
    from slam.evaluate.benchmark import TUM

    (reference,) = load_catalog([OWN])["tum"].reference
    assert dict(reference.figures) == dict(TUM.figures)
    assert reference.mean == TUM.mean


def test_a_repository_s_own_go_before(tmp_path: Path) -> None:
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "datasets.yaml").write_text(
        "tum: {layout: tum, title: mine, sequences: {one: 'https://h.invalid/one.tgz'}}\n"
        "lab: {layout: plain}\n"
    )
    catalog = known_datasets(project)
    assert catalog["tum"].title == "mine"
    assert list(catalog["tum"].sequences) == ["one"]
    assert "lab" in catalog
    assert "euroc" in catalog


def test_it_is_no_site(tmp_path: Path) -> None:
    assert "datasets" not in list_sites([ROOT / "cluster"])
    with pytest.raises(UsageError, match="there is no site 'datasets'"):
        load_site([ROOT / "cluster"], "datasets")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 3", "a: write keys with values, such as layout and sequences"),
        (
            "a: {layout: tom}",
            "a.layout: write 'bag', 'eth3d', 'euroc', 'kitti', 'plain', 'tartanair', 't",
        ),
        (
            "a: {layout: tum, sequnces: {}}",
            "a.sequnces is not a key here (did you mean sequences?); there are: arg",
        ),
        ("a: {layout: tum, name: b}", "a.name is not a key here; there are: arguments"),
        ("a: {title: x}", "a.layout is missing; docs/data.md explains it"),
        ("a: {layout: tum, base: 3}", "a.base: write it in quotes; it is 3"),
        ("a: {layout: tum, sequences: [x]}", "a.sequences: write keys with values; it is ['x']"),
        ("a: {layout: tum, sequences: {x: [3]}}", "a.sequences.x.fetch.0: write keys with values; it is 3"),
        (
            "a: {layout: tum, sequences: {x: f.zip}}",
            "a.sequences.x.fetch.0.url: write an address that begins with https:// or http://, or give the",
        ),
        (
            "a: {layout: tum, sequences: {x: {fetch: {url: 'http://h/f.zip', sha256: abc}}}}",
            "a.sequences.x.fetch.0.sha256: write it as 64 digits of 0-9 and a-f; it is 'abc'",
        ),
        (
            "a: {layout: tum, sequences: {x: {foldr: abc}}}",
            "a.sequences.x.foldr is not a key here (did you mean folder?); there are: calibration, fetch, f",
        ),
        (
            "a: {layout: tum, sequences: {x: {folder: ../b}}}",
            "a.sequences.x.folder: write a folder in the dataset's own, such as rgbd_dataset_freiburg1_xyz",
        ),
        (
            "a: {layout: tum, sequences: {x: {calibration: f}}}",
            "a.sequences.x.calibration: write it as numbers as calib.txt has them: fx fy cx cy",
        ),
        ("a: {layout: tum, usual: [y]}", "a.usual: 'y' is none of its sequences"),
        (
            "a: {layout: tum, sequences: {x: http://h/}, reference: [{what: m, source: s, figures: {y: 1}}]}",
            "a.reference.0.figures: 'y' is none of its sequences",
        ),
        (
            "a: {layout: tum, reference: [{what: m}]}",
            "a.reference.0.source is missing; docs/data.md explains",
        ),
        ("[a]", "expected names of datasets with their keys; docs/data.md explains them"),
    ],
)
def test_mistakes_are_named_by_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'datasets.yaml'}: {words}"), caught.value


def test_what_is_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"datasets\.yaml:2: this is not YAML: "):
        read(tmp_path, "a: {layout: tum\nb: [\n")
    assert read(tmp_path, "# nothing\n") == {}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["freiburg1_360"]),
        (["fr1/xyz"], ["freiburg1_xyz"]),
        (["rgbd_dataset_freiburg2_xyz", "freiburg1_xyz"], ["freiburg1_xyz", "freiburg2_xyz"]),
        (["teddy"], ["freiburg3_teddy"]),
        (["all"], ["freiburg1_360", "freiburg1_xyz", "freiburg2_xyz", "freiburg3_teddy"]),
    ],
)
def test_sequences_by_parts_of_their_names(tmp_path: Path, words: list[str], names: list[str]) -> None:
    text = "a: {layout: tum, folder: 'rgbd_dataset_{name}', usual: [freiburg1_360], sequences: {"
    for name in ("freiburg1_360", "freiburg1_xyz", "freiburg2_xyz", "freiburg3_teddy"):
        text += f"{name}: 'https://h.invalid/{name}.tgz', "
    dataset = read(tmp_path, text + "}}")["a"]
    assert list(choose_sequences(dataset, words)) == names
    with pytest.raises(UsageError, match="--sequence xyz may be freiburg1_xyz, freiburg2_xyz; write more"):
        choose_sequences(dataset, ["xyz"])
    with pytest.raises(
        UsageError, match=r"a has no sequence 'freiburg1_xyt' \(did you mean freiburg1_xyz\?\)"
    ):
        choose_sequences(dataset, ["freiburg1_xyt"])


def test_a_name_that_is_not_known() -> None:
    with pytest.raises(
        UsageError, match=r"no dataset 'tumm' is known \(did you mean tum\?\); there are eth3d"
    ):
        find_dataset(load_catalog([OWN]), "tumm")


@pytest.mark.parametrize("text", ["", "# none of mine yet\n"])
def test_a_file_may_be_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "datasets.yaml").write_text(text)
    assert load_catalog([tmp_path / "datasets.yaml"]) == {}
