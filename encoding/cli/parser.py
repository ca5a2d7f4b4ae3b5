"""The parser of all commands, and the function that runs them."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from ..core import EncodingError
from .analysis import add_analysis, add_embedding
from .collecting import add_collecting
from .information import add_information
from .planning import add_planning
from .plotting import add_plotting
from .predicting import add_predicting
from .progress import say, system_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process unless given.

    Returns
    -------
    int
        0 if all went well, 1 after an error that the user can act on; usage errors exit with 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser().parse_args(arguments)
    options.arguments = arguments
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    # Fits log their solver, memory and time before they begin.
    logging.getLogger("encoding.fitting").setLevel(logging.INFO)
    try:
        with _terminable():
            return options.command(options)
    except EncodingError as error:
        if options.verbose:
            raise
        say(f"encoding {options.name}: error: {error}")
        return 1
    except OSError as error:  # of the disk or the network: nothing that a traceback explains
        if options.verbose or isinstance(error, ChildProcessError):
            raise
        say(f"encoding {options.name}: error: {system_error(error)}")
        return 1
    except Terminated:
        say("terminated; finished work is kept, run the same command again to continue")
        return 143
    except KeyboardInterrupt:
        say("interrupted; finished work is kept, run the same command again to continue")
        return 130


class Terminated(BaseException):
    """Raised on SIGTERM, which schedulers and services send to end a process."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Unwind on SIGTERM as on Ctrl-C, so that locks and temporary files are released."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    """A parser that says how to get a configuration where one is missing."""

    def error(self, message: str) -> NoReturn:
        if "required: --config" in message:
            message += "; `encoding init BIDS_DIR` looks at a dataset and writes one"
        super().error(message)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Returns
    -------
    argparse.ArgumentParser
        Ready to parse.
    """
    from .. import __version__

    parser = _Parser(
        prog="encoding",
        description="Fit fMRI encoding models from BIDS datasets, compare feature spaces, map them on the brain.",
    )
    parser.add_argument("--version", action="version", version=f"brain-encoding {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    add_analysis(commands)
    add_collecting(commands)
    add_embedding(commands)
    add_information(commands)
    add_planning(commands)
    add_plotting(commands)
    add_predicting(commands)
    return parser
