"""The candidates for a place: which of what there is may stand at the cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from slipway.completion import kinds
from slipway.completion.grammar import Grammar
from slipway.completion.place import Place

FILES = "files"
FOLDERS = "folders"
# Nobody reads more.
_MOST = 200
_DATASET = "--dataset"
_AUTO = "auto"
_DATA = "/data/"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A whole word that may stand at the cursor, and what it is in a few words."""

    word: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a shell offers: candidates, or names of files or folders, which it finds by itself.

    Attributes:
        candidates: in the order in which they are shown.
        shell: :data:`FILES` or :data:`FOLDERS`; empty: neither.
        prefix: what of the word stands before the part that is completed.
    """

    candidates: Sequence[Candidate] = ()
    shell: str = ""
    prefix: str = ""


class Names(Protocol):
    """Where names come from. None of it raises an error: what cannot be read has no names."""

    def profiles(self) -> Iterable[str]:
        """Profiles."""

    def sites(self) -> Iterable[str]:
        """Sites."""

    def hosts(self) -> Iterable[str]:
        """Aliases of the user's own ssh_config."""

    def runs(self) -> Iterable[str]:
        """Ids of runs, the newest first."""

    def run_names(self) -> Iterable[str]:
        """Names that the newest runs were given."""

    def sweeps(self) -> Iterable[str]:
        """Ids of sweeps, the newest first, and their names."""

    def parameters(self, place: Place) -> Iterable[str]:
        """The parameters of the chosen sweep."""

    def datasets(self, place: Place) -> Iterable[str]:
        """Datasets that were staged from here, on the chosen site where one is chosen."""

    def known_datasets(self) -> Iterable[str]:
        """Datasets that can be fetched by name."""

    def sequences(self, place: Place) -> Iterable[str]:
        """Sequences of the dataset that the line names."""

    def setting_keys(self) -> Iterable[str]:
        """Keys of profiles."""

    def partitions(self, place: Place) -> Mapping[str, str]:
        """Partitions of the chosen site, and what its file notes on each."""

    def gpus(self, place: Place) -> Iterable[str]:
        """What may be asked of a node of the chosen site, such as ``a100:2``."""

    def code(self, place: Place, start: str) -> Iterable[str]:
        """Files of the code folder whose names begin so; folders end in ``/``."""


def find_candidates(place: Place, grammar: Grammar, names: Names) -> Answer:
    """What may stand at the cursor."""
    if place.program is not None:
        return _program(place, place.program, names)
    if place.option is not None:
        return _value(place, place.option.name, grammar, names)
    if place.text.startswith("-"):
        return _answer(place, _options(place, grammar))
    alone = _answer(place, _values_by_place(place, names)).candidates
    if alone and not place.text:
        return Answer(candidates=alone)
    more = _options(place, grammar) if place.task and not place.text else []
    return Answer(candidates=[*alone, *_answer(place, [*more, *_tasks(grammar)]).candidates])


def _tasks(grammar: Grammar) -> list[Candidate]:
    return [Candidate(word=name, help=task.help) for task in grammar.tasks for name in task.names]


def _options(place: Place, grammar: Grammar) -> list[Candidate]:
    """Those that are not given yet, by their long names; a short one that is typed is right as it is."""
    of_all = [option for option in grammar.core if place.task is None or option.name == "--help"]
    return [
        Candidate(word=name, help=option.help)
        for option in (*(place.task.options if place.task else ()), *of_all)
        if option.repeats or option.name not in (*place.given, *kinds.HIDDEN)
        for name in option.names
        if name in (option.name, place.text)
    ]


def _values_by_place(place: Place, names: Names) -> Iterable[Candidate]:
    option = place.task.by_place if place.task else None
    is_open = option and (option.repeats or option.name not in place.given)
    return _known(place, option.name, names) if option and is_open else ()


def _known(place: Place, name: str, names: Names) -> Iterable[Candidate]:
    """The values of an option that are known here."""
    if name in SOURCES:
        return SOURCES[name](place, names)
    return _plain(one for one in kinds.CHOICES.get(name, ()) if not _is_given(place, one))


def _value(place: Place, name: str, grammar: Grammar, names: Names) -> Answer:
    if name == "--help":
        return _answer(place, _tasks(grammar))
    if name == "--set":
        return _setting(place, names)
    if name in kinds.FOLDERS or (name == "--to" and _is_of(place, "data.fetch")):
        return Answer(shell=FOLDERS, prefix=place.prefix)
    if name in SOURCES or name in kinds.CHOICES:
        return _answer(place, _known(place, name, names))
    # What is not known here is an option of a user's own task.
    return Answer() if name in kinds.FREE else Answer(shell=FILES, prefix=place.prefix)


