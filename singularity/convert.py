"""Makes a .sif of an OCI layout or a definition file with Apptainer, and writes down what is found in it.

Runs where Apptainer is: on this machine, or in the container of singularity/Dockerfile. It needs nothing but
spython there, so that it can be mounted into the container as a single file. Its exit code is 0 where
Apptainer made the file; whether that is what the image was is for the caller to judge, by the facts.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# zstd makes as small a file as Apptainer's default, gzip, and takes a third of its time.
SQUASHFS = {"zstd": ["--mksquashfs-args", "-comp zstd -Xcompression-level 3"], "gzip": []}
# A user's Apptainer leaves the content of files empty that their owner may not read, and says nothing. As
# root of a user namespace it reads them; where there is none, their permissions have to change.
ATTEMPTS = {"root": [[]], "user": [["--fakeroot"], ["--fakeroot", "--ignore-subuid"], ["--fix-perms"]]}
# Permissions alone make nobody root, as whom the commands of a definition file run.
DEFINED = {"root": [[]], "user": [["--fakeroot"], ["--fakeroot", "--ignore-subuid"]]}
# What Apptainer says before it runs the first of them. From then on another attempt would only fail later.
_RUNS = "Running post scriptlet"
# Root of a container may mount nothing, but may make a namespace with all users in it, whose root mounts.
ALL_USERS = ["unshare", "--user", "--map-users=0:0:65536", "--map-groups=0:0:65536", "--setuid=0"]
ALL_USERS += ["--setgid=0", "--mount", "--propagation=private"]
# linux/prctl.h, linux/capability.h
PR_CAPBSET_DROP, CAP_SYS_ADMIN = 24, 21
PROGRAMS = ("APPTAINER", "SINGULARITY")
# What a user wants in all containers: it is not the image's, and would be taken for that.
_OF_THE_USER = re.compile(r"(APPTAINER|SINGULARITY)(ENV_.*|_BIND|_BINDPATH|_MOUNT)", re.S)
_LISTED = re.compile(
    r"([-dlcbps])([rwxsStT-]{9}) +(\d+)/(\d+) +\S.*? \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root(/.*)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# In a runscript: what follows is how Apptainer, or what Slipway writes, starts what stands before it.
_HEAD = re.compile(r"\n# (?:When SINGULARITY_NO_EVAL|slipway: what is started)")
# What distributions close by themselves, and no job reads.
_ORDINARY = re.compile(r"/(etc|var|run|boot|proc|sys|dev|tmp|lost\+found)(/|$)")
# The entry point and the command as the runscript has them, then the environment, each word ended by a zero
# byte.
_TELL = (
    'eval "$1"; eval "set -- $OCI_ENTRYPOINT"; printf "%s\\0" "$#" "$@"; '
    'eval "set -- $OCI_CMD"; printf "%s\\0" "$#" "$@"; exec cat /proc/self/environ'
)


def main() -> int:
    """Make ``--sif`` of ``--layout`` or ``--definition``, and write ``--facts``."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--layout", type=Path, help="an OCI layout with one image")
    source.add_argument("--definition", type=Path, help="a definition file, in the folder of what it copies")
    parser.add_argument(
        "--order", type=Path, help="what to put together of layers; the layout has no files then"
    )
    parser.add_argument("--assembler", type=Path, metavar="FOLDER", help="the Python package that does it")
    parser.add_argument("--arguments", type=Path, help="a file with values for {{ NAME }} in it")
    parser.add_argument("--cache", type=Path, help="a folder for what is downloaded")
    parser.add_argument("--sif", type=Path, required=True, help="the file to make")
    parser.add_argument("--facts", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--tmp", type=Path, required=True, help="a folder with room for the unpacked image")
    parser.add_argument("--compression", choices=SQUASHFS, default="zstd")
    parser.add_argument("--owner", metavar="UID:GID", help="whom the files are to belong to")
    parser.add_argument("--userns", action="store_true", help="run the image in a user namespace of its own")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.tmp, prefix="convert-") as name:
        folder = Path(name)
        if args.layout and args.userns:
            # Apptainer copies it, and Podman gives a container without a network none.
            Path("/etc/resolv.conf").touch()
        prepare(folder, args.cache)
        if args.order:
            attempt = put_together(args)
        elif args.layout:
            keep_layers(folder, args.layout)
            attempt = build(f"oci:{args.layout}", args.sif, SQUASHFS[args.compression])
        else:
            attempt = define(args, SQUASHFS[args.compression])
        if attempt is None:
            return 1
        if args.userns:
            drop_rights()
        options = ["--userns"] if args.userns else []
        found = look(args.sif, options)
        if "why_not_run" in found and args.order and has_holes(args):
            # A program that ran may have needed what was left out.
            if not fill(args):
                return 1
            found = look(args.sif, options)
        facts = {"attempt": attempt, **found}
        # Names and values need not be valid UTF-8; escaped, any string can be written.
        args.facts.write_text(json.dumps(facts), encoding="ascii")
    if args.owner:
        made = args.order.parent.glob("layers/*") if args.order else ()
        for path in (args.sif, args.facts, *made):
            os.chown(path, *(int(number) for number in args.owner.split(":")))
    return 0


