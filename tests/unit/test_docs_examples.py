"""The examples in docs/ and the README: what needs no cluster is done as it says, and all else is checked."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke import program
from invoke.exceptions import Exit

import tasks
from slipway.dataset.catalog import load_catalog
from slipway.profile import load_profile
from slipway.scheduler.find import NAMES, find_site_kind
from slipway.site_file import load_site
from tests.documents import ROOT, Block, make_reader, read_blocks, task_lines

# Their commands want a Docker engine and a cluster: test_tour.py and test_new_cluster.py do them.
PLAYED = [ROOT / "docs" / name for name in ("cluster.md", "runs.md", "tour.md")]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
BLOCKS = [block for file in DOCUMENTS for block in read_blocks(file)]
RUN = [
    file
    for file in DOCUMENTS
    if file not in PLAYED and any(block.language in ("console", "hidden") for block in read_blocks(file))
]


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def of(*languages: str) -> Any:
    some = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", some, ids=lambda block: block.place)


@pytest.mark.parametrize("file", RUN, ids=named)
def test_what_a_page_has_one_do_works(file: Path, tmp_path: Path) -> None:
    reader = make_reader(tmp_path)
    for block in read_blocks(file):
        reader.do(block)


@of("bash", "console")
def test_tasks_and_options_are_there(block: Block) -> None:
    for words in task_lines(block.text):
        parser = program.Parser(contexts=tasks.ns.to_contexts(), initial=program.Program().initial_context)
        try:
            parser.parse_argv(words)
        except Exit as error:
            pytest.fail(f"{block.place}: {' '.join(words)}: {error.message}")


@of("yaml")
def test_a_site_may_be_written_so(block: Block, tmp_path: Path) -> None:
    if block.title and not block.title.startswith("cluster/"):
        yaml.safe_load(block.text)
        return
    if block.title == "cluster/datasets.yaml":
        (tmp_path / "datasets.yaml").write_text(block.text)
        assert load_catalog([tmp_path / "datasets.yaml"])
        return
    least = {"login": {"host": "h"}, "paths": {"scratch": "/s"}}
    content = {**least, **yaml.safe_load(block.text)}
    if isinstance(content.get("hosts"), str):
        # The name of another tool's file, from the site's own.
        hosts = tmp_path / Path(content["hosts"]).name
        hosts.write_text("workers: [{host: one, gpus: 1}]\n")
        content["hosts"] = hosts.name
    (tmp_path / "hpc.yaml").write_text(yaml.safe_dump(content))
    assert isinstance(load_site([tmp_path], "hpc"), tuple(map(find_site_kind, NAMES)))


@of("ini")
def test_a_profile_may_be_written_so(block: Block, tmp_path: Path) -> None:
    least = {"IMAGE": "mine", "DOCKERFILE": "Dockerfile"}
    given = set(re.findall(r"(?m)^([A-Z_]+)=", block.text))
    lines = [f"{key}={value}\n" for key, value in least.items() if key not in given]
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text("".join(lines) + block.text)
    load_profile(tmp_path / "env", "base")


@of("python")
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text, block.place)


def test_blocks_say_what_they_are() -> None:
    """A block without a language is none that is checked; it may be a listing, but no command."""
    unknown = [
        block.place
        for block in BLOCKS
        if block.language in ("", "text") and re.search(r"(?m)^(\$ |slipway |invoke |\./run )", block.text)
    ]
    assert unknown == []


def test_something_is_run() -> None:
    assert len(RUN) >= 5
