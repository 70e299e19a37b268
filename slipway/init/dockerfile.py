"""The Dockerfile that is proposed: it installs what the code needs, from the file that says so."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from slipway.image.recipe import CA_BUNDLE
from slipway.init.detect import Findings

# One version, so that the same files give the same image.
UV = "uv==0.13.9"
_LOCAL = r"/^[[:space:]]*((-e|--editable)[= ]*)?(\.\.?([/[:space:][]|$)|file:)/d"

_HEAD = """\
# The image that jobs of this repository run in. `slipway init` proposed it; change it as you like.
# {what}
# The code itself is not in it: each job brings that along, at /code. So only what packages are
# installed from is copied here, and an edit of the code builds nothing.
"""
_WHAT = {
    "uv": "It has the packages of uv.lock, but for the group dev.",
    "requirements": "It has the packages of requirements.txt.",
    "conda": "It has the packages of {file}.",
    "pyproject": "It has the packages that pyproject.toml depends on.",
    "plain": "It has Python and nothing else.",
}
_BASES = """\
#
# BASE_IMAGE, in env/.env.base, may be any image with apt: python:3.11-slim for another Python, or
# nvidia/cuda:12.6.3-devel-ubuntu24.04 for code that nvcc compiles. PyTorch from PyPI needs no such
# base: it brings CUDA along, and the cluster has the driver.
"""
_SHARE = """\
# For a base that has PyTorch (pytorch/pytorch, nvcr.io/nvidia/pytorch), take PyTorch off the list
# of packages and add --system-site-packages to `venv /opt/env`.
"""
_DEBIAN = """\
ARG DEBIAN_FRONTEND=noninteractive
# More of Debian's packages go here. Its mirrors drop old versions, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \\
 && apt-get install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/*
"""
_BASE = """\
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS base
""" + _DEBIAN.format(packages="ca-certificates python3 python3-venv")
_BUILDER = """
# Packages that are compiled need build-essential and python3-dev in this stage.
FROM base AS builder
"""
_PLAIN = """\
#
# For packages, write a requirements.txt, remove this file, and run `slipway init` again.
# BASE_IMAGE, in env/.env.base, may be any image with apt: python:3.11-slim, pytorch/pytorch.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE}
""" + _DEBIAN.format(packages="ca-certificates python-is-python3 python3")
_GIT = """\
# hadolint ignore=DL3008
RUN apt-get update \\
 && apt-get install -y --no-install-recommends git \\
 && rm -rf /var/lib/apt/lists/*
"""
_CERTIFICATES = """\
# Slipway puts the certificates that this machine trusts beside these files, for networks that open
# TLS; they stay in this stage. A plain `docker build` has none, hence the brackets.
"""
_NAME = posixpath.basename(CA_BUNDLE)
_TRUST = f"""\
RUN [ -f {_NAME} ] || cp /etc/ssl/certs/ca-certificates.crt {_NAME}
ENV SSL_CERT_FILE=/build/{_NAME} \\
    REQUESTS_CA_BUNDLE=/build/{_NAME} \\
    PIP_CERT=/build/{_NAME}
"""
_WITHOUT_LOCAL = f"""\
# Folders of this repository are no packages here: Python finds their modules by PYTHONPATH.
RUN sed -Ei '{_LOCAL}' \\
      {{files}}
"""
_PIP = """\
RUN python3 -m venv /opt/env \\
 && /opt/env/bin/pip install --no-cache-dir --disable-pip-version-check -r {file}
"""
_UV_PIP = f"""\
# uv reads what a pyproject.toml depends on without building the project, which pip cannot.
RUN python3 -m venv /opt/env \\
 && python3 -m venv /tmp/uv \\
 && /tmp/uv/bin/pip install --no-cache-dir --disable-pip-version-check {UV} \\
 && /tmp/uv/bin/uv pip install --no-cache --python /opt/env -r pyproject.toml
"""
_UV_SYNC = f"""\
# Where the project wants another Python than the base has, uv fetches it, to /opt/env, too.
RUN python3 -m venv /tmp/uv \\
 && /tmp/uv/bin/pip install --no-cache-dir --disable-pip-version-check {UV} \\
 && UV_PROJECT_ENVIRONMENT=/opt/env/venv UV_PYTHON_INSTALL_DIR=/opt/env/python \\
      /tmp/uv/bin/uv sync --no-cache --frozen --no-dev --no-install-workspace
"""
_CONDA = """\
#
# The packages are installed in an image with micromamba, from Docker Hub; ARG_MICROMAMBA_IMAGE in
# env/.env.base names another one. They need nothing of BASE_IMAGE but its C library.
ARG BASE_IMAGE=debian:trixie-slim
ARG MICROMAMBA_IMAGE=mambaorg/micromamba:2

FROM ${MICROMAMBA_IMAGE} AS builder
# This stage is thrown away.
# hadolint ignore=DL3002
USER 0
"""
_CREATE = """\
RUN micromamba create -y -p /opt/env -f {file}
"""
_ENVIRONMENT = """\
# Modules of the code are found wherever a program starts; what it prints is seen at once.
ENV {path}PYTHONPATH={modules} \\
    PYTHONUNBUFFERED=1
"""


def render_dockerfile(found: Findings) -> str:
    """The text of a ``Dockerfile`` for what was found."""
    head = _HEAD.format(what=_WHAT[found.kind].format(file=found.files[0] if found.files else ""))
    if found.kind == "plain":
        return head + _PLAIN + _environment(found, "")
    if found.kind == "conda":
        builder, last = _CONDA, "${BASE_IMAGE}"
    else:
        share = "" if found.kind == "uv" else _SHARE
        builder, last = f"{_BASES}{share}{_BASE}{_BUILDER}", "base"
    folder = "/opt/env/venv/bin" if found.kind == "uv" else "/opt/env/bin"
    final = f"\nFROM {last}\nCOPY --from=builder /opt/env /opt/env\n{_environment(found, folder)}"
    return head + builder + _install(found) + final


def _install(found: Findings) -> str:
    """The lines of the stage in which the packages are installed, behind its beginning."""
    commands = {
        "uv": _UV_SYNC,
        "pyproject": _UV_PIP,
        "conda": _CREATE.format(file=found.files[0]),
        "requirements": _PIP.format(file=found.files[0]),
    }
    local = _WITHOUT_LOCAL.format(files=" ".join(found.files))
    return "".join(
        [
            _GIT if found.needs_git else "",
            f"WORKDIR /build\n{_CERTIFICATES}{_copy(found.files)}{_TRUST}",
            local if found.has_local and found.kind == "requirements" else "",
            commands[found.kind],
        ]
    )


def _copy(files: Iterable[str]) -> str:
    """The COPY lines for files of the context, each to its own place below the working directory."""
    folders: dict[str, list[str]] = {"./": []}
    for name in files:
        folder = posixpath.dirname(name)
        folders.setdefault(f"./{folder}/" if folder else "./", []).append(name)
    # A pattern that matches nothing is no error; a name would be, and for BuildKit also the folder's.
    state, _, name = CA_BUNDLE.partition("/")
    folders["./"].append(f"{state[:-1]}[{state[-1]}]/{name}")
    return "".join(f"COPY {' '.join(names)} {folder}\n" for folder, names in folders.items())


def _environment(found: Findings, folder: str) -> str:
    path = f"PATH={folder}:$PATH \\\n    " if folder else ""
    return _ENVIRONMENT.format(path=path, modules="/code/src:/code" if found.has_src else "/code")
