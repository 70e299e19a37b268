"""What an image was built from, noted at its build: without the engine it is told whether that has changed.

Files that the Dockerfile does not copy, such as code that is sent with each job, are no part of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

from slipway.code.checkout import GIT
from slipway.code.dockerignore import NAME, DockerIgnore, read_rules
from slipway.errors import SlipwayError
from slipway.hash_cache import HashCache, Hashed, file_key
from slipway.image.copied import copied_files, may_hold_copied, parse_sources
from slipway.image.definition_file import find_named, parse_definition
from slipway.image.dockerfile import declared_args, plain_text
from slipway.image.source import find_sources, source_key, wanted_sources
from slipway.jsontext import load_json
from slipway.project import Project

if TYPE_CHECKING:
    from slipway.image.engine import Image
    from slipway.profile import Profile

_STATE = ".slipway"
# Whoever submits a job does not wait for more than that: nothing is told of a larger context, and files that
# look otherwise are taken to be the same beyond so many bytes.
_MOST_ENTRIES = 5_000
_MOST_BYTES = 32 << 20
_KEPT = 50
_NAMED = 3
_CHUNK = 1 << 20
# What a file is (x: a program, -: another one, link), its size in bytes, and its hash, or where it leads.
_File = tuple[str, int, str]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What goes into the image of a profile: settings, of which only hashes are written down, and files.

    Those of the context have relative names, those of other folders absolute ones.
    """

    profile: str
    settings: Mapping[str, str]
    files: Mapping[str, _File]


def read_inputs(project: Project, profile: Profile) -> Inputs | None:
    """What would go into the image now; ``None`` where that cannot be told."""
    try:
        look = _Look(project, profile)
        names = look.names()
        if names is None:
            return None
        sources = find_sources(look.text, profile.sources)
        others = [str(one.folder / name) for one in sources if one.folder for name in one.files]
        files = {name: found for name in (*names, *others) if (found := look.read(name))}
        look.remember()
        return Inputs(profile=profile.name, settings=look.settings(), files=files)
    except (OSError, SlipwayError):
        return None


