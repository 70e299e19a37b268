"""The site of docs/: it is built strictly, asks no other host for anything, and its reference is whole."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mkdocs.config import load_config
from pymdownx.slugs import slugify

from manual import exit_code, profile_key, repository, site_key, task
from slipway.model import field_names
from slipway.profile import FREE_PREFIXES, Profile
from slipway.scheduler.choose import FIELDS

ROOT = Path(__file__).parents[2]
# What a browser loads by itself. Links that somebody has to follow are not among them.
LOADED = {"script", "img", "iframe", "source", "video", "audio", "embed", "object", "track", "use", "image"}
LOADED_LINKS = {
    "stylesheet",
    "icon",
    "preload",
    "modulepreload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
# Scripts of Material's that fetch something, and what they look for in a page before they do.
FETCHING = ('class="mermaid"', 'data-md-component="source"', 'data-md-component="consent"', "giscus")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"]
DOCUMENTS += [f"examples/{name}/README.md" for name in ("dask", "own-video", "train-pytorch")]


class Page(HTMLParser):
    """What a page of the site loads, and which places in it have names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if found.get("id"):
            self.ids.add(found["id"])
        if tag in LOADED:
            self.loads += [
                found[name] for name in ("src", "href", "data", "poster", "xlink:href") if name in found
            ]
            self.loads += [part.split()[0] for part in found.get("srcset", "").split(",") if part.strip()]
        if tag == "link" and LOADED_LINKS & set(found.get("rel", "").split()):
            self.loads.append(found.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `invoke docs` does it; no warning is passed over, of Python's neither."""
    folder = tmp_path_factory.mktemp("site") / "built"
    argv = [sys.executable, "-W", "error", "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    environment["NO_MKDOCS_2_WARNING"] = "1"
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(site.rglob("*.html")):
        yield str(file.relative_to(site)), file.read_text(encoding="utf-8")


def ids(site: Path, name: str) -> set[str]:
    return Page((site / "reference" / name / "index.html").read_text(encoding="utf-8")).ids


def test_nothing_that_is_broken_is_passed_over() -> None:
    # `--strict` makes an error of each warning.
    validation = load_config(str(ROOT / "mkdocs.yml")).validation
    levels = {**validation.nav, **validation.links}
    assert {name: level for name, level in levels.items() if level != logging.WARNING} == {}
    assert {"not_found", "anchors", "omitted_files", "absolute_links", "unrecognized_links"} <= set(levels)


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    asked = {}
    for name, text in pages(site):
        others = [address for address in Page(text).loads if urlsplit(address).netloc]
        fetching = [mark for mark in FETCHING if mark in text]
        if others or fetching:
            asked[name] = (others, fetching)
    assert asked == {}


def test_no_style_or_picture_asks_another_host_for_anything(site: Path) -> None:
    asked = []
    for file in (*site.rglob("*.css"), *site.rglob("*.svg")):
        text = file.read_text(encoding="utf-8")
        found = re.findall(r"(?:url\(|@import|(?:href|src)=)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)
        asked += [(file.name, address) for address in found]
    assert asked == []


def test_every_task_and_option_is_explained(site: Path) -> None:
    text = (site / "reference" / "tasks" / "index.html").read_text(encoding="utf-8")
    assert {task.anchor(name) for name in task.all_tasks()} <= Page(text).ids
    for name, one in task.all_tasks().items():
        section = text.partition(f'id="{task.anchor(name)}"')[2].partition("<h2")[0]
        rows = re.findall(r"<tr>\s*<td><code>(.*?)</code></td>\s*<td>(.*?)</td>", section)
        shown = [words.partition(" ")[0].lower() for words, _ in rows]
        expected = [
            (argument.name or "") if argument.positional else task.option(argument)
            for argument in one.get_arguments()
        ]
        assert shown == expected, name
        assert [words for words, said in rows if not said] == [], name


def test_every_key_of_a_profile_is_explained(site: Path) -> None:
    fields = {*field_names(Profile), *field_names(FIELDS)}
    # What the profile's other fields are made of.
    fields -= {"name", "resources", "environment", "build_args", "origins"}
    # SBATCH has options of both.
    fields -= {"qsub"}
    # One job's own.
    fields -= {"array", "dependency"}
    keys = profile_key.keys()
    named = {key.name.lower() for key in keys if not key.name.startswith(FREE_PREFIXES)}
    assert named == fields
    assert {key.anchor for key in keys} <= ids(site, "profile")
    assert [key.name for key in keys if not key.words and not key.shared] == []


def test_every_key_of_a_site_is_explained(site: Path) -> None:
    keys = site_key.keys()
    assert {key.anchor for key in keys} <= ids(site, "site")
    said = site_key.comments()
    assert [key.name for key in keys if not said[key.name].words and not said[key.name].shared] == []
    groups = {key.name.rpartition(".")[0] for key in keys} - {""}
    assert set(said) <= {key.name for key in keys} | groups | {"queues"}


def test_every_exit_code_is_explained(site: Path) -> None:
    codes = [one.exit_code for one in exit_code.errors()]
    assert len(set(codes)) == len(codes) > 20
    assert {f"code-{number}" for number in codes} <= ids(site, "exit-codes")
    # Most have a table in which what is printed was seen by a test.
    assert set(exit_code.mistakes()) <= set(codes)


def test_files_of_the_repository_are_linked_where_it_is_known() -> None:
    text = "[one](../env/.env.base) [two](../bench/README.md#pushpy) [three](../nothing.md) [four](jobs.md)"
    docs = ROOT / "docs"
    known = {"GITHUB_SERVER_URL": "https://h", "GITHUB_REPOSITORY": "me/slipway", "GITHUB_SHA": "abc"}
    at = "https://h/me/slipway/blob/abc"
    assert repository.address({}) is None
    assert repository.link_files(text, docs, None) == "one two [three](../nothing.md) [four](jobs.md)"
    assert repository.link_files(text, docs, repository.address(known)) == (
        f"[one]({at}/env/.env.base) [two]({at}/bench/README.md#pushpy) [three](../nothing.md) [four](jobs.md)"
    )


def test_an_example_is_a_page() -> None:
    assert len(repository.PAGES) == 3
    text = "[one](../../examples/dask/README.md#how-it-works)"
    linked = repository.link_files(text, ROOT / "docs" / "howto", None)
    assert linked == "[one](../examples/dask.md#how-it-works)"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_of_other_documents_lead_somewhere(name: str) -> None:
    document = ROOT / name
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if urlsplit(target).scheme:
            continue
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    text = re.sub(r"(?ms)^```.*?^```", "", file.read_text(encoding="utf-8"))
    slug = slugify(case="lower")
    return {slug(re.sub(r"[`*]", "", heading), "-") for heading in re.findall(r"(?m)^#+ (.+)$", text)}
