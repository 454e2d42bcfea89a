"""The command ``vggapps``, and ``python -m vggapps``: what has to be in order before anything is imported."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line; always ends by SystemExit, with the exit code of ``vggapps.errors``."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where the parent has switched Ctrl-C off
        # There is nothing to lose yet, and an exception in the midst of an import ends in a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))

    from vggapps.cli.app import main
    from vggapps.cli.streams import standard_streams

    signal.signal(signal.SIGINT, before)
    with standard_streams():
        main()


if __name__ == "__main__":
    main()
