"""Tables of one participant, and of a group."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ..comparison import (
    RsaResult,
    add_confidence,
    check_differences,
    confidence_of,
    join_confidence,
    summarise_differences,
    summarise_regions,
)
from ..config.settings import Study
from ..core import Atlas, Exclusion
from ..io.atomic import write_tsv
from ..mapping import Result, joined_claims, judge_regions
from .inference import Inferred, joined_verdicts, write_group_inference
from .jobs import Fitted, Job, Loaded
from .scores import Scored, write_group_rsa

Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


def tables_of(
    job: Job,
    loaded: Loaded,
    fitted: Fitted,
    scored: Scored,
    *,
    similar: Sequence[RsaResult],
    inferred: Inferred,
    exclusions: Sequence[Exclusion],
    atlases: Labelled = (),
) -> dict[str, pd.DataFrame]:
    """Collect what `write_result` writes as TSV, by name."""
    samples = loaded.responses.samples
    membership = fitted.membership(len(samples), job.study.split.repeats)
    split = {"run": samples.run, "onset": samples.onset, "stimulus": samples.stimulus, **membership}
    regions = [*(found.table for found in similar), *scored.regions]
    differences = [*(found.differences for found in similar), *scored.differences]
    return {
        "regions": add_confidence(pd.concat(regions, ignore_index=True), atlases),
        "differences": add_confidence(pd.concat(differences, ignore_index=True), atlases),
        "claims": add_confidence(inferred.claims, atlases),
        "verdicts": add_confidence(inferred.verdicts, atlases),
        "exclusions": pd.DataFrame([asdict(e) for e in exclusions], columns=["what", "n", "reason", "run"]),
        "splits": pd.DataFrame(split),
    }


def write_group_tables(
    study: Study, folder: Path, results: Sequence[Result]
) -> tuple[pd.DataFrame | None, Mapping[str, pd.DataFrame]]:
    """Write the tables of a group; return the tests of differences, where they are wanted, and those of inference.

    The latter by name, with all verdicts joined as "verdicts".
    """
    regions = pd.concat([result.regions for result in results], ignore_index=True)
    differences = pd.concat([result.differences for result in results], ignore_index=True)
    main = regions[regions["metric"] == study.compare.metric]
    write_tsv(folder / "regions.tsv", regions)
    write_tsv(folder / "differences.tsv", differences)
    told = confidence_of(regions)
    write_tsv(folder / "regions_summary.tsv", join_confidence(summarise_regions(regions), told))
    write_tsv(folder / "differences_summary.tsv", join_confidence(summarise_differences(differences), told))
    found = write_group_inference(folder, results)
    claims = joined_claims(results, found.get("verdicts"))
    write_tsv(folder / "winners.tsv", join_confidence(judge_regions(main, study.single, claims), told))
    tests = None
    if study.compare.group_test == "paired_t":
        tests = check_differences(differences)
        write_tsv(folder / "differences_tests.tsv", join_confidence(tests, told))
    write_group_rsa(folder, results, regions, joined_verdicts(found))
    joined = joined_verdicts(found)
    return tests, found if joined is None else {**found, "verdicts": joined}