def prepare(folder: Path, cache: Path | None) -> None:
    """Have Apptainer keep all that it makes in a folder, and add nothing."""
    for name in filter(_OF_THE_USER.fullmatch, list(os.environ)):
        del os.environ[name]
    places = {"TMPDIR": folder, "CACHEDIR": cache or folder}
    settings = {f"{program}_{name}": str(place) for program in PROGRAMS for name, place in places.items()}
    os.environ.update({**settings, "TMPDIR": str(folder), "NO_COLOR": "1"})
    if shutil.which("singularity") is None:
        # spython calls Apptainer by its old name only.
        (folder / "singularity").symlink_to(shutil.which("apptainer") or "apptainer")
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def keep_layers(folder: Path, layout: Path) -> None:
    """Put a layout's layers where Apptainer looks for them before it copies any there."""
    # A version that looks elsewhere only copies.
    cache = folder / "cache" / "blob" / "blobs" / "sha256"
    cache.mkdir(parents=True)
    for blob in (layout / "blobs" / "sha256").iterdir():
        with contextlib.suppress(OSError):
            os.link(blob, cache / blob.name)


def put_together(args: argparse.Namespace) -> str | None:
    """Have Apptainer add what it adds to an image without files, and the layers put below that.

    Returns:
        ``root``: whoever does it, all files are what they are in the image. ``None`` where it failed.
    """
    order = json.loads(args.order.read_text(encoding="ascii"))
    argv, env = assembler_command(args)
    # It has the layers to read before it needs what Apptainer makes, and waits for a line then.
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE) as assembler:
        made = build(f"oci:{args.layout}", Path(order["head"]), [], {"root": [[]], "user": [[]]})
        # It may have ended meanwhile, and has said why.
        with contextlib.suppress(BrokenPipeError):
            assembler.communicate(b"made\n" if made else b"")
    return "root" if made and assembler.returncode == 0 else None


def has_holes(args: argparse.Namespace) -> bool:
    """Whether parts of the file were left out."""
    answer = json.loads(args.order.with_suffix(".answer.json").read_text(encoding="ascii"))
    return bool(answer["holes"])


def fill(args: argparse.Namespace) -> bool:
    """Have the parts of the file written that were left out; whether that went well."""
    argv, env = assembler_command(args)
    return subprocess.run([*argv, "fill"], env=env, check=False).returncode == 0


