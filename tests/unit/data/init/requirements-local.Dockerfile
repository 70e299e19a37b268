# The image that jobs of this repository run in. `slipway init` proposed it; change it as you like.
# It has the packages of requirements.txt.
# The code itself is not in it: each job brings that along, at /code. So only what packages are
# installed from is copied here, and an edit of the code builds nothing.
#
# BASE_IMAGE, in env/.env.base, may be any image with apt: python:3.11-slim for another Python, or
# nvidia/cuda:12.6.3-devel-ubuntu24.04 for code that nvcc compiles. PyTorch from PyPI needs no such
# base: it brings CUDA along, and the cluster has the driver.
# For a base that has PyTorch (pytorch/pytorch, nvcr.io/nvidia/pytorch), take PyTorch off the list
# of packages and add --system-site-packages to `venv /opt/env`.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS base
ARG DEBIAN_FRONTEND=noninteractive
# More of Debian's packages go here. Its mirrors drop old versions, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

# Packages that are compiled need build-essential and python3-dev in this stage.
FROM base AS builder
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Slipway puts the certificates that this machine trusts beside these files, for networks that open
# TLS; they stay in this stage. A plain `docker build` has none, hence the brackets.
COPY requirements.txt constraints.txt .slipwa[y]/ca-bundle.crt ./
COPY requirements/base.txt ./requirements/
RUN [ -f ca-bundle.crt ] || cp /etc/ssl/certs/ca-certificates.crt ca-bundle.crt
ENV SSL_CERT_FILE=/build/ca-bundle.crt \
    REQUESTS_CA_BUNDLE=/build/ca-bundle.crt \
    PIP_CERT=/build/ca-bundle.crt
# Folders of this repository are no packages here: Python finds their modules by PYTHONPATH.
RUN sed -Ei '/^[[:space:]]*((-e|--editable)[= ]*)?(\.\.?([/[:space:][]|$)|file:)/d' \
      requirements.txt requirements/base.txt constraints.txt
RUN python3 -m venv /opt/env \
 && /opt/env/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM base
COPY --from=builder /opt/env /opt/env
# Modules of the code are found wherever a program starts; what it prints is seen at once.
ENV PATH=/opt/env/bin:$PATH \
    PYTHONPATH=/code/src:/code \
    PYTHONUNBUFFERED=1
