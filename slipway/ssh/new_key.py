"""A new key of this machine's user."""

from __future__ import annotations

import os
from pathlib import Path

from slipway.errors import HostError


def make_key(path: Path, comment: str, passphrase: str = "") -> str:
    """Make an ed25519 key in OpenSSH's form, and ``PATH.pub`` beside it.

    Args:
        path: its file, which is not there yet.
        comment: what the public key ends with.
        passphrase: what guards it; empty for nothing.

    Returns:
        The line of the public key.

    Raises:
        HostError: it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    guard = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, guard)
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    line = f"{public.decode()} {comment}\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, content, mode in ((path, private, 0o600), (Path(f"{path}.pub"), line.encode(), 0o644)):
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as new:
                new.write(content)
    except OSError as error:
        raise HostError(f"{error.filename or path} cannot be written: {error.strerror or error}") from error
    return line.strip()
