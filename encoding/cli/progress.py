"""Progress bars and messages on the terminal."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.progress import StepProgress

if TYPE_CHECKING:
    from tqdm import tqdm


def say(text: str) -> None:
    """Print a line to standard error; standard output is for results that programs read."""
    print(text, file=sys.stderr, flush=True)


def system_error(error: OSError) -> str:
    """Describe an error of the operating system in one sentence, with its path."""
    from ..io.atomic import FORBIDDEN, FULL, disk_error

    if error.errno in FULL | FORBIDDEN:
        return disk_error(error, error.filename or ".")
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error} ({type(error).__name__})."


def end_line(progress: StepProgress) -> None:
    """Close a progress bar, so that later output starts on a new line."""
    if isinstance(progress, Bar):
        progress.close()


class Bar:
    """One progress bar per step, with the remaining time."""

    def __init__(self, prefix: str = "", place: int = 0) -> None:
        self.prefix, self.place, self.step, self.done = prefix, place, "", ""
        self.bar: tqdm | None = None

    def __call__(self, step: str, share: float) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if step == self.done and share >= 1:
            return  # a step may report its end more than once
        if step != self.step or self.bar is None:
            self.step = step
            self.bar = tqdm(
                total=1.0,
                desc=f"{self.prefix}{step}",
                bar_format="{desc:<28}{percentage:3.0f}%|{bar:30}| {elapsed} elapsed, {remaining} left",
                mininterval=0.2,
                position=self.place or None,
                file=sys.stderr,
            )
        self.bar.update(share - self.bar.n)
        self.done = step if share >= 1 else ""
        if share >= 1:
            self.close()

    def close(self) -> None:
        """Close the bar, so that later output starts on a new line."""
        if self.bar is not None:
            self.bar.close()
        self.step, self.bar = "", None


class Milestones:
    """Prints each finished step and its duration, for subjects that run in parallel."""

    def __init__(self, subject: str) -> None:
        self.subject, self.step, self.done, self.start = subject, "", "", time.monotonic()

    def __call__(self, step: str, share: float) -> None:
        """Print the step if it is finished."""
        if step == self.done and share >= 1:
            return
        if step != self.step:
            self.step, self.start = step, time.monotonic()
        self.done = step if share >= 1 else ""
        if share >= 1:
            say(f"sub-{self.subject} {step}: done in {time.monotonic() - self.start:.0f} s")
            self.step = ""


class Screen:
    """Shows the progress of participants that run on workers: a bar each on a terminal, finished steps elsewhere."""

    def __init__(self) -> None:
        self.shown: dict[str, Bar | Milestones] = {}

    def __call__(self, message: Mapping[str, Any]) -> None:
        """Show a message of `Relay`."""
        subject = message["subject"]
        if "text" in message:
            self.close(subject)
            say(message["text"])
            return
        if subject not in self.shown:
            place = len(self.shown)
            self.shown[subject] = Bar(f"sub-{subject} ", place) if sys.stderr.isatty() else Milestones(subject)
        self.shown[subject](message["step"], message["share"])

    def close(self, subject: str | None = None) -> None:
        """Close the bar of one participant, or all bars."""
        for name in [subject] if subject is not None else list(self.shown):
            shown = self.shown.pop(name, None)
            if isinstance(shown, Bar):
                shown.close()
