"""The step of the pipeline that tests feature spaces: what a report claims comes from here only."""

import shutil
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..comparison import (
    Inference,
    Presented,
    Resources,
    SpaceTests,
    chance_table,
    difference_table,
    fit_differences,
    group_claims,
    group_verdicts,
    infer_spaces,
    read_tests,
    unique_table,
    units_of,
    verdict_table,
)
from ..core import Atlas, FeatureSpace, Samples
from ..fitting import choose_device
from ..loading import align
from ..mapping import GROUP, TESTS, Result
from .jobs import Fitted, Job, Loaded


def infer_subject(
    job: Job, loaded: Loaded, fitted: Fitted, atlases: Sequence[tuple[Atlas | None, np.ndarray]]
) -> SpaceTests | None:
    """Test the feature spaces of single-space models in every target and region; None where there is none."""
    spaces = _tested_spaces(job, loaded)
    folder = job.folder / TESTS
    if not spaces or fitted.folds is None:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    settings, use = job.study.compare, _used_rows(job, loaded, fitted)
    compute = job.study.compute.compute(choose_device(job.device)[0])
    job.progress("test", 0.0)
    return infer_spaces(
        spaces,
        loaded.responses,
        atlases,
        folder,
        settings=Inference(n_permutations=settings.n_permutations, p_level=settings.p_level, seed=job.study.seed),
        presented=Presented(loaded.described, _layout(job, loaded, use), use),
        resources=Resources(memory_bytes=min(compute.memory_bytes, 1 << 30)),
        progress=lambda share: job.progress("test", share),
    )


def _tested_spaces(job: Job, loaded: Loaded) -> list[FeatureSpace]:
    """Spaces of single-space models, in the order of the models."""
    names = [model.bands[0] for model in job.study.models if len(model.bands) == 1]
    by_name = {space.name: space for space in loaded.spaces}
    return [by_name[name] for name in dict.fromkeys(names)]


def _used_rows(job: Job, loaded: Loaded, fitted: Fitted) -> np.ndarray:
    """Rows that are trained on or tested; later showings only where stimuli recur by design."""
    n = len(loaded.responses.samples)
    use = fitted.membership(n, job.study.split.repeats)["use"]
    used = ~np.char.startswith(use.astype(str), "left out")
    if job.study.split.repeats == "exclude_from_training" and loaded.responses.samples.clock == "stimulus":
        first = np.zeros(n, dtype=bool)
        first[np.unique(loaded.responses.samples.stimulus, return_index=True)[1]] = True
        used &= first
    return used


def _layout(job: Job, loaded: Loaded, use: np.ndarray) -> FeatureSpace | None:
    """Align indicators of stimuli, where they recur on the clock of volumes."""
    responses = loaded.responses
    if responses.samples.clock != "tr" or not units_of(responses, use).recurring:
        return None
    names = sorted(set(responses.presentations.stimulus.tolist()))
    identity = np.eye(len(names), dtype=np.float32)
    space = FeatureSpace("stimuli", identity, Samples.of_stimuli(names), tuple(names))
    return align(space, responses, delays=tuple(job.study.align.delays))


def claims_of_subject(
    job: Job, tests: SpaceTests | None, fitted: Fitted, atlases: Sequence[tuple[Atlas | None, np.ndarray]]
) -> dict[str, pd.DataFrame]:
    """Tabulate what may be said of one subject: ``verdicts`` of regions, and all ``claims`` with their intervals."""
    if tests is None:
        return {}
    parts = [chance_table(tests), difference_table(tests), unique_table(tests)]
    parts.append(fit_differences(fitted.predictions, atlases, pairs=job.study.pairs, level=job.study.compare.p_level))
    filled = [part for part in parts if len(part)]
    return {"verdicts": verdict_table(tests), "claims": pd.concat(filled, ignore_index=True)}


def claims_of_group(results: Sequence[Result], level: float) -> dict[str, pd.DataFrame]:
    """Tabulate what may be said of the population; empty for one participant, or where one was not tested."""
    folders = [result.folder / TESTS for result in results]
    if len(results) < 2 or any(result.claims is None for result in results):
        return {}
    tests = [read_tests(folder) for folder in folders]
    verdicts = group_verdicts(tests, level=level)
    summary = results[0].summary
    model_of = {summary.models[name].bands[0]: name for name in reversed(summary.single)}
    verdicts[["best", "leading", "next"]] = verdicts[["best", "leading", "next"]].replace(model_of)
    return {"verdicts": verdicts.assign(subject=GROUP), "claims": group_claims(tests, level=level)}
