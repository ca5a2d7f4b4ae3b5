"""What every feature source can do: make its feature space, from other feature spaces where it needs them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..core import ConfigError, FeatureSpace, suggest
from ..core.progress import Progress, silent
from ..core.workers import HERE, Workers


@dataclass(frozen=True, eq=False, slots=True)
class SourceContext:
    """What a feature source needs to make its space.

    Attributes
    ----------
    base : Path
        The dataset; file names of the configuration are relative to it.
    folder : Path
        Where a source keeps what it computes, to load it the next time.
    spaces : mapping of str to FeatureSpace
        Feature spaces made so far, by name; all that `FeatureSource.needs` names are there.
    device : {"cpu", "cuda"}
        Where to compute.
    workers : Workers
        Where pieces of work run that do not depend on each other.
    progress : callable
        Called with the share done.

    Examples
    --------
    >>> from encoding.embedding import SourceContext
    >>> study.features[0].make_space(SourceContext(Path("my_study"), Path("work")))
    FeatureSpace('mllm', 30 features, Samples(38 rows, clock 'none'))
    """

    base: Path
    folder: Path
    spaces: Mapping[str, FeatureSpace] = field(default_factory=dict)
    device: str = "cpu"
    workers: Workers = HERE
    progress: Progress = silent


class FeatureSource(ABC):
    """Base class of feature sources; the fields of a subclass are the keys of its ``[[features]]`` table.

    Attributes
    ----------
    name : str
        Name of the feature space, a field of every source.
    slow : bool
        Whether the space is computed and kept, so that it is made once for all participants.

    Examples
    --------
    >>> from encoding.embedding import FeatureSource
    >>> isinstance(study.features[0], FeatureSource)
    True
    """

    name: str
    slow: ClassVar[bool] = False

    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """List the feature spaces that this one is made of.

        Returns
        -------
        mapping of str to tuple of str
            Names of other feature spaces, by the key that gives them.
        """
        return {}

    def split(self) -> tuple["FeatureSource", ...]:
        """Make one source of each feature space that the table describes.

        Returns
        -------
        tuple of FeatureSource
            Itself, unless a table describes several.
        """
        return (self,)

    def check(self, base: Path) -> None:  # noqa: B027
        """Refuse files that are missing or wrong before anything is computed; the default checks nothing.

        Parameters
        ----------
        base : Path
            The dataset.

        Raises
        ------
        DataError
            If a file is missing or cannot be used.
        """

    def check_with(self, context: SourceContext) -> tuple[str, ...]:
        """Refuse what `check` does, and other feature spaces that this one cannot be made or shown with.

        Parameters
        ----------
        context : SourceContext
            Folders, and those of the other feature spaces that need no computation.

        Returns
        -------
        tuple of str
            What the user should know, or what can only be checked later; the default only calls `check`.

        Raises
        ------
        DataError
            If a file is missing or cannot be used.
        """
        self.check(context.base)
        return ()

    def inputs_key(self, context: SourceContext) -> str | None:  # noqa: ARG002
        """Identify the files and settings that a computed space follows from, without computing it.

        By it a group finds participants that were made before an input changed. Spaces that are not `slow` are made and
        compared by content instead.

        Parameters
        ----------
        context : SourceContext
            Folders and other feature spaces, as for `make_space`.

        Returns
        -------
        str or None
            None, the default, if that cannot be told; nothing is compared then.

        Raises
        ------
        DataError
            If a file is missing.
        """
        return None

    @abstractmethod
    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Read or compute the feature space.

        Parameters
        ----------
        context : SourceContext
            Folders, other feature spaces, device.

        Returns
        -------
        FeatureSpace
            With the name of the source and one row per stimulus (`Samples.of_stimuli`), or rows on the clock "time"
            with a `Placement`.
        """


def in_order(sources: Sequence[FeatureSource]) -> list[FeatureSource]:
    """Sort sources such that each follows those it needs, quick ones first.

    Parameters
    ----------
    sources : sequence of FeatureSource
        All sources of a study.

    Returns
    -------
    list of FeatureSource
        The same, sorted.

    Raises
    ------
    ConfigError
        If one needs a feature space that is not there, or sources need each other.

    Examples
    --------
    >>> from encoding.embedding import in_order
    >>> [source.name for source in in_order(study.features)]
    ['mllm', 'category']
    """
    for source in sources:
        others = [other.name for other in sources if other is not source]
        for key, names in source.needs().items():
            for name in names:
                if name not in others:
                    raise ConfigError(
                        f"[[features]] {source.name!r}: {key} names {name!r}, which is no feature space that it can be "
                        f"made of. {suggest(name, others)}"
                    )
    waiting, made, ordered = sorted(sources, key=lambda source: source.slow), set[str](), []
    while waiting:
        ready = [source for source in waiting if set().union(*source.needs().values()) <= made]
        if not ready:
            left = ", ".join(repr(source.name) for source in waiting)
            raise ConfigError(f"[[features]] {left} need each other. Leave one of these references out.")
        waiting.remove(ready[0])
        made.add(ready[0].name)
        ordered.append(ready[0])
    return ordered
