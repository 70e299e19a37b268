"""Every way Slipway can fail, each with the exit code that a script can test for.

A message says what failed, where (file and key, or host and path) and what to do next.
Exit codes start at 64 so that they stay apart from the codes of the programs that people run.
"""

from __future__ import annotations


class SlipwayError(Exception):
    """The root of all errors that are reported to the user without a traceback."""

    exit_code = 70


class UsageError(SlipwayError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 64


class ConfigError(SlipwayError):
    """A profile or a site file is missing, unreadable or wrong."""

    exit_code = 65


class HostError(SlipwayError):
    """This machine lacks a program, a service or room that the step needs."""

    exit_code = 66


class ImageError(SlipwayError):
    """The container image could not be built, found or converted."""

    exit_code = 67


class LinkError(SlipwayError):
    """The cluster could not be reached, or would not let us in."""

    exit_code = 68


class RemoteError(SlipwayError):
    """A command on the cluster failed."""

    exit_code = 69


class JobError(SlipwayError):
    """SLURM refused a job, or a job cannot be what is asked of it."""

    exit_code = 71


class ParseError(SlipwayError):
    """A program printed something other than what is documented."""

    exit_code = 72


class DataError(SlipwayError):
    """A folder of code or data is not what the step needs."""

    exit_code = 73
