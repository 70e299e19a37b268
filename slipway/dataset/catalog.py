"""Known datasets: ``cluster/datasets.yaml`` of the project, then the one that comes with Slipway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from slipway.checked import form
from slipway.errors import ConfigError, UsageError
from slipway.text.nearest import nearest
from slipway.validation import explain
from slipway.yaml_file import as_json, read_keys

FILE = "datasets.yaml"
Layout = Literal["bag", "eth3d", "euroc", "kitti", "plain", "tartanair", "tum", "video"]

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
_NUMBERS = r"\s*(?:[-+0-9.eE]+[\s,]+){3,}[-+0-9.eE]+\s*"


def _check_folder(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or not text.isprintable():
        raise ValueError("write a folder in the dataset's own, such as rgbd_dataset_freiburg1_xyz")
    return text


def _check_url(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc or not url.isprintable():
        raise ValueError("write an address that begins with https:// or http://, or give the dataset a base")
    return url


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_archive(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _as_sequence(value: Any) -> Any:
    return {"fetch": value} if isinstance(value, str | list) else {} if value is None else value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Archive(_Part):
    """A file that is fetched.

    Attributes:
        url: where it is.
        size_bytes: how large it is, where somebody has published that.
        sha256: its hash, likewise.
        md5: its hash, where no better one was published.
    """

    url: Annotated[str, AfterValidator(_check_url)]
    size_bytes: int | None = Field(default=None, ge=1)
    sha256: Annotated[str | None, form(r"[0-9a-f]{64}", "64 digits of 0-9 and a-f")] = None
    md5: Annotated[str | None, form(r"[0-9a-f]{32}", "32 digits of 0-9 and a-f")] = None

    @property
    def file_name(self) -> str:
        """What it is called at its address."""
        return PurePosixPath(urlsplit(self.url).path).name or "download"


class SequenceEntry(_Part):
    """What is fetched as one: mostly a sequence, or several that are published in one archive.

    Attributes:
        fetch: the files; all of them are unpacked into the same folder.
        folder: the folder within the dataset.
        layout: where it is another than the dataset's.
        calibration: numbers for a ``calib.txt`` in the folder, where the archives bring none.
    """

    fetch: tuple[Archive, ...] = ()
    folder: Annotated[str, AfterValidator(_check_folder)]
    layout: Layout | None = None
    calibration: Annotated[
        str | None, form(_NUMBERS, "numbers as calib.txt has them: fx fy cx cy [k1 k2 p1 p2]")
    ] = None

    @property
    def size_bytes(self) -> int | None:
        """Of all its files, where each one's size is known."""
        sizes = [one.size_bytes for one in self.fetch]
        return None if not sizes or None in sizes else sum(size for size in sizes if size)


class Reference(_Part):
    """Published figures: what was measured, of which program, and where that stands.

    Attributes:
        what: the measure and its unit.
        source: whose figures they are.
        figures: by sequence.
        mean: the mean as it was published.
    """

    what: str
    source: str
    figures: Mapping[str, float]
    mean: float | None = None


class Dataset(_Part):
    """A dataset that is known by a name.

    Attributes:
        name: jobs see it as ``/data/<name>``.
        file: where it stands.
        title: what it is, in a few words.
        source: a page or a paper.
        licence: what its publishers say of its use.
        layout: one of those in docs/datasets.md.
        sequences: what can be fetched, by name.
        usual: what is fetched where no sequence is named; all of them where it is empty.
        program: what makes it, in the profile's image; the folder is its last argument.
        arguments: what a job's program is given with ``--dataset NAME``.
        reference: published figures.
    """

    name: Annotated[str, form(_NAME, "letters, digits, '.', '_' and '-'")]
    file: Path
    title: str = ""
    source: str = ""
    licence: str = ""
    layout: Layout
    sequences: Mapping[Annotated[str, form(_NAME, "letters, digits, '.', '_' and '-'")], SequenceEntry] = (
        Field(default_factory=dict)
    )
    usual: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    reference: tuple[Reference, ...] = ()


# What a file has and a dataset has not: they shorten what is written for each sequence.
_SHORT = {"base", "folder"}
_OWN = sorted(({*Dataset.model_fields} | _SHORT) - {"name", "file"})