def keep_inputs(project: Project, image: Image, inputs: Inputs | None) -> None:
    """Note what an image was built from, for :func:`find_changes`."""
    if inputs is None:
        return
    file = _record(project, image.id)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{secrets.token_hex(4)}.part")
    noted = {**asdict(inputs), "settings": _digests(project, inputs.settings)}
    part.write_text(json.dumps(noted), encoding="utf-8", errors="surrogateescape")
    part.replace(file)
    kept = sorted(file.parent.glob("*.json"), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in kept[_KEPT:]:
        old.unlink(missing_ok=True)


def find_changes(project: Project, profile: Profile, image_id: str) -> list[str]:
    """What has changed since an image was built: the Dockerfile, files that it copies, settings.

    It is quick, and raises nothing. Nothing is told of an image that was not built here, or for another
    profile.
    """
    try:
        before = _recall(project, image_id)
        if before is None or before.profile != profile.name:
            return []
        look = _Look(project, profile)
        names, settings = look.names(), _digests(project, look.settings())
        if names is None:
            return []
        here = {name for name in before.files if not Path(name).is_absolute()}
        files = here ^ set(names)
        files |= {name for name, one in before.files.items() if name not in files and look.differs(name, one)}
        look.remember()
    except (OSError, SlipwayError, ValueError, KeyError, TypeError, AttributeError):
        return []
    values = {key for key in {*settings, *before.settings} if settings.get(key) != before.settings.get(key)}
    own = profile.recipe_file.name
    return [*([own] if own in values else []), *sorted(files), *sorted(values - {own})]


def explain_stale(project: Project, profile: Profile, image_id: str) -> str | None:
    """Before which changes an image was built, such as ``of a build before Dockerfile changed``."""
    names = find_changes(project, profile, image_id)
    if not names:
        return None
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"of a build before {', '.join(names[:_NAMED])}{more} changed"


def explain_stale_here(project: Project, profile: Profile, image: Image) -> str | None:
    """What there is to say of an image in the engine that was built before something has changed."""
    stale = explain_stale(project, profile, image.id)
    build = f"`invoke build --profile {profile.name}` brings it up to date"
    return stale and f"The image {image.name} here is {stale}; {build}"


class _Look:
    """One look at what goes into the image of a profile."""

    def __init__(self, project: Project, profile: Profile) -> None:
        self._profile = profile
        self._context = profile.recipe_file.parent
        self.text = plain_text(profile.recipe_file.read_bytes())
        self._definition = parse_definition(self.text, profile.build_args) if profile.definition else None
        self._given = self._find_given(profile.build_args)
        self._cache = HashCache(project.state / "digests" / "inputs", self._context)
        self._hashed: dict[str, Hashed] = {}
        self._bytes = 0

    def _find_given(self, values: Mapping[str, str]) -> dict[str, str]:
        if self._definition is None:
            return declared_args(self.text, values)
        return {name: values[name] for name in sorted(self._definition.arguments) if name in values}

    def settings(self) -> dict[str, str]:
        """The Dockerfile, and what it is given."""
        sources = {source_key(name, "SOURCE"): name for name in wanted_sources(self.text)}
        return {
            **self._given,
            **{key: str(self._profile.sources.get(name) or "") for key, name in sources.items()},
            "PLATFORM": self._profile.platform,
            self._profile.recipe_file.name: self.text,
        }

    def names(self) -> list[str] | None:
        """The files that the Dockerfile copies, or the definition file; ``None`` where there is too much."""
        if self._definition is not None:
            named = find_named(self._profile.recipe_file, self._definition)
            return named if len(named) <= _MOST_ENTRIES else None
        own = self._context / f"{self._profile.recipe_file.name}{NAME}"
        ignore = read_rules(own if own.is_file() else self._context / NAME)
        patterns = parse_sources(self.text, self._given)
        there: list[str] = []
        for count, (name, is_file) in enumerate(_walk(self._context, ignore, patterns)):
            if count == _MOST_ENTRIES:
                return None
            there += [name] if is_file else []
        copied = copied_files(self.text, there, self._given, lambda name: (self._context / name).is_symlink())
        # As for the build, other Dockerfiles are no part of the image.
        return [name for name in copied if not Path(name).name.startswith(("Dockerfile", NAME))]

    def read(self, name: str) -> _File | None:
        """A file as it is; ``None`` where it is none."""
        path = self._context / name
        status = path.lstat()
        if S_ISLNK(status.st_mode):
            return ("link", 0, str(path.readlink()))
        if not S_ISREG(status.st_mode):
            return None
        kind = "x" if status.st_mode & 0o100 else "-"
        return (kind, status.st_size, self._hash(name, status))

    def differs(self, name: str, before: _File) -> bool:
        """Whether a file is another one than before."""
        try:
            status = (self._context / name).lstat()
        except OSError:
            return True
        if S_ISREG(status.st_mode) and status.st_size == before[1] and before[0] != "link":
            is_known = self._cache.find(name, file_key(status)) is not None
            self._bytes += 0 if is_known else status.st_size
            if self._bytes > _MOST_BYTES:
                return False
            return self.read(name) != before
        return S_ISREG(status.st_mode) or self.read(name) != before

    def remember(self) -> None:
        """Keep the hashes for the next look."""
        self._cache.remember({**self._cache.hashed, **self._hashed})

    def _hash(self, name: str, status: os.stat_result) -> str:
        key = file_key(status)
        known = self._cache.find(name, key)
        if known is None:
            digest = hashlib.sha256()
            with (self._context / name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            known = digest.hexdigest()
        self._hashed[name] = (key, known)
        return known


def _walk(context: Path, ignore: DockerIgnore, patterns: Sequence[str] | None) -> Iterator[tuple[str, bool]]:
    """What is in the folders that something may be copied of: each name, and whether it may be copied."""
    left = [""]
    while left:
        folder = left.pop()
        with os.scandir(context / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                # What git keeps for itself changes with each commit, and means nothing to a program.
                if entry.name in (_STATE, GIT):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                is_file = entry.is_symlink() or entry.is_file(follow_symlinks=False)
                yield name, is_file and not ignore.leaves_out(name)
                if is_folder and may_hold_copied(patterns, name) and not ignore.leaves_out_all_in(name):
                    left.append(name)


def _digests(project: Project, settings: Mapping[str, str]) -> dict[str, str]:
    """Hashes of settings that only this project can make: one may be secret."""

    def digest(value: str) -> str:
        return hmac.new(project.key, value.encode("utf-8", "surrogateescape"), "sha256").hexdigest()

    return {name: digest(value) for name, value in settings.items()}


def _recall(project: Project, image_id: str) -> Inputs | None:
    file = _record(project, image_id)
    if not image_id or not file.is_file():
        return None
    content = load_json(file.read_bytes())
    files = {name: (kind, size, digest) for name, (kind, size, digest) in content["files"].items()}
    return Inputs(profile=content["profile"], settings=dict(content["settings"]), files=files)


def _folder(project: Project) -> Path:
    return project.state / "inputs"


def _record(project: Project, image_id: str) -> Path:
    return _folder(project) / f"{hashlib.sha256(image_id.encode()).hexdigest()[:32]}.json"
