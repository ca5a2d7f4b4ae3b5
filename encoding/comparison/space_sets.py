"""What U needs of the features of one subject: blocks of rows, and whitened sets of spaces.

The sets are every space; with several spaces all of them together, and all without one; and, where nuisance spaces are
declared, these together, and each space together with them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..core import FeatureSpace
from ..numerics.designs import contiguous_groups
from ..numerics.shared_variance import (
    FEWEST_BLOCKS,
    MOST_BLOCKS,
    SharedSpace,
    centre_runs,
    inverse_root,
    reliability,
    shared_space,
)
from .exchange import Units
from .space_tests import ALL, BEYOND, CUT, NUISANCE, WITHOUT, Inference, Presented

FEWEST_UNRELIABLE = 1000  # samples below which versions must agree well
SLOW_STIMULI = (
    "spaces are not compared: the same stimuli recur in all runs, and on the clock of volumes responses to different "
    "stimuli overlap; one row per presentation is needed"
)


class SpaceSets:
    """Blocks, whitened sets by name, their ranks, and notes on what was refused."""

    def __init__(
        self,
        spaces: Sequence[FeatureSpace],
        units: Units,
        samples_clock: str,
        row_stimuli: np.ndarray,
        presented: Presented,
        settings: Inference,
    ) -> None:
        self.units = units
        self.notes: dict[str, str] = {}
        self.ranks: dict[str, int] = {}
        self.sets: dict[str, SharedSpace] = {}
        self.blocks: list[np.ndarray] = []  # rows of each, counted among those of the units
        self.block_stimuli: list[list[str]] = []
        if units.recurring and samples_clock == "tr":
            self.notes["spaces"] = SLOW_STIMULI
            return
        if units.recurring:
            self._blocks_of_stimuli(row_stimuli, settings.seed)
        else:
            self._blocks_of_runs()
        if len(self.blocks) < FEWEST_BLOCKS:
            what = "stimuli" if units.recurring else "runs"
            self.notes["spaces"] = (
                f"spaces are not compared: {len(self.blocks)} {what} that differ, but at least {FEWEST_BLOCKS} are "
                "needed to tell how much they vary"
            )
            return
        # What counts is how many independent samples there are: stimuli where they recur, else rows.
        stimuli = set().union(*units.stimuli)
        self.n = len(stimuli) if units.recurring else len(units.rows) - len(set(units.run.tolist()))
        self._whiten(spaces, presented, unique=settings.unique)

    def _blocks_of_runs(self) -> None:
        """One block per unit of runs; more than `MOST_BLOCKS` units are joined to blocks of neighbours."""
        labels, n = self.units.labels, len(self.units.members)
        group = np.arange(n) if n <= MOST_BLOCKS else contiguous_groups(n, MOST_BLOCKS)
        for number in range(int(group.max(initial=-1)) + 1):
            inside = np.flatnonzero(group == number)
            self.blocks.append(np.flatnonzero(np.isin(labels, inside)))
            self.block_stimuli.append(sorted(set().union(*(self.units.stimuli[unit] for unit in inside))))

    def _blocks_of_stimuli(self, shown: np.ndarray, seed: int) -> None:
        """Divide stimuli that recur in all runs into blocks at random."""
        names = np.array(sorted(set().union(*self.units.stimuli)))
        n = min(MOST_BLOCKS, len(names) // 2)
        group = np.random.default_rng([seed, len(names)]).permutation(len(names)) % max(n, 1)
        for number in range(n):
            inside = names[group == number]
            self.blocks.append(np.flatnonzero(np.isin(shown, inside)))
            self.block_stimuli.append(inside.tolist())

    def _whiten(self, spaces: Sequence[FeatureSpace], presented: Presented, *, unique: bool) -> None:
        first = {space.name: self._centred(space) for space in spaces}
        versions = presented.versions
        second = {name: self._centred(versions[name]) if name in versions else first[name] for name in first}
        for name in first:
            if second[name] is first[name] or self._reliable(name, first[name], second[name]):
                self._alone(name, first[name], second[name])
        if len(spaces) > 1 and unique:
            self._joint(first, second)
        if presented.nuisance:
            self._beyond(first, second, {space.name: self._centred(space) for space in presented.nuisance})

    @property
    def cut(self) -> set[str]:
        """Spaces of which only leading components are estimated."""
        topics = (topic for topic, note in self.notes.items() if note.startswith(CUT))
        return {topic.removeprefix("space ") for topic in topics}

    def _centred(self, space: FeatureSpace) -> np.ndarray:
        return centre_runs(space.values[self.units.rows], self.units.run)

    def _reliable(self, name: str, first: np.ndarray, second: np.ndarray) -> bool:
        """Note the reliability of two versions, and refuse it where samples are too few to make up for it."""
        found = reliability(first, second)
        enough = found >= 0.7 or (self.n >= FEWEST_UNRELIABLE and found >= 0.3)
        self.notes[f"space {name}"] = (
            f"U is that of what two versions of the features measure in common (reliability {found:.2f})"
            if enough
            else f"U is not estimated: two versions of the features agree too little (reliability {found:.2f}); at "
            f"least 0.7 is needed, or 0.3 with {FEWEST_UNRELIABLE} samples or more"
        )
        return enough

    def _alone(self, name: str, first: np.ndarray, second: np.ndarray) -> None:
        """Add one space; of one that is too wide, its leading components."""
        rank = _rank(first)
        if rank > self.n / 2:
            keep = max(1, self.n // 4)
            self.notes[f"space {name}"] = (
                f"{CUT} {keep} principal components of its {rank} dimensions, which are more than half of "
                f"the {self.n} samples: not compared with other spaces"
            )
            axes = _leading_axes(first, keep)
            leading = first @ axes
            first, second = leading, leading if second is first else second @ axes
        self._add(name, first, second)

    def _joint(self, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
        """Add all spaces together, and all without one."""
        n_all = _rank(_side_by_side(first))
        if n_all > self.n / 2 or any(name not in self.ranks for name in first):
            self.notes["unique"] = (
                f"unique parts are not estimated: all spaces together have {n_all} dimensions, and half as many "
                f"dimensions as samples ({self.n}) are the most that can be"
            )
            return
        self._add_together(ALL, first, second)
        for left_out in first:
            kept = [name for name in first if name != left_out]
            self._add_together(WITHOUT + left_out, {k: first[k] for k in kept}, {k: second[k] for k in kept})

    def _beyond(
        self, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], nuisance: Mapping[str, np.ndarray]
    ) -> None:
        """Add the nuisance spaces together, and each space together with them."""
        n_nuisance = _rank(_side_by_side(nuisance))
        widest = max((self.ranks.get(name, 0) for name in first), default=0)
        if n_nuisance + widest > self.n / 2:
            self.notes["beyond"] = (
                f"what spaces hold beyond nuisance spaces is not estimated: both have up to {n_nuisance + widest} "
                f"dimensions, and half as many dimensions as samples ({self.n}) are the most that can be"
            )
            return
        self._add_together(NUISANCE, nuisance, nuisance)
        for name in first:
            if name in self.ranks:
                both = [{name: of[name], **{f"nuisance {k}": X for k, X in nuisance.items()}} for of in (first, second)]
                self._add_together(BEYOND + name, *both)

    def _add_together(self, name: str, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
        whole = _side_by_side(first)
        same = all(second[part] is first[part] for part in first)
        self._add(name, whole, whole if same else _side_by_side(second))

    def _add(self, name: str, first: np.ndarray, second: np.ndarray) -> None:
        run = self.units.run if self.units.recurring else None
        try:
            space = shared_space(first, self.blocks, None if second is first else second, run=run)
        except ValueError as error:
            self.notes[f"space {name}"] = f"U is not estimated: {error}"
            return
        self.sets[name], self.ranks[name] = space, space.rank


def _side_by_side(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(parts.values()), axis=1)


def _smaller_gram(X: np.ndarray) -> np.ndarray:
    """Compute X'X, or XX' where that is smaller: both have the same eigenvalues that are not 0."""
    return X.T @ X if X.shape[1] <= len(X) else X @ X.T


def _rank(X: np.ndarray) -> int:
    gram = _smaller_gram(X)
    return inverse_root(gram).shape[1] if gram.any() else 0


def _leading_axes(X: np.ndarray, keep: int) -> np.ndarray:
    """Leading principal axes (n_features, keep), of which X must have so many."""
    vectors = np.linalg.eigh(_smaller_gram(X))[1][:, ::-1][:, :keep]
    if X.shape[1] <= len(X):
        return vectors
    axes = X.T @ vectors
    return axes / np.linalg.norm(axes, axis=0)
