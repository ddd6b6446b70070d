"""Runs the command line with `python -m flagtrail`."""

from flagtrail.cli import main

main()