def assembler_command(args: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """What runs the assembler, and its environment."""
    argv = [sys.executable, "-m", args.assembler.name, str(args.order)]
    return argv, {**os.environ, "PYTHONPATH": str(args.assembler.parent)}


def drop_rights() -> None:
    """Give up what only the layers were read with, before a program of the image runs."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)


def define(args: argparse.Namespace, squashfs: list[str]) -> str | None:
    """Build a definition file; see :func:`build`."""
    # Paths in it begin at the folder that it is in.
    os.chdir(args.definition.parent)
    options = ["--build-arg-file", str(args.arguments)] if args.arguments else []
    bundle = Path(".slipway/ca-bundle.crt").resolve()
    if args.userns and bundle.is_file():
        os.environ["SSL_CERT_FILE"] = str(bundle)
    before = ALL_USERS if needs_all_users() else []
    return build(args.definition.name, args.sif, [*squashfs, *options], DEFINED, before)


def needs_all_users() -> bool:
    """Whether this is root that may not mount, as in a container, but may make a namespace with all users."""

    def works(*argv: str) -> bool:
        try:
            return subprocess.run([*argv, "true"], capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    return os.geteuid() == 0 and not works("unshare", "--mount") and works(*ALL_USERS)


def build(
    source: str,
    sif: Path,
    options: list[str],
    attempts: dict[str, list[list[str]]] = ATTEMPTS,
    before: list[str] | None = None,
) -> str | None:
    """Build the image; Apptainer's lines go to standard output while they come.

    Args:
        source: what Apptainer builds from.
        sif: the file to make.
        options: for each attempt.
        attempts: which to make, for root and for others.
        before: what starts Apptainer.

    Returns:
        The attempt that succeeded: ``root``, or the options that it took. ``None`` where all failed.
    """
    # Not by spython's own build: it holds back what Apptainer says on standard error, which is all, to the
    # end.
    for attempt in attempts["root" if os.geteuid() == 0 else "user"]:
        argv = [*(before or ()), "singularity", "build", "--force", *attempt, *options, str(sif), source]
        code, has_run = listen(argv)
        if code == 0:
            return " ".join(attempt) or "root"
        print(f"`{' '.join(['apptainer build', *attempt])}` ended with exit code {code}", flush=True)
        if has_run:
            break
    return None


def listen(argv: list[str]) -> tuple[int, bool]:
    """Run a program, and hand on what it prints; its exit code, and whether commands of a definition ran."""
    has_run = False
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            has_run = has_run or _RUNS.encode() in line
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    return process.returncode, has_run


def look(sif: Path, options: list[str]) -> dict[str, Any]:
    """What Apptainer finds in the file, and, where an image can run here, what a program in it sees."""
    from spython.main import Client

    # Each of them waits for a program of its own.
    with ThreadPoolExecutor() as beside:
        listed, recorded = beside.submit(look_at_files, sif), beside.submit(recorded_config, sif)
        # Of a failure spython gives the words in place of the attributes.
        found = Client.inspect(str(sif), quiet=True).get("attributes", {})
        inside = run_inside(sif, found.get("runscript") or "", options)
        facts = {key: found.get(key) for key in ("labels", "runscript")}
        return {
            "version": Client.version(),
            **facts,
            "config": recorded.result(),
            **listed.result(),
            **inside,
        }


def look_at_files(sif: Path) -> dict[str, Any]:
    """What is to be known of the files in it, or ``None`` where they cannot be listed."""
    files = list_files(sif)
    return {
        "has_shell": None if files is None else has_program(files, "/bin/sh"),
        "closed": None if files is None else closed_files(files),
    }


def recorded_config(sif: Path) -> dict[str, Any] | None:
    """The Docker image's configuration, as newer versions of Apptainer put it into the file."""
    for number in ("2", "3"):
        dumped = subprocess.run(
            ["singularity", "sif", "dump", number, str(sif)], capture_output=True, check=False
        )
        with contextlib.suppress(ValueError):
            content = json.loads(dumped.stdout)
            # The other one is what `inspect` shows.
            if isinstance(content, dict) and "data" not in content:
                return content
    return None


def run_inside(sif: Path, runscript: str, options: list[str]) -> dict[str, Any]:
    """The environment, entry point and command that a process in the image has, or why none could run."""
    from spython.main import Client

    head = _HEAD.split(runscript)[0] if "OCI_ENTRYPOINT=" in runscript else ""
    alone = ["--cleanenv", "--containall", "--no-home", "--pwd", "/"]
    result = Client.execute(
        str(sif),
        ["/bin/sh", "-c", _TELL, "sh", head],
        options=[*options, *alone],
        singularity_options=["--silent"],
        return_result=True,
        quiet=True,
    )
    said = result["message"] if isinstance(result["message"], list) else [result["message"]]
    words = str(said[0]).split("\0") if said else []
    if result["return_code"] or len(words) < 2:
        lines = [_COLOUR.sub("", line).strip() for part in said for line in str(part).splitlines()]
        return {"why_not_run": next((line for line in reversed(lines) if line), "it said nothing")}
    entrypoint, words = take(words)
    command, words = take(words)
    facts: dict[str, Any] = {"environment": [word for word in words if word]}
    return facts | ({"entrypoint": entrypoint, "command": command} if head else {})


def take(words: list[str]) -> tuple[list[str], list[str]]:
    """So many words as the first one says, and the rest."""
    count = int(words[0])
    return words[1 : 1 + count], words[1 + count :]


def list_files(sif: Path) -> list[tuple[str, str, str]] | None:
    """Kind, permissions and path (with `` -> target``) of each file, or ``None`` where that cannot be had."""
    argv = ["unsquashfs", "-o", str(squashfs_offset(sif)), "-lln", str(sif)]
    try:
        listed = subprocess.run(argv, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    text = listed.stdout.decode("utf-8", errors="surrogateescape")
    return parse_files(text) if listed.returncode == 0 else None


def squashfs_offset(sif: Path) -> int:
    """Where the file system begins; in a .sif that is at a whole page."""
    with sif.open("rb") as file:
        for offset in range(0, sif.stat().st_size, 4096):
            file.seek(offset)
            if file.read(4) == b"hsqs":
                return offset
    return 0


def parse_files(text: str) -> list[tuple[str, str, str]]:
    """What ``unsquashfs -lln`` prints; a name with a line break in it is cut there."""
    matches = (_LISTED.match(line) for line in text.splitlines())
    return [(match[1], match[2], match[5]) for match in matches if match]


def has_program(files: list[tuple[str, str, str]], path: str) -> bool:
    """True where a path leads to a file, through all links on the way."""
    kinds = {name.partition(" -> ")[0]: kind for kind, _, name in files}
    links = dict(name.partition(" -> ")[::2] for kind, _, name in files if kind == "l")
    for _ in range(40):  # as many links as Linux follows
        parts = path.split("/")
        prefixes = ("/".join(parts[: number + 1]) for number in range(1, len(parts)))
        link = next((prefix for prefix in prefixes if prefix in links), None)
        if link is None:
            return kinds.get(path) == "-"
        path = os.path.normpath(os.path.join(os.path.dirname(link), links[link]) + path[len(link) :])  # noqa: PTH118, PTH120
    return False


def closed_files(files: list[tuple[str, str, str]]) -> list[str]:
    """Files and folders, in which there is something, that only their owner may read."""
    closed: list[str] = []
    for kind, mode, path in files:
        inside = next((folder for folder in closed if path.startswith(folder + "/")), None)
        wanted = "r" if kind == "-" else "r-x"
        is_open = all(bit == "-" or bit in mode[6:].replace("t", "x") for bit in wanted)
        if kind in "-d" and not is_open and not inside and not _ORDINARY.match(path):
            closed.append(path)
    # A closed folder with nothing but a shell's own settings, as each distribution's /root.
    names = [path for kind, _, path in files if kind != "d"]
    folders = {path for kind, _, path in files if kind == "d"}
    return [
        path
        for path in closed
        if path not in folders
        or any(name.startswith(path + "/") and not name[len(path) + 1 :].startswith(".") for name in names)
    ]


if __name__ == "__main__":
    sys.exit(main())
