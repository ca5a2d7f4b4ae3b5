"""Tests of representational similarity in regions: spaces against chance, and against each other."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError, FeatureSpace, Responses, digest, fingerprint_array
from ..io.arrays import hash_rows
from ..io.atomic import atomic_folder, write_json
from ..numerics import permutation
from ..numerics.designs import contiguous_groups
from ..numerics.permutation import Scheme, exchange_stimuli, exchange_units
from ..numerics.rsa_inference import exchanged, similarity_kernel
from ..numerics.shared_variance import FEWEST_BLOCKS, MOST_BLOCKS
from ..numerics.significance import discovery_rates
from ..numerics.similarity import Pairs, pairs_of
from .exchange import STIMULI
from .inference import Labelled
from .patterns import patterns_of
from .regions import Parcel, parcels
from .rsa import model_of, on_stimuli, paint, pairs_to_compare, similarity_of, stated
from .settings import Rsa
from .shared_signal import kept_pairs, save_pairs, within_reliability
from .space_tests import FACTS, Inference, SpaceTests, read_tests

STEP = "rsa inference/3"
CHUNK_BYTES = 256 << 20
DRAWN_PAIRS = 2 * 10**8  # pairs of stimuli times draws, beyond which there are fewer draws than asked for
FEWEST_DRAWS = 200


def infer_similarity(
    settings: Rsa,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    atlases: Labelled,
    folder: str | Path,
    *,
    inference: Inference | None = None,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005
) -> SpaceTests:
    """Test the similarity of stimuli in feature spaces against that of their responses in regions.

    Parameters
    ----------
    settings : Rsa
        The analysis, of ``regions = "atlas"``.
    spaces : sequence of FeatureSpace
        With one row per stimulus.
    responses : Responses
        With one row per presentation.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target.
    folder : str or Path
        Where the result is saved, or loaded from if it is that of the same settings and inputs.
    inference : Inference, optional
        Draws, levels and seed.
    progress : callable
        Called with the share done.

    Returns
    -------
    SpaceTests
        Kernels average to the correlation of similarities; `chance_table`, `difference_table`, `verdict_table`,
        `group_claims` and `group_verdicts` read them as they read those of `infer_spaces`. Of targets only "q", that of
        their region in the first atlas.

    Raises
    ------
    DataError
        If the analysis is of searchlights.

    Examples
    --------
    >>> from encoding.comparison import Inference, Rsa, infer_similarity
    >>> settings, everything = Rsa("example", repeats="first"), (None, np.ones(1092, dtype=int))
    >>> data = (settings, loaded.described, loaded.responses, [everything], "work/rsa-tests")
    >>> infer_similarity(*data, inference=Inference(20)).spaces
    ('mllm', 'category')
    """
    inference, folder = inference or Inference(), Path(folder)
    if settings.regions != "atlas":
        raise DataError(
            f'[[rsa]] {settings.name!r}: searchlights are not tested; use regions = "atlas" for tests of regions.'
        )
    regions = [(atlas.name if atlas else "", parcel) for atlas, labels in atlases for parcel in parcels(atlas, labels)]
    key = _key(settings, inference, spaces, responses, [parcel for _, parcel in regions])
    known = folder / FACTS
    if not known.is_file() or json.loads(known.read_text(encoding="utf-8"))["key"] != key:
        _Similarities(settings, inference, spaces, responses, regions, atlases).run(folder, key, progress)
    progress(1.0)
    return read_tests(folder)


def _key(
    settings: Rsa,
    inference: Inference,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    regions: Sequence[Parcel],
) -> str:
    blocks = hash_rows(responses.values)
    return digest(
        [
            STEP,
            stated(settings),
            asdict(inference),
            [[space.name, fingerprint_array(space.values)] for space in spaces],
            [responses.subject, blocks, fingerprint_array(responses.samples.run)],
            fingerprint_array(responses.samples.stimulus),
            [(*parcel[:4], fingerprint_array(parcel.mask)) for parcel in regions],
        ]
    )


class _Similarities:
    """Pairs of stimuli, models, and how stimuli are exchanged."""

    def __init__(
        self,
        settings: Rsa,
        inference: Inference,
        spaces: Sequence[FeatureSpace],
        responses: Responses,
        regions: Sequence[tuple[str, Parcel]],
        atlases: Labelled,
    ) -> None:
        self.atlases = atlases
        where = f"[[rsa]] {settings.name!r}"
        self.settings, self.inference, self.regions, self.subject = settings, inference, regions, responses.subject
        self.patterns = patterns_of(responses, settings, where)
        self.notes: dict[str, str] = {}
        n = len(self.patterns)
        self.single = all(len(runs) == 1 for runs in self.patterns.runs)
        pairs = pairs_to_compare(settings, self.patterns)
        self.blocks = self._blocks(n)
        self.left, self.right = self._different(pairs, n)
        by_name = {space.name: space for space in spaces}
        chosen = settings.resolve(list(by_name))
        self.names = [name for name, _ in chosen]
        full = pairs_of(self.patterns.runs, same_run=True)
        self.models = [
            self._ranked(model_of(on_stimuli(by_name[name], self.patterns, where), kind, full, where).rows(slice(None)))
            for name, kind in chosen
        ]
        self.scheme = self._scheme(n)
        self.n_draws = 0
        if self.scheme is not None:
            most = max(FEWEST_DRAWS, DRAWN_PAIRS // max(len(self.left), 1))
            self.n_draws = min(inference.n_permutations, most)

    def _blocks(self, n: int) -> np.ndarray:
        """Block of each stimulus: its run, or for stimuli that were shown in several runs a random one."""
        if not self.single:
            n_blocks = max(1, min(MOST_BLOCKS, n // 2))
            return np.random.default_rng([self.inference.seed, n]).permutation(n) % n_blocks
        runs = [of_one[0] for of_one in self.patterns.runs]
        labels = list(dict.fromkeys(runs))
        group = contiguous_groups(len(labels), min(len(labels), MOST_BLOCKS))
        of_run = dict(zip(labels, group.tolist(), strict=True))
        return np.array([of_run[run] for run in runs])

    def _different(self, pairs: Pairs, n: int) -> tuple[np.ndarray, np.ndarray]:
        flat = pairs.flat()
        left, right = flat // n, flat % n
        kept = self.blocks[left] != self.blocks[right]
        if self.settings.same_run and self.single:
            self.notes["rows"] = "pairs of one run share noise and take no part in tests"
        return left[kept], right[kept]

    def _ranked(self, matrix: np.ndarray) -> np.ndarray:
        if self.settings.comparison != "spearman":
            return matrix
        from ..numerics.rsa import ranks_of

        low = np.tril_indices(len(matrix), -1)
        ranked = np.zeros_like(matrix)
        ranked[low] = ranks_of(matrix[low])
        return ranked + ranked.T

    def _scheme(self, n: int) -> Scheme | None:
        if not self.inference.n_permutations:
            self.notes["chance"] = "chance was not tested: n_permutations = 0"
            return None
        try:
            if not self.single:
                self.notes["chance"] = STIMULI
                return exchange_stimuli(n, self.inference.seed)
            runs = np.array([of_one[0] for of_one in self.patterns.runs])
            units = [[np.flatnonzero(runs == run)] for run in dict.fromkeys(runs.tolist())]
            scheme = exchange_units(units, self.inference.seed)
        except ValueError as error:
            self.notes["chance"] = f"No test against chance: {error}."
            return None
        if scheme.kind != "runs":
            self.notes["chance"] = (
                f"no test against chance: {len(units)} runs, but stimuli are exchanged between six runs of a length or "
                "more"
            )
            return None
        return scheme

    def run(self, folder: Path, key: str, progress: Callable[[float], None]) -> None:
        """Go through all regions and write the result."""
        n_blocks = int(self.blocks.max()) + 1
        n_places, n_models = len(self.regions), len(self.models)
        kernels = np.full((n_places, n_models, n_blocks, n_blocks), np.nan)
        draws = np.full((self.n_draws + 1, n_models, n_places), np.nan, dtype=np.float32)
        kept = kept_pairs(self.patterns.stimulus, self.left, self.right, n_places)
        similarities = np.full((n_places, len(kept)), np.nan, dtype=np.float32)
        size = max(1, CHUNK_BYTES // (12 * max(len(self.left), 1)))
        starts = [*range(0, n_places, size), n_places]
        first, second = self.blocks[self.left], self.blocks[self.right]
        of_pairs = [model[self.left, self.right] for model in self.models]
        for start, stop in pairwise(starts):
            brains = {place: self._brain(self.regions[place][1]) for place in range(start, stop)}
            there = {place: brain for place, brain in brains.items() if brain is not None}
            for place, brain in there.items():
                similarities[place] = brain[kept]
                kernels[place] = [similarity_kernel(model, brain, first, second, n_blocks) for model in of_pairs]
            if there and self.scheme is not None:
                brains_there = np.stack(list(there.values()))
                draws[:, :, list(there)] = exchanged(
                    self.models, brains_there, (self.left, self.right), self.scheme, self.n_draws
                )
            progress(stop / n_places)
        if n_blocks < FEWEST_BLOCKS:
            self.notes["spaces"] = f"spaces are not compared: {n_blocks} runs, but at least {FEWEST_BLOCKS} are needed"
            kernels = kernels[:, :0]
        self._write(folder, key, kernels, draws, kept, similarities)

    def _brain(self, parcel: Parcel) -> np.ndarray | None:
        """Similarity of the responses of a region for all pairs; None without enough targets or without variance."""
        columns = self.patterns.usable[parcel.mask[self.patterns.usable]]
        if len(columns) < self.settings.min_targets:
            return None
        from ..numerics.rsa import ranks_of  # not needed by reports

        values = similarity_of(self.settings, self.patterns, columns).numpy()[self.left, self.right]
        if not len(values) or not np.isfinite(values).all() or np.ptp(values) == 0:
            return None
        return ranks_of(values) if self.settings.comparison == "spearman" else values

    def _write(
        self,
        folder: Path,
        key: str,
        kernels: np.ndarray,
        draws: np.ndarray,
        kept: np.ndarray,
        similarities: np.ndarray,
    ) -> None:
        shape = (len(self.names), len(self.regions))
        chance = {name: np.full(shape, np.nan) for name in ("z", "p", "p_fwe", "q")}
        known = np.isfinite(draws).all((0, 1))
        if self.n_draws and known.any():
            null = permutation.summarise(draws[:, :, known])
            tail = permutation.tail_probability(null.z, null.skewness)
            chance["z"][:, known], chance["p"][:, known] = null.z, null.p
            chance["p_fwe"][:, known] = permutation.family_wise(null.z, null.largest)
            chance["q"][:, known] = discovery_rates(tail.ravel()).reshape(tail.shape)
        usable = self.patterns.usable
        facts: dict[str, Any] = {
            "key": key,
            "subject": self.subject,
            "spaces": self.names,
            "sets": self.names if kernels.shape[1] else [],
            "places": [[atlas, *parcel[:4]] for atlas, parcel in self.regions],
            "units": "runs" if self.single else "stimuli",
            "n_units": int(self.blocks.max()) + 1,
            "n_blocks": int(self.blocks.max()) + 1,
            "blocks": [
                digest(sorted(self.patterns.stimulus[self.blocks == number].tolist()))
                for number in range(int(self.blocks.max()) + 1)
            ],
            "stimuli": digest(sorted(self.patterns.stimulus.tolist())),
            "stimulus_keys": [digest(name)[:12] for name in sorted(set(self.patterns.stimulus.tolist()))],
            "ranks": {},
            "notes": self.notes,
            "settings": asdict(self.inference),
            "exchanged": self.scheme.kind if self.scheme is not None else "nothing",
            "n_permutations": self.n_draws,
            "n_orders": min(self.scheme.n_orders, 1e300) if self.scheme is not None else 0.0,
        }
        n_targets = np.array([int(parcel.mask[usable].sum()) for _, parcel in self.regions])
        columns = [usable[parcel.mask[usable]] for _, parcel in self.regions]
        within = within_reliability(self.settings, self.patterns.responses, columns)
        with atomic_folder(folder) as temporary:
            save_pairs(temporary, self.patterns.stimulus, self.left[kept], self.right[kept], similarities, within)
            painted = paint(chance["q"], self.atlases, len(self.patterns.responses.targets))
            np.savez(temporary / "targets.npz", allow_pickle=False, q=painted)
            np.savez(temporary / "regions.npz", allow_pickle=False, kernels=kernels, n_targets=n_targets, **chance)
            write_json(temporary / FACTS, facts)
