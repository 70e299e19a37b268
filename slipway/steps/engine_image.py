"""What needs the profile's image in a Docker engine."""

from __future__ import annotations

from slipway.errors import UsageError
from slipway.profile import Profile


def refuse_definition(profile: Profile, what: str) -> None:
    """Refuse what needs an image in a Docker engine.

    Raises:
        UsageError: the profile's image is built by Apptainer.
    """
    if profile.is_built_by_apptainer:
        key = "DEFINITION" if profile.definition is not None else "BUILDER"
        raise UsageError(
            f"{what} is of an image in a Docker engine, and profile {profile.name} has none: Apptainer "
            f"builds it ({profile.origins[key]}: {key})"
        )
