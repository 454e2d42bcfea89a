"""``python -m vggapps`` is the command ``vggapps``."""

from vggapps.cli.app import main

main()
