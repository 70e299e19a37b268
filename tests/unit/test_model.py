"""What is read without pydantic is what pydantic reads, and what is wrong gets pydantic's words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from slipway.model import WrongValueError, read_json, read_values
from slipway.plain import read_plain
from slipway.profile import Profile, list_profiles, load_profile
from slipway.scheduler.choose import FIELDS, AnyResources
from slipway.scheduler.find import NAMES, find_site_kind
from slipway.site import Site

ROOT = Path(__file__).parents[2]
SITE_FILES = sorted({*(ROOT / "cluster").glob("*.yaml")} - {ROOT / "cluster" / "datasets.yaml"})
NGC: dict[str, Any] = {
    "name": "base",
    "scheduler": "ngc",
    "login": {"host": "this-machine"},
    "paths": {"scratch": "/s"},
    "ngc": {"org": "o", "ace": "a", "workspace": "w", "datasets": {"tum": "1234"}},
}


def contents() -> list[dict[str, Any]]:
    sites = [{**yaml.safe_load(file.read_text()), "name": file.stem} for file in SITE_FILES]
    whole = next(site for site in sites if site["name"] == "example")
    pbs = {key: value for key, value in whole.items() if key not in ("scheduler", "gpu_request")}
    pbs["defaults"] = {"time": "1:00:00", "cpus": 2, "qsub": ["-p 100"]}
    host = {"name": "here", "scheduler": "host", "paths": {"scratch": "/s"}, "places": 2}
    return [*sites, {**pbs, "scheduler": "pbs"}, host, NGC]


CONTENTS = contents()


def kind(content: dict[str, Any]) -> type[Site]:
    name = content.get("scheduler")
    return find_site_kind(name if name in NAMES else "slurm")


@pytest.mark.parametrize(
    "content", CONTENTS, ids=lambda content: f"{content['name']}-{kind(content).__name__}"
)
def test_a_site_that_is_right_needs_no_pydantic(content: dict[str, Any]) -> None:
    as_it_is = json.loads(json.dumps(content))
    plain = read_plain(kind(content), as_it_is)
    assert plain is not None
    assert plain == TypeAdapter(kind(content)).validate_json(json.dumps(content))


@pytest.mark.parametrize("name", list_profiles(ROOT / "env"))
def test_a_profile_that_is_right_needs_no_pydantic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.model._adapter", None)
    words = {
        "MAX_JOBS": "4",
        "X11": "yes",
        "MOUNT_HOME": "false",
        "EXCLUSIVE": "no",
        "CPUS": "3",
        "MEM": "4G",
    }
    profile = load_profile(ROOT / "env", name, [f"{key}={value}" for key, value in words.items()])
    assert (profile.max_jobs, profile.x11, profile.mount_home) == (4, True, False)
    assert (profile.resources.exclusive, profile.resources.cpus) == (False, 3)
    monkeypatch.undo()
    values = dict(profile)
    assert TypeAdapter(Profile).validate_python({**values, "max_jobs": "4", "x11": "yes"}) == profile


ODD = st.sampled_from(
    [
        *(None, 0, 1, -1, 1.0, 1.5, 100, 101, 1 << 70, True),
        *("", "1", "yes", "Yes", "01", " 1", "1_0", "a b", "1:00:00", "100M", "a100:1", "1d", "afterok:1"),
        *("$SCRATCH", "/s", "relative", "é", "\x00", "\u2028"),
        *("node-local", "pyxis", "inside", "this-machine", "longer", "stop", "slurm", "pbs"),
        *([], ["a"], [1], [["a"]], {}, {"a": "b"}, {"a": 1}, {"host": "h"}),
        *({"do": "longer", "factor": 2}, {"do": "longer", "factor": 1.0}, {"do": "stop", "up_to": "1G"}),
        *(["v100:1", {"gpus": "a100:1", "partition": "big"}], {"max_gpus": {"a100": 0}}, {"cost": 1}),
    ]
)
# Keys that a part of a site may not have.
MORE = ("more", "node_local", "container", "defaults", "port")


@given(st.data())
def test_a_site_is_what_pydantic_reads(data: st.DataObject) -> None:
    content = copy.deepcopy(data.draw(st.sampled_from(CONTENTS), label="site"))
    inner, of_site = content, kind(content)
    while True:
        key = data.draw(st.sampled_from([*inner, *MORE]), label="key")
        if isinstance(inner.get(key), dict) and inner[key] and data.draw(st.booleans(), label="deeper"):
            inner = inner[key]
            continue
        inner[key] = data.draw(ODD, label="value")
        break
    text = json.dumps(content)
    try:
        checked = TypeAdapter(of_site).validate_json(text)
    except ValidationError:
        assert read_plain(of_site, json.loads(text)) is None
        with pytest.raises(WrongValueError):
            read_json(of_site, text)
    else:
        assert read_json(of_site, text) == checked


@given(st.dictionaries(st.sampled_from([key for key, _ in AnyResources()]), ODD, max_size=3))
def test_resources_are_what_pydantic_reads(values: dict[str, Any]) -> None:
    plain = read_plain(FIELDS, copy.deepcopy(values), as_text=True)
    try:
        checked = TypeAdapter(FIELDS).validate_python(values, strict=False)
    except ValidationError:
        assert plain is None
        with pytest.raises(WrongValueError):
            read_values(FIELDS, values)
    else:
        assert read_values(FIELDS, values) == checked
        assert plain in (None, checked)


def test_a_copy_has_the_other_values_and_no_others() -> None:
    profile = load_profile(ROOT / "env", "cpu")
    same = profile.model_copy(update={"program": ("true",)})
    assert same.program == ("true",)
    assert {**dict(same), "program": profile.program} == dict(profile)
    with pytest.raises(TypeError, match="Profile has no nothing"):
        profile.model_copy(update={"nothing": 1})


def test_what_is_written_of_one_is_read_again() -> None:
    for content in CONTENTS:
        site = read_json(kind(content), json.dumps(content))
        values = site.model_dump(mode="json")
        assert read_json(kind(content), json.dumps(values)) == site
        assert json.loads(site.model_dump_json()) == values
    values = load_profile(ROOT / "env", "cpu").model_dump(mode="json")
    assert "origins" not in values
    assert values["resources"]["sbatch"] == []
    assert "cpus" not in FIELDS().model_dump(exclude_none=True)
    assert FIELDS().model_dump(exclude={"qsub"}, exclude_none=True) == {"sbatch": ()}
