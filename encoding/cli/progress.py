"""What is printed while something runs."""

import sys
import time
from typing import TYPE_CHECKING

from ..core.progress import StepProgress

if TYPE_CHECKING:
    from tqdm import tqdm


def say(text: str) -> None:
    """Print a line for people, apart from the results that programs read.

    Parameters
    ----------
    text : str
        The line.
    """
    print(text, file=sys.stderr, flush=True)


def system_error(error: OSError) -> str:
    """Say in one sentence what the system refused, and where."""
    from ..io.atomic import FORBIDDEN, FULL, disk_error

    if error.errno in FULL | FORBIDDEN:
        return disk_error(error, error.filename or ".")
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or type(error).__name__} ({type(error).__name__})."


def end_line(progress: StepProgress) -> None:
    """End what a bar has drawn, so that what is printed next begins a line of its own.

    Parameters
    ----------
    progress : callable
        A `Bar`, or anything else, which needs no end.
    """
    if isinstance(progress, Bar):
        progress.close()


class Bar:
    """Shows one progress bar per step, with the time that is left.

    Parameters
    ----------
    prefix : str
        Put before the name of the step.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix, self.step, self.done = prefix, "", ""
        self.bar: tqdm | None = None

    def __call__(self, step: str, share: float) -> None:
        """Move the bar.

        Parameters
        ----------
        step : str
            Name of the step; a new name begins a new bar.
        share : float
            Share of the step that is done.
        """
        from tqdm import tqdm

        if step == self.done and share >= 1:
            return  # a step may say more than once that it is done
        if step != self.step or self.bar is None:
            self.step = step
            self.bar = tqdm(
                total=1.0,
                desc=f"{self.prefix}{step}",
                bar_format="{desc:<28}{percentage:3.0f}%|{bar:30}| {elapsed} elapsed, {remaining} left",
                mininterval=0.2,
                file=sys.stderr,
            )
        self.bar.update(share - self.bar.n)
        self.done = step if share >= 1 else ""
        if share >= 1:
            self.close()

    def close(self) -> None:
        """End the bar, so that what is printed next begins a line of its own."""
        if self.bar is not None:
            self.bar.close()
        self.step, self.bar = "", None


class Milestones:
    """Says when a step is done and how long it took, for subjects that run side by side.

    Parameters
    ----------
    subject : str
        Label of the subject.
    """

    def __init__(self, subject: str) -> None:
        self.subject, self.step, self.done, self.start = subject, "", "", time.monotonic()

    def __call__(self, step: str, share: float) -> None:
        """Note a step that is done.

        Parameters
        ----------
        step : str
            Name of the step.
        share : float
            Share of the step that is done.
        """
        if step == self.done and share >= 1:
            return
        if step != self.step:
            self.step, self.start = step, time.monotonic()
        self.done = step if share >= 1 else ""
        if share >= 1:
            say(f"sub-{self.subject} {step}: done in {time.monotonic() - self.start:.0f} s")
            self.step = ""
