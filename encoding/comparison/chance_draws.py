"""The draws of one subject against chance: what is exchanged, and what each space adds to the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import DataError, FeatureSpace, Responses
from ..numerics import permutation
from ..numerics.permutation import LEAVE_OUT, BandDraws, BesideWideDraws, Scheme, StimulusDraws, UnitDraws
from .exchange import SHIFTS, STIMULI, Units, layout_of, values_of_stimuli
from .space_tests import Inference, Presented

BESIDE = (
    "p_exchanged of a narrow space takes wide ones out by ridge regression between runs, so that what it has in common "
    "with them and they do not predict counts as its own; wide ones are not tested"
)


class ChanceDraws:
    """Draws of all spaces, facts about them, and notes on what was refused or assumed."""

    def __init__(
        self,
        spaces: Sequence[FeatureSpace],
        responses: Responses,
        units: Units,
        presented: Presented,
        settings: Inference,
    ) -> None:
        self.spaces, self.units, self.settings = spaces, units, settings
        self.notes: dict[str, str] = {}
        self.facts: dict[str, Any] = {"exchanged": "nothing", "n_permutations": 0, "n_orders": 0.0}
        self.scheme: Scheme | None = None
        self.draws: UnitDraws | StimulusDraws | None = None
        self.bands: list[BandDraws | BesideWideDraws | None] = []  # None for a space that is too wide
        if not settings.n_permutations:
            self.notes["chance"] = "chance was not tested: n_permutations = 0"
            return
        try:
            scheme = units.scheme(settings.seed)
            draws = self._of_stimuli(responses, presented, scheme) if units.recurring else self._of_runs(scheme)
        except DataError as error:
            self.notes["chance"] = str(error)
            return
        self.scheme, self.draws = scheme, draws
        if scheme.kind == "runs and shifts":
            self.notes["chance"] = SHIFTS
        if scheme.n_dropped:
            self.notes["rows"] = (
                f"{scheme.n_dropped} rows at the end of longer runs take no part in the test against chance, for which "
                "runs must have one length"
            )
        self.facts = {
            "exchanged": scheme.kind,
            "n_permutations": settings.n_permutations,
            "n_orders": min(scheme.n_orders, 1e300),
        }
        if settings.unique_permutations and len(spaces) > 1 and scheme.kind == "runs":
            self.bands = self._of_residuals(scheme)

    def _of_runs(self, scheme: Scheme) -> UnitDraws:
        return UnitDraws(self._prepared(scheme), scheme, self.settings.n_permutations)

    def _prepared(self, scheme: Scheme) -> list[np.ndarray]:
        return [permutation.prepare_rows(space.values[self.units.rows], scheme) for space in self.spaces]

    def _of_stimuli(self, responses: Responses, presented: Presented, scheme: Scheme) -> StimulusDraws:
        names, where = layout_of(responses, self.units, presented.layout)
        by_name = {space.name: space for space in presented.described}
        missing = [space.name for space in self.spaces if space.name not in by_name]
        if missing:
            raise DataError(
                f"No test against chance: the same stimuli recur in all runs, and {missing[0]!r} has no features "
                "per stimulus to exchange."
            )
        self.notes["chance"] = STIMULI
        features = [values_of_stimuli(by_name[space.name], names) for space in self.spaces]
        return StimulusDraws(features, where, scheme, self.settings.n_permutations)

    def _of_residuals(self, scheme: Scheme) -> list[BandDraws | BesideWideDraws | None]:
        """Draws of what each space adds; wide spaces are taken out of narrow ones by ridge regression."""
        values, most = self._prepared(scheme), len(scheme.rows) / 2
        n_draws = self.settings.unique_permutations
        if sum(X.shape[1] for X in values) <= most:
            return [BandDraws(X, _side_by_side(values, leave=k), scheme, n_draws) for k, X in enumerate(values)]
        order = sorted(range(len(values)), key=lambda k: values[k].shape[1])
        room = np.cumsum([values[k].shape[1] for k in order]) <= most
        narrow = {k for k, fits in zip(order, room, strict=True) if fits}
        wide = [k for k in range(len(values)) if k not in narrow]
        names = ", ".join(self.spaces[k].name for k in wide)
        self.notes["exchanged residuals"] = f"{BESIDE}: {names}"
        return [
            BesideWideDraws(
                X, _side_by_side([values[j] for j in sorted(narrow)], leave=sorted(narrow).index(k)),
                [values[j] for j in wide], scheme, n_draws,
            ) if k in narrow else None
            for k, X in enumerate(values)
        ]  # fmt: skip

    def prepare(self, Y: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """Rows of responses as the draws need them, from raw rows and from rows centred per run."""
        assert self.scheme is not None
        return centred if self.units.recurring else permutation.prepare_rows(Y, self.scheme)

    def targets_at_once(self, memory: int) -> int:
        """Count the targets whose draws fit into some memory."""
        assert self.scheme is not None
        most = permutation.targets_at_once(self.scheme, len(self.spaces), self.settings.n_permutations, memory)
        if any(isinstance(band, BesideWideDraws) for band in self.bands):  # residuals at all penalties, in float32
            most = min(most, max(memory // (4 * (len(LEAVE_OUT) + 5) * len(self.scheme.rows)), 32))
        return most


def _side_by_side(values: Sequence[np.ndarray], leave: int) -> np.ndarray:
    return np.concatenate([np.zeros((len(values[0]), 0)), *values[:leave], *values[leave + 1 :]], axis=1)
