"""Every way Slipway can fail, each with the exit code that a script can test for.

A message says what failed, where (file and key, or host and path) and what to do next.
Exit codes start at 64 so that they stay apart from the codes of the programs that people run. What a script
would do about a failure is the same for all that share a code: ``docs/errors.md`` has the table.
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
    """This machine lacks a program or a service that the step needs."""

    exit_code = 66


class EngineError(HostError):
    """The Docker engine is not installed, does not run, does not let this user in, or is too old."""

    exit_code = 74


class SpaceError(HostError):
    """There is not enough room on this machine."""

    exit_code = 75


class ImageError(SlipwayError):
    """The container image could not be built or found."""

    exit_code = 67


class ConversionError(ImageError):
    """Apptainer could not make a ``.sif``, or what it made is not what the image was."""

    exit_code = 76


class SshError(SlipwayError):
    """The cluster could not be reached, or would not let us in, for a reason that has no code of its own."""

    exit_code = 68


class HostNameError(SshError):
    """A host's name is not known to the network, or nobody answers who would know it."""

    exit_code = 77


class UnreachableError(SshError):
    """A host does not answer, its port is closed, or what answers there is no SSH server."""

    exit_code = 78


class HostKeyError(SshError):
    """A host's key is not known yet, or was not confirmed."""

    exit_code = 79


class HostKeyChangedError(SshError):
    """A host shows another key than the one that is known, or one that is revoked."""

    exit_code = 80


class LoginError(SshError):
    """The host does not let this user in: wrong key, user, password or code, or nobody to type them."""

    exit_code = 81
    # A key was right, and the host wanted something besides.
    key_was_taken = False


class ConnectionLostError(SshError):
    """The connection was there and was lost; the same command again goes on where it was."""

    exit_code = 82


class RemoteError(SlipwayError):
    """A command on the cluster failed."""

    exit_code = 69


class TransferOnlyError(RemoteError):
    """The host runs no commands for this account, and only moves files."""

    exit_code = 85


class ScratchError(RemoteError):
    """The site's scratch does not exist or cannot be written to."""

    exit_code = 83


class RemoteSpaceError(RemoteError):
    """The cluster's disk is full, or the quota is reached."""

    exit_code = 84


class JobError(SlipwayError):
    """SLURM refused a job, or a job cannot be what is asked of it."""

    exit_code = 71


class ParseError(SlipwayError):
    """A program printed something other than what is documented."""

    exit_code = 72


class DataError(SlipwayError):
    """A folder of code or data is not what the step needs."""

    exit_code = 73


class RegistryError(SlipwayError):
    """A registry does not answer, went down in the middle, or did not do what it was asked."""

    exit_code = 86


class RegistryLoginError(RegistryError):
    """A registry does not let this user in, or does not let them do this: wrong credentials, or none."""

    exit_code = 87


class UnknownImageError(RegistryError):
    """A registry has no such repository, tag or digest."""

    exit_code = 88


class RegistryTrustError(RegistryError):
    """A registry's certificate is not trusted, or it speaks no TLS."""

    exit_code = 89


class DownloadError(SlipwayError):
    """A file could not be fetched from the internet, or another one came in its place."""

    exit_code = 90


class IncompleteError(SlipwayError):
    """Some files could not be brought or sent, and are named; all others were."""

    exit_code = 91


class RunFailedError(SlipwayError):
    """A run that was waited for did not do well."""

    exit_code = 92


class WaitTimeoutError(SlipwayError, TimeoutError):
    """A run was not over within the time that somebody wanted to wait; it goes on."""

    exit_code = 93


class DoctorError(SlipwayError):
    """`doctor` has found something that would fail."""

    exit_code = 94
