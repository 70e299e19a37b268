# The image that jobs of this repository run in. `slipway init` proposed it; change it as you like.
# It has the packages of environment.yml.
# The code itself is not in it: each job brings that along, at /code. So only what packages are
# installed from is copied here, and an edit of the code builds nothing.
#
# The packages are installed in an image with micromamba, from Docker Hub; ARG_MICROMAMBA_IMAGE in
# env/.env.base names another one. They need nothing of BASE_IMAGE but its C library.
ARG BASE_IMAGE=debian:trixie-slim
ARG MICROMAMBA_IMAGE=mambaorg/micromamba:2

FROM ${MICROMAMBA_IMAGE} AS builder
# This stage is thrown away.
# hadolint ignore=DL3002
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Slipway puts the certificates that this machine trusts beside these files, for networks that open
# TLS; they stay in this stage. A plain `docker build` has none, hence the brackets.
COPY environment.yml pip.txt .slipwa[y]/ca-bundle.crt ./
RUN [ -f ca-bundle.crt ] || cp /etc/ssl/certs/ca-certificates.crt ca-bundle.crt
ENV SSL_CERT_FILE=/build/ca-bundle.crt \
    REQUESTS_CA_BUNDLE=/build/ca-bundle.crt \
    PIP_CERT=/build/ca-bundle.crt
RUN micromamba create -y -p /opt/env -f environment.yml

FROM ${BASE_IMAGE}
COPY --from=builder /opt/env /opt/env
# Modules of the code are found wherever a program starts; what it prints is seen at once.
ENV PATH=/opt/env/bin:$PATH \
    PYTHONPATH=/code \
    PYTHONUNBUFFERED=1
