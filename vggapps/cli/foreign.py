"""Errors as the command line words them: ours with options for arguments, and those of other libraries as ours."""

from __future__ import annotations

import errno

from vggapps.errors import OutOfMemoryError, PictureError, VggappsError, argument, out_of_memory, remedy

_OPTIONS = {"metrics": "--metric", "overwrite": "--force", "table": "--labels"}  # not named as in Python


def option(name: str, value: str = "") -> str:
    """The option for an argument of Python: ``--style-weight`` for ``style_weight``, with its value if it has one."""
    typed = _OPTIONS.get(name, "--" + name.replace("_", "-"))
    return f"{typed} {value}" if value not in ("", "True") else typed


def known(error: Exception, about: str = "") -> VggappsError | None:
    """The nearest of our errors, in the words of the command line; None for what can only be a defect of vggapps.

    Args:
        error: one of ours, or another library's.
        about: the picture that was processed, for an error of another library, which does not name it.
    """
    if isinstance(error, VggappsError):
        return error.worded(option)
    told = _foreign(error)
    return (told.about(about) if about else told).worded(option) if told else None


def _foreign(error: Exception) -> VggappsError | None:
    if out_of_memory(error):
        return OutOfMemoryError(
            "there is not enough memory", f"use a smaller {argument('size')}, or close other programs"
        )
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):  # pathlib before Python 3.13
        return PictureError(" ".join(str(error).split()), remedy(errno.ELOOP, ""))
    if isinstance(error, OSError):
        what = " ".join(str(error.strerror or error or type(error).__name__).split())
        stream = "stdin or stdout is closed: " if error.errno == errno.EBADF else ""
        named = f"{error.filename}: " if error.filename is not None else stream
        return PictureError(f"{named}{what}", remedy(error.errno, "check the files, the disk and the network"))
    return None
