"""One question and its answer, and the protocol between those who ask and those who answer."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from ..core import EncodingError


class Trial(NamedTuple):
    """One question.

    Attributes
    ----------
    row : int
        Row of the plan.
    items : tuple of (int, int, int)
        The three stimuli, in the order of showing.
    shown : tuple of (int, int, int)
        The caption or the frames of each: index into `Contents`.
    repeat : int
        How many times the triplet has been asked before.

    Examples
    --------
    >>> from encoding.collection import Trial
    >>> Trial(0, (3, 1, 2), (3, 1, 2), 0).items
    (3, 1, 2)
    """

    row: int
    items: tuple[int, int, int]
    shown: tuple[int, int, int]
    repeat: int


class Answer(NamedTuple):
    """One answer.

    Attributes
    ----------
    outcome : str
        "valid", "refused", "unparsed", "truncated" or "error".
    choice : int
        Slot (0, 1, 2) that was called odd; -1 unless the outcome is valid.
    probabilities : tuple of (float, float, float) or None
        Probability of each slot, where it is known.
    mass : float or None
        Probability of the three labels together, before they were made to sum to one.
    reply : str
        What was answered, as it came.
    detail : str
        Why there is no valid answer.
    tokens_in, tokens_cached, tokens_out : int
        Tokens of the prompt, those of them that the server had in its cache, and those of the reply.
    tries : int
        Requests that were sent for it.
    latency : float
        Seconds from the last request to its reply.
    served : tuple of (str, str) or None
        Model and fingerprint that the server named in its reply.
    participant : str
        Who answered, where an annotator stands for several people.
    reaction : float or None
        Seconds from showing to answering, of people.
    answered : float or None
        When (s since 1970), where that was not now.

    Examples
    --------
    >>> from encoding.collection import Answer
    >>> Answer("valid", choice=2, reply="C").choice
    2
    """

    outcome: str
    choice: int = -1
    probabilities: tuple[float, float, float] | None = None
    mass: float | None = None
    reply: str = ""
    detail: str = ""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tries: int = 0
    latency: float = 0.0
    served: tuple[str, str] | None = None
    participant: str = ""
    reaction: float | None = None
    answered: float | None = None


class Stopped(EncodingError):  # noqa: N818
    """Raised when nothing more can be asked: a budget is spent, or the server refuses further requests.

    Examples
    --------
    >>> from encoding.collection import Stopped
    >>> issubclass(Stopped, Exception)
    True
    """


class Ledger(Protocol):
    """Counts requests against the budget before they are sent."""

    def request(self) -> None:
        """Count a request before it is sent; raise `Stopped` if the budget is spent."""
        ...


class Annotator(Protocol):
    """Protocol implemented by every annotator.

    Attributes
    ----------
    name : str
        Name in tables.
    batch : int
        How many trials are asked at once.
    concurrency : int
        How many such batches are under way at most.

    Examples
    --------
    >>> annotator = opened.annotator("careful")
    >>> annotator.name, annotator.free
    ('careful', True)
    """

    name: str
    batch: int
    concurrency: int

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers, as JSON."""
        ...

    def ready(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Open what is needed to ask, and tell what is known of the other side (server, versions), as JSON."""
        ...

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:
        """Answer some trials.

        Parameters
        ----------
        trials : sequence of Trial
            Questions, at most `batch`.
        ledger : Ledger
            Is told before every request.

        Returns
        -------
        list of Answer
            One each, in their order.

        Raises
        ------
        Stopped
            If nothing more can be asked.
        """
        ...
