"""Names in a project: what its files are called and say, read at once and without a word where it cannot be.

Pydantic takes longer to load than a person waits for an answer to Tab, so nothing here checks what it reads.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.completion.place import Place
from slipway.project import Project

# Records that are read for names of runs, and of datasets in their arguments; the newest ones.
_READ = 30
_BASE, _LOCAL, _SCHEMA = "base", "local", "example"
_DATASETS = "datasets"


@dataclass(frozen=True, kw_only=True)
class ProjectNames:
    """The names in one project; see :class:`slipway.completion.candidates.Names`."""

    project: Project

    def profiles(self) -> Sequence[str]:
        """The project's profiles, and those that come with Slipway."""
        shared = {name for name in _profiles(self.project.share / "env") if name != _BASE}
        return sorted({*_profiles(self.project.profiles), *shared})

    def sites(self) -> Sequence[str]:
        """The project's sites, and those that come with Slipway."""
        files = {name for folder in self.project.sites for name in _list(folder)}
        names = {name.removesuffix(".yaml") for name in files if name.endswith(".yaml")}
        return sorted(names - {_SCHEMA, _DATASETS})

    def hosts(self) -> Sequence[str]:
        """Aliases of ``~/.ssh/config``, without patterns and without what it includes."""
        lines = _text(Path.home() / ".ssh" / "config").splitlines()
        hosts = (words[1:] for line in lines if (words := line.split())[:1] and words[0].lower() == "host")
        return sorted({name for names in hosts for name in names if not set(name) & set('*?!"')})

    def runs(self) -> Sequence[str]:
        """Ids of runs, the newest first, by the names of their records."""
        return _newest_first(_list(self._records))

    def run_names(self) -> Sequence[str]:
        """Names that the newest runs were given."""
        names = (_mapping(_json(self._records / f"{run}.json")).get("name") for run in self.runs()[:_READ])
        return [*dict.fromkeys(name for name in names if isinstance(name, str))]

    def sweeps(self) -> Sequence[str]:
        """Ids of sweeps, the newest first, and the names that the newest were given."""
        folder = self._records.with_name("sweeps")
        ids = _newest_first(_list(folder))
        names = (_mapping(_json(folder / f"{one}.json")).get("name") for one in ids[:_READ])
        return [*ids, *dict.fromkeys(name for name in names if isinstance(name, str))]

    def parameters(self, place: Place) -> Sequence[str]:
        """The parameters of the sweep that is named, else of the newest."""
        folder, word = self._records.with_name("sweeps"), place.last("--sweep") or ""
        for one in _newest_first(_list(folder))[:_READ]:
            content = _mapping(_json(folder / f"{one}.json"))
            if one.startswith(word) or str(content.get("name") or "").startswith(word):
                elements = content.get("elements")
                first = _mapping(elements[0]) if isinstance(elements, list) and elements else {}
                return [str(name) for name in _mapping(first.get("values"))]
        return []

    def datasets(self, place: Place) -> Sequence[str]:
        """Datasets that were staged from here, and those that the newest runs have named."""
        site = self._site(place)
        sites = [site] if site else _list(self.project.staged)
        names = {name for one in sites for name in _list(self.project.staged / one)}
        return sorted({*names, *self._named(site)})

    def known_datasets(self) -> Sequence[str]:
        """Datasets that `data.fetch` knows by name."""
        return sorted({name for one in self._catalogs() for name in one})

    def sequences(self, place: Place) -> Sequence[str]:
        """The sequences of the dataset that the line names."""
        name = place.last("--name") or ""
        entries = (one[name] for one in self._catalogs() if name in one)
        return list(_mapping(_mapping(next(entries, None)).get("sequences")))

    def setting_keys(self) -> Sequence[str]:
        """All keys that a profile may have."""
        return list(_settings(self.project.share / "env" / f".env.{_SCHEMA}"))

    def partitions(self, place: Place) -> Mapping[str, str]:
        """The partitions in the file of the chosen site."""
        return {name: str(queue.get("note") or "") for name, queue in self._queues(place).items()}

    def gpus(self, place: Place) -> Sequence[str]:
        """GPUs of a node, by what the file of the chosen site says of each partition."""
        most: dict[str, int] = {}
        for queue in self._queues(place).values():
            for kind, count in _mapping(queue.get("max_gpus")).items():
                if isinstance(count, int):
                    most[str(kind)] = max(count, most.get(str(kind), 0))
        # Where the scheduler knows no types, `queues --write` has one of this name.
        return [
            str(number) if kind == "gpu" else f"{kind}:{number}"
            for kind, count in most.items()
            for number in range(1, min(count, 16) + 1)
        ]

    def code(self, place: Place, start: str) -> Iterator[str]:
        """Files of the code folder."""
        folder, slash, name = start.rpartition("/")
        if start.startswith(("/", "~")) or ".." in folder.split("/"):
            return
        root = self._code_folder(place)
        for entry in sorted(_entries(root / folder), key=lambda one: one.name):
            if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith(".")):
                yield f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"

    def _catalogs(self) -> Iterator[Mapping[str, Any]]:
        for folder in self.project.sites:
            yield {str(name): value for name, value in _mapping(_yaml(folder / f"{_DATASETS}.yaml")).items()}

    @property
    def _records(self) -> Path:
        return self.project.state / "runs"

    def _named(self, site: str | None) -> Iterator[str]:
        for run in self.runs()[:_READ]:
            record = _mapping(_json(self._records / f"{run}.json"))
            words = record.get("args")
            if isinstance(words, list) and site in (None, record.get("site")):
                yield from _named([str(word) for word in words])

    def _settings(self, place: Place) -> Mapping[str, tuple[str, Path]]:
        """What the chosen profile says: each value, and the folder that a path in it starts from."""
        name = place.last("--profile") or _BASE
        own, shared = self.project.profiles, self.project.share / "env"
        files = [own / f".env.{_BASE}"]
        if name != _BASE:
            file = own / f".env.{name}"
            files.append(file if file.is_file() else shared / file.name)
        found: dict[str, tuple[str, Path]] = {}
        for file in (*files, own / f".env.{_LOCAL}"):
            found |= {key: (value, file.parent.parent) for key, value in _settings(file).items()}
        typed = (word.partition("=") for word in place.given.get("--set", ()))
        return found | {key: (value, Path.cwd()) for key, _, value in typed}

    def _site(self, place: Place) -> str | None:
        return place.last("--site") or self._settings(place).get("SITE", ("", None))[0] or None

    def _queues(self, place: Place) -> Mapping[str, Mapping[str, Any]]:
        site = self._site(place)
        files = [folder / f"{site}.yaml" for folder in self.project.sites]
        content = next((_yaml(file) for file in files if site and file.is_file()), None)
        queues = _mapping(_mapping(content).get("queues"))
        return {str(name): _mapping(queue) for name, queue in queues.items()}

    def _code_folder(self, place: Place) -> Path:
        written, start = self._settings(place).get("CODE_DIR", ("", self.project.root))
        if not written:
            manual = _settings(self.project.share / "env" / f".env.{_SCHEMA}")
            written, start = manual.get("CODE_DIR", "."), self.project.root
        return start / written


