"""Slipway beside an engine, in the container of that engine: from a Dockerfile to a job's results.

Usage: engine_program.py FOLDER IMAGES. It makes a project in the folder, loads the archives in the folder
IMAGES, gives the tasks as a user would, and prints what came out as JSON.
"""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROFILE = """IMAGE=engine-trial
DOCKERFILE=docker/Dockerfile
PROGRAM=cat
ARG_GREETING=hello there
BUILD_SECRETS=TRIAL_TOKEN
"""
PLAIN = """ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS one
ARG GREETING
COPY .slipway/ca-bundle.crt /ca.crt
RUN grep -q BEGIN /ca.crt && echo "$GREETING" >/greeting
FROM ${BASE_IMAGE}
ENV A="b \\"c\\" $d"
LABEL e=f
COPY --from=one /greeting /
COPY *.txt /context/
"""
# What BuildKit and Podman know besides.
MORE = """RUN --mount=type=cache,target=/c --mount=type=secret,id=TRIAL_TOKEN,required=true \\
    echo x >>/c/x && wc -c </run/secrets/TRIAL_TOKEN >/size && cat /run/secrets/TRIAL_TOKEN
RUN --mount=type=bind,source=.slipway/ca-bundle.crt,target=/m.crt grep -q BEGIN /m.crt
COPY <<EOF /inline
FROM nowhere
EOF
"""
TOKEN = "hunter2-hunter2"  # noqa: S105 - of nothing


class Trial:
    """The project, and the tasks that are given in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        for name in ("env", "docker"):
            (folder / name).mkdir(parents=True)
        (folder / "env/.env.base").write_text(PROFILE)
        (folder / "docker/a.txt").write_text("a\n")
        (folder / "docker/left.out.txt").write_text("b\n")
        (folder / "docker/.dockerignore").write_text("left.*\n")
        (folder / "hello.txt").write_text("from the code\n")

    def write(self, text: str) -> None:
        (self.folder / "docker/Dockerfile").write_text(text)

    def task(self, *words: str, **more: str) -> str:
        """What a task answers."""
        environment = {**os.environ, "TRIAL_TOKEN": TOKEN, **more}
        done = subprocess.run(
            [sys.executable, "-m", "slipway", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.said += done.stdout + done.stderr
        if done.returncode:
            raise SystemExit(f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()


def files_of(image: Any) -> Iterator[tuple[str, bytes]]:
    """The configuration and the layers of an image, as they would be sent elsewhere and not compressed."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as archive:
        for member in archive:
            if file := archive.extractfile(member):
                content = file.read()
                yield member.name, gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def main() -> None:
    """Go the whole way."""
    trial = Trial(Path(sys.argv[1]))
    from slipway.image.engine import engine

    client = engine()
    for archive in Path(sys.argv[2]).iterdir():
        with archive.open("rb") as file:
            client.images.load(file)
    report: dict[str, Any] = {"version": client.version()["Version"], "user": os.getuid()}
    trial.write(PLAIN)
    report["built"] = trial.task("build", DOCKER_BUILDKIT="0")
    # The other builder, where there is one, has nothing to do.
    report["again"] = trial.task("build")
    trial.write(PLAIN + MORE)
    report["more"] = trial.task("build")
    report["more again"] = trial.task("build")
    found = client.images.get("engine-trial")
    report["history"] = json.dumps([found.attrs, found.history()])
    report["layers"] = [name for name, content in files_of(found) if TOKEN.encode() in content]
    report["files"] = client.containers.run(
        str(found.id), ["sh", "-c", "cat /greeting /size /inline; ls /context"], remove=True
    ).decode()
    report["converted"] = trial.task("sif")
    sif = next((trial.folder / ".slipway/sif").glob("*.sif"))
    report["owner"] = sif.stat().st_uid
    trial.task("start")
    report["entered"] = trial.task(
        "enter", "--", "sh", "-c", "cat hello.txt; echo x >/out/y; printf '%s' \"$A\""
    )
    trial.task("copy")
    copied = trial.folder / "results/local-base/y"
    report["copied"] = [copied.read_text(), copied.stat().st_uid]
    trial.task("stop")
    report["job"] = trial.task("job", "--local", "--", "hello.txt", "/greeting")
    kept = [
        file for file in (trial.folder / ".slipway").rglob("*") if file.is_file() and file.suffix != ".sif"
    ]
    shown = [str(file) for file in kept if TOKEN.encode() in file.read_bytes()]
    report["shown"] = [*shown, *(["the terminal"] if TOKEN in trial.said else [])]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
