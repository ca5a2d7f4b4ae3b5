"""The draws of one subject against chance: what is exchanged, and what each space adds to the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import DataError, FeatureSpace, Responses
from ..numerics import permutation
from ..numerics.permutation import BandDraws, Scheme, StimulusDraws, UnitDraws
from .exchange import SHIFTS, STIMULI, Units, layout_of, values_of_stimuli
from .space_tests import Inference, Presented


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
        self.bands: list[BandDraws] = []
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

    def _of_residuals(self, scheme: Scheme) -> list[BandDraws]:
        values = self._prepared(scheme)
        width, most = sum(X.shape[1] for X in values), len(scheme.rows) / 2
        if width > most:  # nothing is left of a residual by least squares, and others do not keep the level
            self.notes["exchanged residuals"] = (
                f"what each space adds was not tested: all have {width:,} features, more than half of "
                f"{len(scheme.rows):,} rows"
            )
            return []
        return [
            BandDraws(
                X, np.concatenate([*values[:k], *values[k + 1 :]], axis=1), scheme, self.settings.unique_permutations
            )
            for k, X in enumerate(values)
        ]

    def prepare(self, Y: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """Rows of responses as the draws need them, from raw rows and from rows centred per run."""
        assert self.scheme is not None
        return centred if self.units.recurring else permutation.prepare_rows(Y, self.scheme)

    def targets_at_once(self, memory: int) -> int:
        """Count the targets whose draws fit into some memory."""
        assert self.scheme is not None
        return permutation.targets_at_once(self.scheme, len(self.spaces), self.settings.n_permutations, memory)