def _profiles(folder: Path) -> Iterable[str]:
    names = (name.removeprefix(".env.") for name in _list(folder) if name.startswith(".env."))
    return (name for name in names if name not in (_SCHEMA, _LOCAL))


def _named(words: Sequence[str]) -> Iterator[str]:
    """The datasets that arguments name by ``--dataset``."""
    for number, word in enumerate(words):
        if word == "--dataset" and number + 1 < len(words):
            yield words[number + 1]
        elif word.startswith("--dataset="):
            yield word.partition("=")[2]


def _list(folder: Path) -> list[str]:
    try:
        # Ten thousand records take iterdir 20 ms longer.
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _settings(file: Path) -> Mapping[str, str]:
    from dotenv.parser import parse_stream

    found = parse_stream(io.StringIO(_text(file)))
    return {one.key: one.value for one in found if one.key and one.value is not None}


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _yaml(file: Path) -> object:
    import yaml

    try:
        return yaml.safe_load(_text(file))
    except (ValueError, RecursionError, yaml.YAMLError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _newest_first(files: Sequence[str]) -> list[str]:
    """The ids of records, by their names. An id ends in its time: k3f9-cpu-20260131-142530."""
    found = [name.removesuffix(".json") for name in files if name.endswith(".json")]
    return sorted(found, key=lambda one: (one[-15:], one), reverse=True)
