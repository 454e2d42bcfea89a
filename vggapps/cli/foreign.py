"""Somebody else's errors as ours: what comes from the user's world is told with a remedy, and is no defect."""

from __future__ import annotations

import errno

from vggapps.errors import OutOfMemoryError, PictureError, VggappsError, out_of_memory

_REMEDIES = {
    errno.EACCES: "allow this account to read and write it, or take another folder",
    errno.EPERM: "allow this account to read and write it, or take another folder",
    errno.EBADF: "open stdin and stdout, or name files instead",
    errno.EDQUOT: "make space, or take another disk",
    errno.EFBIG: "raise the limit on the size of files, or take another disk",
    errno.EIO: "check the disk or the connection to it",
    errno.EISDIR: "name a file, not a folder",
    errno.ELOOP: "a link leads to itself: name the file that is meant",
    errno.EMFILE: "close other files, or raise the limit: ulimit -n",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ENFILE: "close other programs",
    errno.ENOENT: "check its name and folder",
    errno.ENOSPC: "make space, or take another disk",
    errno.ENOTDIR: "a part of this path is a file: check its name",
    errno.EROFS: "take a folder on a disk that can be written to",
}


def known(error: Exception, about: str = "") -> VggappsError | None:
    """The nearest of our errors; None for what can only be a defect of ours.

    Args:
        error: ours, which stays as it is, or somebody else's.
        about: the picture that was worked on, for an error that does not say it.
    """
    if isinstance(error, VggappsError):
        return error
    told = _foreign(error)
    return type(told)(f"{about}: {told.message}", told.hint) if told and about else told


def _foreign(error: Exception) -> VggappsError | None:
    if out_of_memory(error):
        return OutOfMemoryError("there is not enough memory", "use a smaller --size, or close other programs")
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):  # pathlib before Python 3.13
        return PictureError(" ".join(str(error).split()), _REMEDIES[errno.ELOOP])
    if isinstance(error, OSError):
        what = " ".join(str(error.strerror or error or type(error).__name__).split())
        stream = "stdin or stdout is closed: " if error.errno == errno.EBADF else ""
        named = f"{error.filename}: " if error.filename is not None else stream
        return PictureError(
            f"{named}{what}", _REMEDIES.get(error.errno or 0, "check the files, the disk and the network")
        )
    return None