def _is_given(place: Place, word: str) -> bool:
    """Whether the option has had this value, whatever followed its ``=``."""
    given = place.given.get(place.option.name, ()) if place.option else ()
    return word.rstrip("=") in (one.partition("=")[0] for one in given)


def _setting(place: Place, names: Names) -> Answer:
    """``KEY=``, and behind that what the option of the same name takes."""
    key, equals, _ = place.value.partition("=")
    if not equals:
        return _answer(place, _plain(f"{one}=" for one in names.setting_keys() if not _is_given(place, one)))
    inner = replace(place, prefix=f"{place.prefix}{key}=")
    if key in kinds.PATH_KEYS:
        return Answer(shell=FILES, prefix=inner.prefix)
    source = SOURCES.get(f"--{key.lower()}")
    return _answer(inner, source(place, names)) if source else Answer()


def _program(place: Place, before: Sequence[str], names: Names) -> Answer:
    """The program's own words: datasets where they are named, else files of the code folder."""
    option, equals, _ = place.text.partition("=")
    if equals and option.startswith("-"):
        place = replace(place, prefix=option + equals)
    else:
        option = before[-1] if before else ""
    if option == _DATASET:
        return _answer(place, _plain(names.datasets(place)))
    if place.value.startswith(_DATA):
        return _answer(place, _plain(f"{_DATA}{one}/" for one in names.datasets(place)))
    return _answer(place, _plain(names.code(place, place.value)))


def _plain(words: Iterable[str]) -> Iterator[Candidate]:
    return (Candidate(word=word) for word in words)


def _answer(place: Place, candidates: Iterable[Candidate]) -> Answer:
    """Those that begin with what is typed, each once, as whole words."""
    whole: dict[str, Candidate] = {}
    for one in candidates:
        # Shells read candidates as lines, and a terminal obeys what is in them.
        if one.word.startswith(place.value) and one.word.isprintable():
            whole.setdefault(one.word, Candidate(word=place.prefix + one.word, help=_one_line(one.help)))
        if len(whole) == _MOST:
            break
    return Answer(candidates=[*whole.values()], prefix=place.prefix)


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _partitions(place: Place, names: Names) -> list[Candidate]:
    found = {**names.partitions(place), _AUTO: "where it begins first"}
    return [Candidate(word=name, help=note) for name, note in found.items()]


def _runs(names: Names) -> Iterator[Candidate]:
    yield from _plain(names.runs())
    yield from _plain(names.run_names())


def _run_names(place: Place, names: Names) -> Iterable[Candidate]:
    if _is_of(place, "site.add"):
        return _plain(names.hosts())
    if _is_of(place, "data.remove"):
        return _plain(names.datasets(place))
    if _is_of(place, "data.fetch", "data.check", "data.lengths", "data.list"):
        return _plain(names.known_datasets())
    return () if _is_of(place, "stage") else _plain(names.run_names())


def _is_of(place: Place, *tasks: str) -> bool:
    return place.task is not None and not {*place.task.names}.isdisjoint(tasks)


def _groups(place: Place, names: Names) -> Iterable[Candidate]:
    return _plain(names.parameters(place) if _is_of(place, "table") else kinds.CHOICES["--by"])


# Options whose values are names, and where these come from.
SOURCES: Mapping[str, Callable[[Place, Names], Iterable[Candidate]]] = {
    "--by": _groups,
    "--data": lambda place, names: _plain(names.datasets(place)),
    "--gpus": lambda place, names: _plain(names.gpus(place)),
    "--host": lambda place, names: _plain(names.hosts()),
    "--on": lambda place, names: _plain(names.sites()),
    "--partition": _partitions,
    "--profile": lambda place, names: _plain(names.profiles()),
    "--name": _run_names,
    "--reference": lambda place, names: _plain(names.known_datasets()),
    "--replay": lambda place, names: _runs(names),
    "--sequence": lambda place, names: _plain(names.sequences(place)),
    "--run": lambda place, names: _runs(names),
    "--site": lambda place, names: _plain(names.sites()),
    "--sweep": lambda place, names: _plain(names.sweeps()),
}