def load_catalog(files: Sequence[Path]) -> dict[str, Dataset]:
    """The datasets in some files; of two with one name that of the first file counts.

    Raises:
        ConfigError: a file is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    found: dict[str, Dataset] = {}
    for file in files:
        if file.is_file():
            for name, content in _read(file).items():
                if name not in found:
                    found[name] = _make(file, name, content)
    return dict(sorted(found.items()))


def find_dataset(catalog: Mapping[str, Dataset], name: str) -> Dataset:
    """The dataset of a name.

    Raises:
        UsageError: none has it.
    """
    if name in catalog:
        return catalog[name]
    raise UsageError(
        f"no dataset {name!r} is known{nearest(name, catalog)}; there are {', '.join(catalog) or 'none'}; "
        f"cluster/{FILE} may have more"
    )


def _read(file: Path) -> dict[str, Any]:
    expected = "expected names of datasets with their keys; docs/data.md explains them"
    # YAML's numbers and dates as names.
    return {str(name): value for name, value in read_keys(file, expected, may_be_empty=True).items()}


def _make(file: Path, name: str, content: Any) -> Dataset:
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: {name}: write keys with values, such as layout and sequences")
    for key in ("file", "name"):
        if key in content:
            raise ConfigError(f"{file}: {name}.{key} is not a key here; there are: {', '.join(_OWN)}")
    whole = {**_expand(file, name, content), "name": name, "file": str(file)}
    try:
        dataset = Dataset.model_validate_json(as_json(file, whole))
    except ValidationError as error:
        raise ConfigError(f"{file}: {name}.{_problem(error.errors()[0])}") from error
    for key, words in {"usual": dataset.usual, **_reference_words(dataset)}.items():
        for word in words:
            if word not in dataset.sequences:
                raise ConfigError(
                    f"{file}: {name}.{key}: {word!r} is none of its sequences"
                    f"{nearest(word, dataset.sequences)}"
                )
    return dataset


def _reference_words(dataset: Dataset) -> dict[str, Sequence[str]]:
    # What is made has no sequences, and what holds several in one archive may have figures for each.
    if not dataset.sequences or any(not one.fetch for one in dataset.sequences.values()):
        return {}
    return {f"reference.{place}.figures": [*one.figures] for place, one in enumerate(dataset.reference)}


def _expand(file: Path, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what shortens it: ``base`` before addresses, ``folder`` with ``{name}`` in it."""
    base, folder = content.get("base", ""), content.get("folder", "{name}")
    for key, value in (("base", base), ("folder", folder)):
        if not isinstance(value, str):
            raise ConfigError(f"{file}: {name}.{key}: write it in quotes; it is {value!r}")
    rest = {key: value for key, value in content.items() if key not in _SHORT}
    sequences = rest.get("sequences")
    if isinstance(sequences, dict):
        rest["sequences"] = {
            str(key): _expand_sequence(value, base, folder.replace("{name}", str(key)))
            for key, value in sequences.items()
        }
    return rest


def _expand_sequence(value: Any, base: str, folder: str) -> Any:
    sequence = _as_sequence(value)
    if not isinstance(sequence, dict):
        return sequence
    fetch = [_as_archive(one) for one in _as_list(sequence.get("fetch", []))]
    fetch = [{**one, "url": _join(base, one.get("url"))} if isinstance(one, dict) else one for one in fetch]
    return {"folder": folder, **sequence, "fetch": fetch}


def _join(base: str, url: Any) -> Any:
    return base + url if isinstance(url, str) and "://" not in url else url


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _keys(error["loc"][:-1])
        return (
            f"{key} is not a key here{nearest(str(error['loc'][-1]), known)}; there are: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{key} is missing; docs/data.md explains it"
    return f"{key}: {explain(error)}; it is {error['input']!r:.200}"


def _keys(location: Sequence[Any]) -> list[str]:
    words = [part for part in location if isinstance(part, str)]
    if not words:
        return _OWN
    model: type[BaseModel] = Reference if words[0] == "reference" else SequenceEntry
    return sorted((Archive if "fetch" in words[1:] else model).model_fields)


def is_archive(name: str) -> bool:
    """True for a file that is unpacked; any other is put into the folder as it is."""
    return name.lower().endswith(_ARCHIVES)
