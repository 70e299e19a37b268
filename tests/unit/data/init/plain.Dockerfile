# The image that jobs of this repository run in. `slipway init` proposed it; change it as you like.
# It has Python and nothing else.
# The code itself is not in it: each job brings that along, at /code. So only what packages are
# installed from is copied here, and an edit of the code builds nothing.
#
# For packages, write a requirements.txt, remove this file, and run `slipway init` again.
# BASE_IMAGE, in env/.env.base, may be any image with apt: python:3.11-slim, pytorch/pytorch.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE}
ARG DEBIAN_FRONTEND=noninteractive
# More of Debian's packages go here. Its mirrors drop old versions, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python-is-python3 python3 \
 && rm -rf /var/lib/apt/lists/*
# Modules of the code are found wherever a program starts; what it prints is seen at once.
ENV PYTHONPATH=/code \
    PYTHONUNBUFFERED=1
