"""The command ``vggapps``, and ``python -m vggapps``: signals and streams are set up before anything is imported."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line. Always raises SystemExit, with an exit code of ``vggapps.errors``."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not if the parent process ignores Ctrl-C
        # Exit at once: KeyboardInterrupt during an import would print a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))

    from vggapps.cli.app import main
    from vggapps.cli.streams import standard_streams

    signal.signal(signal.SIGINT, before)
    with standard_streams():
        main()


if __name__ == "__main__":
    main()
