"""A definition that the user has written: the profile's DEFINITION."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slipway.errors import ConfigError, ImageError
from slipway.image.definition_file import DefinitionFile, find_named, parse_definition
from slipway.image.dockerfile import plain_text
from slipway.sif.definition.definition import Definition, Placed, hash_definition
from slipway.sif.definition.generated import hash_files, own_labels


def from_file(
    file: Path,
    name: str,
    platform: str,
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
    remarks: Mapping[str, str],
    memory: Path,
) -> Definition:
    """The definition of a file, with the files that it names.

    Args:
        file: the definition file.
        name: the image's name.
        platform: what it is for.
        build_args: values for ``{{ NAME }}`` in it; those that it does not use are left out.
        labels: what the image is known by, beside what is in it.
        remarks: labels that do not count for that.
        memory: the folder of remembered hashes.

    Raises:
        ConfigError: there is no such file.
        ImageError: something that it names is not there, or cannot be the same wherever it is built.
    """
    try:
        text = plain_text(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: there is no such definition file; DEFINITION names it") from error
    parsed = parse_definition(text, build_args)
    arguments = {one: build_args[one] for one in sorted(parsed.arguments) if one in build_args}
    _check(file, parsed, arguments)
    names = find_named(file, parsed)
    hashes = hash_files(file.parent, names, memory)
    prints = [[one, _is_program(file.parent / one), hashes[one]] for one in names]
    inputs = hash_definition(
        {"text": text, "arguments": arguments, "platform": platform, "files": prints, "profile": dict(labels)}
    )
    all_labels = {**labels, **remarks, **own_labels(name, inputs)}
    lines = "".join(f"    {key} {value}\n" for key, value in all_labels.items())
    return Definition(
        name=name,
        source=file,
        # Apptainer puts sections of one name together; this one is of the last stage, which is the image.
        text=f"{text.rstrip()}\n\n%labels\n{lines}",
        inputs=inputs,
        platform=platform,
        files=[Placed(place=one, path=file.parent / one) for one in names],
        config={"Labels": all_labels},
        arguments=arguments,
    )


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _check(file: Path, parsed: DefinitionFile, arguments: Mapping[str, str]) -> None:
    if parsed.host_scripts:
        one = parsed.host_scripts[0]
        raise ImageError(
            f"{file}:{one.line}: %{one.name} runs on the machine that builds and outside of the image, so "
            "what comes of it differs from one to the next; put its commands into %post and its files into "
            "%files"
        )
    for name, value in arguments.items():
        if "\n" in value or value != value.strip():
            raise ImageError(
                f"{file}: the value of {name} has a line break or spaces around it, which Apptainer drops"
            )
