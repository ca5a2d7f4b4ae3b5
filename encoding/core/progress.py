"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called with the share of one step that is done, from 0 to 1."""

StepProgress = Callable[[str, float], None]
"""Called with the name of a step and its share done; ``partial(progress, "fit")`` is the `Progress` of one step."""


def silent(share: float) -> None:
    """Report to nobody; the default `Progress`."""


def silent_steps(step: str, share: float) -> None:
    """Report to nobody; the default `StepProgress`."""
