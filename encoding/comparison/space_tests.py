"""What is known of the feature spaces of a subject after all tests: settings, arrays, and their file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError, FeatureSpace
from ..core.workers import HERE, Workers

FACTS = "inference.json"
# Sets of spaces: all together, all without one, the nuisance spaces, and a space together with them
ALL, WITHOUT, NUISANCE, BEYOND = "all", "all without ", "nuisance", "nuisance and "


CUT = "U is that of the first"  # how the note begins of a space that is too wide: of its leading components


@dataclass(frozen=True, slots=True)
class Inference:
    """Settings of the tests of feature spaces.

    Attributes
    ----------
    n_permutations : int
        Draws against chance; 0 makes none.
    p_level : float
        Largest p at which a space is named, and largest false discovery rate at which it is called ahead or above
        chance.
    unique : bool
        Whether what each space adds to all others is estimated.
    unique_permutations : int
        Draws of the test of what each space adds, by exchanging its residual on the others between runs; each costs
        several times as much as a draw against chance.
    seed : int
        Seed of the draws.

    Examples
    --------
    >>> from encoding.comparison import Inference
    >>> Inference(n_permutations=200).p_level
    0.05
    """

    n_permutations: int = 1000
    p_level: float = 0.05
    unique: bool = True
    unique_permutations: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Presented:
    """Information about stimuli that tests need in addition to aligned features.

    Attributes
    ----------
    described : tuple of FeatureSpace
        The same spaces with one row per stimulus; needed where the same stimuli recur in all runs.
    layout : FeatureSpace or None
        Indicators of stimuli aligned as the features are; needed where stimuli recur on the clock of volumes.
    use : ndarray of bool, shape (n_samples,), or None
        Rows that take part; all unless given.
    versions : mapping of str to FeatureSpace
        For unreliable features (ratings by few) a second, independently measured version of a space, aligned: U is then
        that of what both measure.
    nuisance : tuple of FeatureSpace
        Aligned spaces of no interest (luminance, motion): what each space holds beyond all of them is estimated too.

    Examples
    --------
    >>> from encoding.comparison import Presented
    >>> [space.name for space in Presented(loaded.described).described]
    ['mllm', 'category']
    """

    described: tuple[FeatureSpace, ...] = ()
    layout: FeatureSpace | None = None
    use: np.ndarray | None = None
    versions: Mapping[str, FeatureSpace] = field(default_factory=dict)
    nuisance: tuple[FeatureSpace, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """Memory and threads of a computation; they change no result beyond rounding.

    Attributes
    ----------
    threads : int
        Chunks of targets that are worked on at the same time.
    memory_bytes : int
        Memory for all of them.
    workers : Workers
        Where they are worked on, as of `open_workers`; in this process unless given.

    Examples
    --------
    >>> from encoding.comparison import Resources
    >>> Resources(threads=2).threads
    2
    """

    threads: int = 1
    memory_bytes: int = 1 << 30
    workers: Workers = HERE


@dataclass(frozen=True, eq=False, slots=True)
class SpaceTests:
    """Estimates and tests of the feature spaces of one subject.

    Attributes
    ----------
    subject : str
        Label without ``sub-``.
    spaces : tuple of str
        Feature spaces.
    sets : tuple of str
        What `kernels` are of: the spaces, then "all" and "all without <space>" where they were estimated, and
        "nuisance" and "nuisance and <space>" where nuisance spaces were declared.
    places : tuple of tuple of str
        Atlas, level, set, region and hemisphere of each region.
    n_targets : ndarray of int, shape (n_places,)
        Usable targets of each.
    targets : mapping of str to ndarray, shape (n_spaces, n_targets)
        Per target: "u" and "u_se"; "z", "p", "p_fwe" (corrected for all targets and spaces) and "q" (false discovery
        rate over all targets and spaces) against chance; "unique_p" of what each adds, where it was tested; of shape
        (n_targets,) "winner" (position of the space that is named, -1 for none), "winner_p" and "winner_q". NaN where
        a target is not usable or there is no test. "winner_q" is the false discovery rate of winner_p over the targets
        in which a space is above chance (p_fwe at most the level).
    kernels : ndarray, shape (n_places, n_sets, n_blocks, n_blocks)
        Mean kernels of regions; without blocks where U is refused.
    chance : mapping of str to ndarray, shape (n_spaces, n_places)
        "z", "p", "p_fwe" and "q" of regions, corrected for all regions and spaces; "unique_p" of what each space adds.
    facts : mapping
        "units", "n_units", "n_blocks", "blocks" (the stimuli of each), "exchanged", "n_permutations", "n_orders",
        "ranks", "compared" (spaces that were compared in targets), "stimulus_keys" (an identity of each stimulus), and
        "notes": what was refused or assumed, by subject; JSON.

    Examples
    --------
    >>> tests.spaces, tests.n_targets.tolist()
    (('mllm', 'category'), [1092])
    """

    subject: str
    spaces: tuple[str, ...]
    sets: tuple[str, ...]
    places: tuple[tuple[str, str, str, str, str], ...]
    n_targets: np.ndarray
    targets: Mapping[str, np.ndarray]
    kernels: np.ndarray
    chance: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]

    @property
    def notes(self) -> Mapping[str, str]:
        """What was refused or assumed."""
        return self.facts["notes"]

    @property
    def comparable(self) -> tuple[str, ...]:
        """Spaces of which all is estimated; components of a wider one say nothing of how it compares with others."""
        return tuple(
            space
            for space in self.spaces
            if space in self.sets and not self.notes.get(f"space {space}", "").startswith(CUT)
        )

    def kernel(self, name: str) -> np.ndarray:
        """Return the kernels of a space or set, shape (n_places, n_blocks, n_blocks).

        Parameters
        ----------
        name : str
            Feature space or set of spaces.

        Returns
        -------
        ndarray, shape (n_places, n_blocks, n_blocks)
            One kernel per place.
        """
        if name not in self.sets:
            raise DataError(f"No estimate of {name!r} for sub-{self.subject}; there are {', '.join(self.sets)}.")
        return self.kernels[:, self.sets.index(name)]


def read_tests(folder: str | Path) -> SpaceTests:
    """Read what `infer_spaces` saved.

    Parameters
    ----------
    folder : str or Path
        Where to.

    Returns
    -------
    SpaceTests
        Arrays are read into memory.

    Examples
    --------
    >>> from encoding.comparison import read_tests
    >>> read_tests("tests").spaces
    ('mllm', 'category')
    """
    folder = Path(folder)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    arrays = {}
    for name in ("targets", "regions"):
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            arrays[name] = dict(stored)
    kernels, n_targets = arrays["regions"].pop("kernels"), arrays["regions"].pop("n_targets")
    head = {name: facts.pop(name) for name in ("subject", "spaces", "sets", "places")}
    return SpaceTests(
        head["subject"], tuple(head["spaces"]), tuple(head["sets"]), tuple(tuple(place) for place in head["places"]),
        n_targets, arrays["targets"], kernels, arrays["regions"], facts,
    )  # fmt: skip
