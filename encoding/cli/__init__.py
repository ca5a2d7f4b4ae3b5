"""The command line: arguments to the pipeline; the only package that prints and exits.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from .parser import build_parser, main

__all__ = ["build_parser", "main"]
