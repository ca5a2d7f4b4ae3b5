"""Write a first configuration for a dataset from what is in it: ``encoding init``."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import AlignmentError, DataError, EncodingError
from ..io.bids.entities import EntityFile, natural_order, run_key
from ..io.bids.index import PybidsIndex
from ..io.bids.runs import RunFiles, RunQuery
from ..io.images.formats import length_of_run
from ..io.tables import STIMULUS_COLUMNS, numbers_of, read_table
from ..loading.names import same_names
from .new_series import FEATURE_FOLDERS, BetasFound, SeriesCandidate, find_betas, series_of_runs, series_of_stimuli

TABLES = (".tsv", ".csv", ".parquet")
KINDS = {".func.gii": "surface", ".dtseries.nii": "cifti", ".nii.gz": "volume", ".nii": "volume"}
# What can be drawn as a whole comes first.
PREFERRED = (
    ("surface", "fsaverage5"),
    ("cifti", "fsLR"),
    ("volume", "MNI152NLin2009cAsym"),
    ("volume", "MNI152NLin6Asym"),
)
COVERED = 0.9  # share of the stimuli shown that a feature table must describe
MOST_FEATURES = 20_000
FEWEST_RUNS = 3  # one is held out, and of the others one validates


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that describes the stimuli."""

    name: str
    file: str  # relative to the dataset
    stimulus: str  # column of names
    columns: tuple[str, ...]  # numeric columns; all others are left out
    all_columns: bool
    n_missing: int  # stimuli that were shown and have no row


@dataclass(slots=True)
class Proposal:
    """A configuration, what it rests on, and what a person has to decide."""

    text: str = ""
    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Version:
    """One kind of preprocessed image."""

    kind: str
    space: str
    res: str
    density: str
    desc: str = ""  # where it is not the usual one

    @property
    def rank(self) -> tuple[int, str]:
        """Order of preference."""
        place = (self.kind, self.space)
        return (PREFERRED.index(place) if place in PREFERRED else len(PREFERRED), self.res)

    def __str__(self) -> str:
        extra = [f"res-{self.res}"] if self.res else []
        extra += [f"den-{self.density}"] if self.density else []
        return " ".join([self.kind, self.space or "native space", *extra])


@dataclass(frozen=True, slots=True)
class _Design:
    """What is loaded, and how it is divided."""

    tasks: tuple[str, ...]
    version: Version
    column: str  # of events, with the names of stimuli
    confounds: dict[str, str]
    repeats: str
    n_runs: int
    per_volume: bool = False  # features are in time
    masked: bool = True  # there are brain masks
    allowed: tuple[str, ...] = ()  # further lines of [load], for what is odd in these runs
    beside: tuple[str, ...] = ()  # commented lines of [load], which add the subcortical voxels of volumes to surfaces


def propose_config(bids_dir: Path, derivatives: Path | None = None) -> Proposal:
    """Inspect a dataset and propose a configuration for it.

    The first subject with preprocessed images stands for all; `encoding check` and the run itself look at the others.
    """
    bids_dir, derivatives = bids_dir.resolve(), derivatives.resolve() if derivatives is not None else None
    proposal = Proposal()
    try:
        index = PybidsIndex(bids_dir, derivatives)
    except DataError:
        betas = find_betas(bids_dir) if derivatives is None else None
        if betas is None:
            _require_bids_names(bids_dir)
            raise
        return _of_betas(bids_dir, betas, proposal)
    subject, raw, bold, derived = _first_subject(index, proposal)
    tasks = _choose_tasks(raw, bold, proposal)
    task = "+".join(tasks)
    bold = [file for file in bold if file.get("task") in tasks]
    version, runs = _choose_version(bold, proposal)
    proposal.found.append(f"sub-{subject}: {len(runs)} runs of task {task!r} as {version}")
    shown, column = _presentations(raw, tasks, proposal)
    features = _features(bids_dir, shown, proposal) if len(shown) else []
    query = RunQuery(
        version.kind, tasks, version.space or None, version.res or None, version.density or None,
        version.desc or ("preproc" if version.kind == "volume" else None),
    )  # fmt: skip
    files = index.runs(subject, query)
    series = [] if features else _series(bids_dir, files, shown, version.kind, proposal)
    confounds = _confounds([file for file in derived if file.get("task") in tasks], proposal)
    allowed = _allowed(
        files, index.missing(subject, query), index.skipped(subject, query), version.kind, column, proposal
    )
    if len(runs) < FEWEST_RUNS:
        proposal.missing.append(
            f"runs: {len(runs)} of task {task!r}; whole runs are held out, so that three are needed at least. "
            'With fewer, set [split] kind = "blocks" by hand.'
        )
    if not proposal.missing:
        by_stimulus = any("{stimulus}" in one.file for one in series)
        repeats = _repeats(shown, proposal) if len(shown) and (features or by_stimulus) else ""
        repeats = "condition" if repeats and series else repeats
        column = column if features or by_stimulus else ""
        masked = all(run.mask is not None for run in files) or version.kind != "volume"
        beside = _beside(version, set(runs), bold, derived, proposal)
        design = _Design(tasks, version, column, confounds, repeats, len(runs), bool(series), masked, allowed, beside)
        proposal.text = _write(bids_dir, design, features, series)
    return proposal


def _allowed(
    files: Sequence[RunFiles],
    missing: Sequence[str],
    skipped: Sequence[str],
    kind: str,
    column: str,
    proposal: Proposal,
) -> tuple[str, ...]:
    """Find gaps in the numbers of runs, runs shorter than their events, and different repetition times."""
    lines = []
    if skipped and set(missing) <= set(skipped):
        proposal.found.append(
            f'run numbers skip {", ".join(skipped)}: missing_runs = "exclude" says that this is right'
        )
        lines.append('missing_runs = "exclude"'.ljust(34) + f"# {', '.join(skipped)}: no file at all; is that right?")
    late, t_rs = {}, {}
    for run in files:
        try:
            n, header = length_of_run(kind, run.bold)
        except EncodingError:  # not fetched yet, or damaged: loading says so
            n, header = None, None
        t_r = run.t_r or header
        t_rs[run.label] = t_r
        if run.events is None or n is None or t_r is None or not column:
            continue
        frame = read_table(run.events, text=(column,))
        if column in frame and "onset" in frame:
            onset = numbers_of(frame, "onset", str(run.events))[(frame[column] != "").to_numpy()]
            late[run.label] = int((onset >= n * t_r).sum())
    cut = {label: n for label, n in late.items() if n}
    if cut:
        told = ", ".join(f"{label} ({n})" for label, n in cut.items())
        proposal.found.append(f'events after the end of the image: {told}; late_events = "drop" leaves them out')
        lines.append('late_events = "drop"'.ljust(34) + f"# of {told}, which ended before the events; is that right?")
    known = {label: round(t_r, 6) for label, t_r in t_rs.items() if t_r}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{label} {t_r:g} s" for label, t_r in known.items())
        proposal.missing.append(
            f"repetition times differ ({told}), and one model has one clock. Move runs of one of them elsewhere, or "
            "load sessions apart with --session-label."
        )
    return tuple(lines)


def _require_bids_names(bids_dir: Path) -> None:
    """Refuse a folder with images that are not named as in BIDS, and say how they are loaded."""
    names = (path for path in bids_dir.rglob("*") if path.name.endswith(tuple(KINDS)))
    image = next((path for path in names if not path.name.startswith("sub-")), None)
    if image is not None:
        raise DataError(
            f"{bids_dir}: no preprocessed images with the names of BIDS, but others, such as "
            f"{image.relative_to(bids_dir).as_posix()}. Write a configuration with such a path as `file` in [load], "
            "with {subject}, {task} and {run} in it; the page about your data (docs/data.md) shows one."
        )


def _series(
    bids_dir: Path, runs: Sequence[RunFiles], shown: pd.DataFrame, kind: str, proposal: Proposal
) -> list[SeriesCandidate]:
    """Search for features in time where no table describes the stimuli, in place of what is missing."""
    t_r_of = {run.label: run.t_r for run in runs}
    found, near = series_of_runs(bids_dir, runs, t_r_of, kind)
    if not found and len(shown):
        t_r = next((run.t_r or length_of_run(kind, run.bold)[1] for run in runs), None)
        found = series_of_stimuli(bids_dir, dict(zip(shown["stimulus"], shown["duration"], strict=True)), t_r)
    if found:
        proposal.missing = [text for text in proposal.missing if not text.startswith(("events:", "features:"))]
    elif near and proposal.missing:
        proposal.missing[-1] += f" Features in time that do not fit: {'; '.join(near[:5])}."
    elif not len(shown):
        proposal.missing[-1] += (
            " Without events, features are needed for each run, such as features/NAME_task-TASK_run-1.npy."
        )
    for one in found:
        proposal.found.append(f"feature space {one.name!r}: {one.file}, {one.what}")
    return found


def _of_betas(bids_dir: Path, betas: BetasFound, proposal: Proposal) -> Proposal:
    """Propose a configuration for estimates per trial."""
    proposal.found.append(betas.what)
    features = _features(bids_dir, betas.shown, proposal)
    n_runs = int(betas.shown["run"].nunique())
    if n_runs < FEWEST_RUNS:
        proposal.missing.append(f"runs: {n_runs} in the table of trials; three are needed at least.")
    if not proposal.missing:
        lines = [*_heading(bids_dir), *_of_features(features), "[load]", *betas.lines, ""]
        lines += _rest(n_runs, _repeats(betas.shown, proposal), [one.name for one in features])
        proposal.text = "\n".join(lines)
    return proposal


def _first_subject(
    index: PybidsIndex, proposal: Proposal
) -> tuple[str, list[EntityFile], list[EntityFile], list[EntityFile]]:
    without: list[str] = []
    for subject in index.subjects():
        raw, derived = index.files(subject)
        bold = [file for file in derived if file.get("suffix") == "bold" and file.get("extension") in KINDS]
        if bold:
            proposal.found.append(f"{len(index.subjects())} subjects; preprocessed images in {index.derivatives}")
            if without:
                proposal.found.append(f"no preprocessed images of sub-{', sub-'.join(without)}")
            return subject, raw, bold, derived
        without.append(subject)
    raise DataError(
        f"{index.derivatives}: no preprocessed BOLD image of any of {len(without)} subjects. Run fMRIPrep, or say "
        "where its output is with --derivatives."
    )


def _choose_tasks(raw: Sequence[EntityFile], bold: Sequence[EntityFile], proposal: Proposal) -> tuple[str, ...]:
    """Choose the task with most runs among those with events, or all where each is a story of one or two runs."""
    n_runs = Counter({task: len({run_key(file) for file in bold if file.get("task") == task}) for task in _tasks(bold)})
    with_events = {file.get("task") for file in raw if file.get("suffix") == "events"}
    best = max(n_runs, key=lambda task: (task in with_events, n_runs[task], task))
    if max(n_runs.values()) < FEWEST_RUNS <= len(n_runs):
        stories = tuple(
            sorted(task for task in n_runs if (task in with_events) == (best in with_events) and task != "rest")
        )
        if len(stories) >= FEWEST_RUNS:
            proposal.found.append(f"tasks: {', '.join(stories)}, of one or two runs each; all are loaded")
            return stories
    if len(n_runs) > 1:
        listed = ", ".join(f"{task} ({n} runs)" for task, n in n_runs.most_common())
        proposal.found.append(f"tasks: {listed}; {best!r} was chosen")
    return (best,)


def _tasks(files: Iterable[EntityFile]) -> set[str]:
    return {file.get("task") for file in files}


def _choose_version(bold: Sequence[EntityFile], proposal: Proposal) -> tuple[Version, list[tuple[str, ...]]]:
    """Choose space and resolution: first that of most runs, then what can be drawn best."""
    runs: dict[Version, set[tuple[str, ...]]] = {}
    for file in bold:
        extension = file.get("extension")
        version = Version(KINDS[extension], file.get("space"), file.get("res"), file.get("den"))
        if file.get("echo"):
            continue
        if version.kind == "volume" and file.get("desc") != "preproc":
            if any(other.get("desc") == "preproc" for other in bold):
                continue
            version = replace(version, desc=file.get("desc"))
        runs.setdefault(version, set()).add(run_key(file))
    if not runs:
        raise DataError(
            f"{bold[0].path}: {len(bold)} images are single echoes; combine them, or choose one with a filter file."
        )
    most = max(map(len, runs.values()))
    chosen = min((version for version, keys in runs.items() if len(keys) == most), key=lambda version: version.rank)
    others = [f"{version} ({len(keys)} runs)" for version, keys in runs.items() if version != chosen]
    if others:
        proposal.found.append(f"also there: {'; '.join(sorted(others))}")
    return chosen, sorted(runs[chosen], key=natural_order)


def _beside(
    version: Version,
    runs: set[tuple[str, ...]],
    bold: Sequence[EntityFile],
    derived: Sequence[EntityFile],
    proposal: Proposal,
) -> tuple[str, ...]:
    """Propose to load the subcortex from volumes of the runs whose surfaces were chosen, unless there is CIFTI."""
    if version.kind != "surface" or any(file.get("extension") == ".dtseries.nii" for file in bold):
        return ()
    volumes: dict[Version, set[tuple[str, ...]]] = {}
    for file in bold:
        fits = file.get("space") == "T1w" if version.space == "fsnative" else file.get("space").startswith("MNI152")
        if fits and KINDS[file.get("extension")] == "volume" and file.get("desc") == "preproc" and not file.get("echo"):
            volumes.setdefault(Version("volume", file.get("space"), file.get("res"), ""), set()).add(run_key(file))
    whole = [one for one, keys in volumes.items() if runs <= keys]
    if not whole:
        return ()
    chosen = min(whole, key=lambda one: one.rank)
    name = chosen.space + (f":res-{chosen.res}" if chosen.res else "")
    lines = [f"# volume_space = {_text(name)}".ljust(48) + "  # without the first #, the subcortex is loaded too"]
    segmented = any(
        (file.get("suffix"), file.get("space"), file.get("res")) == ("dseg", chosen.space, chosen.res)
        and file.get("desc") in ("aseg", "aparcaseg")
        for file in derived
    )
    lines += (
        [] if segmented else ['# subcortex = "Tian2020-S1"'.ljust(48) + "  # or a mask: there is no desc-aseg_dseg"]
    )
    proposal.found.append(
        f"volumes of the same runs in {chosen.space}: a line of [load] that is commented out adds their subcortical "
        f"voxels to the surfaces"
    )
    return tuple(lines)


def _presentations(raw: Sequence[EntityFile], tasks: Sequence[str], proposal: Proposal) -> tuple[pd.DataFrame, str]:
    """Read events of all runs: a frame with the columns run and stimulus; and the column that names the stimuli."""
    files = [file for file in raw if file.get("suffix") == "events" and file.get("task") in tasks]
    empty = pd.DataFrame({"run": [], "stimulus": [], "duration": []})
    if not files:
        proposal.missing.append(
            f"events: no *_task-{tasks[0]}_*_events.tsv in the dataset; they say which stimulus was shown when "
            "(onset, duration and a column with the name of the stimulus)."
        )
        return empty, ""
    columns = list(read_table(files[0].path).columns)
    named = [name for name in (*STIMULUS_COLUMNS, "stimulus_file", "item", "trial_type") if name in columns]
    if not named:
        proposal.missing.append(
            f"events: {files[0].path.name} has the columns {', '.join(columns)}; none of them is known to name the "
            f"stimulus. Add a column stim_id, or set `stimulus` in [load]."
        )
        return empty, ""
    parts = []
    for file in files:
        frame = read_table(file.path, text=named)
        values = frame[named[0]].to_numpy(dtype=str) if named[0] in frame else np.array([], dtype=str)
        seconds = numbers_of(frame, "duration", str(file.path)) if "duration" in frame else np.full(len(frame), np.nan)
        part = pd.DataFrame({"run": "/".join(run_key(file)), "stimulus": values, "duration": seconds})
        parts.append(part[part["stimulus"] != ""])
    shown = pd.concat(parts, ignore_index=True)
    if not len(shown):
        proposal.missing.append(f"events: column {named[0]!r} is empty in all {len(files)} runs.")
    n_stimuli = shown["stimulus"].nunique()
    proposal.found.append(f"events: {len(shown)} presentations of {n_stimuli} stimuli, named by {named[0]!r}")
    return shown, named[0]


def _features(bids_dir: Path, shown: pd.DataFrame, proposal: Proposal) -> list[Candidate]:
    """Find tables with a row for nearly every stimulus that was shown."""
    wanted = set(shown["stimulus"])
    found, near = [], []
    for folder in FEATURE_FOLDERS:
        for path in sorted(path for path in (bids_dir / folder).rglob("*") if path.suffix in TABLES and path.is_file()):
            candidate = _candidate(bids_dir, path, wanted)
            if candidate is None:
                continue
            if candidate.n_missing <= (1 - COVERED) * len(wanted):
                found.append(candidate)
            else:
                near.append(f"{candidate.file} ({candidate.n_missing} of {len(wanted)} stimuli have no row)")
    taken: Counter[str] = Counter()
    unique = []
    for one in found:
        taken[one.name] += 1
        unique.append(one if taken[one.name] == 1 else _renamed(one, f"{one.name}_{taken[one.name]}"))
        part = "" if one.all_columns else ", numeric columns only"
        proposal.found.append(f"feature space {unique[-1].name!r}: {one.file}, {len(one.columns)} features{part}")
    if not unique:
        also = f" Not used: {'; '.join(near)}." if near else ""
        proposal.missing.append(
            f"features: no table in {', '.join(f'{folder}/' for folder in FEATURE_FOLDERS)} has a row for each of the "
            f"{len(wanted)} stimuli ({', '.join(sorted(wanted)[:3])}, ...). Put a TSV there with a column stim_id and "
            f"one numeric column per feature.{also}"
        )
    return unique


def _renamed(candidate: Candidate, name: str) -> Candidate:
    return Candidate(
        name, candidate.file, candidate.stimulus, candidate.columns, candidate.all_columns, candidate.n_missing
    )


def _candidate(bids_dir: Path, path: Path, wanted: set[str]) -> Candidate | None:
    """Describe a table if one of its columns names stimuli and others are numbers."""
    try:
        names = [str(name) for name in read_table(path).columns]
        frame = read_table(path, text=[name for name in names if name in STIMULUS_COLUMNS] or names[:1])
    except DataError:
        return None  # not a table of features; a file that is named in a configuration is read with its errors
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    matched = {name: _matched(wanted, frame[name].astype(str)) for name in texts}
    best = max(texts, key=lambda name: matched[name], default=None)
    if best is None or not matched[best]:
        return None
    numeric = [
        str(name)
        for name in frame.columns
        if name != best and pd.api.types.is_numeric_dtype(frame[name]) and frame[name].notna().all()
    ]
    described = set(frame[best].astype(str))
    if not numeric or len(numeric) > MOST_FEATURES or len(described) < len(frame) or str(path.name) == "stimuli.tsv":
        return None
    label = re.sub(r"^(feature|features|feat|desc)[-_]", "", path.stem)
    label = re.sub(r"[^A-Za-z0-9_+]+", "_", label).strip("_") or "features"
    return Candidate(
        label,
        path.relative_to(bids_dir).as_posix(),
        str(best),
        tuple(numeric),
        len(numeric) == len(frame.columns) - 1,
        len(wanted) - matched[best],
    )


def _matched(wanted: set[str], names: pd.Series) -> int:
    """Count the stimuli that have a row under a name that is the same."""
    try:
        return len(same_names(sorted(wanted), names.unique().astype(str), "x"))
    except AlignmentError:
        return 0


def _confounds(derived: Sequence[EntityFile], proposal: Proposal) -> dict[str, str]:
    """Choose nilearn's strategies and their options by the columns of the first confounds table."""
    tables = [file for file in derived if file.get("desc") == "confounds" and file.get("extension") == ".tsv"]
    if not tables:
        proposal.found.append("no confounds table: nothing is regressed out but slow drifts")
        return {}
    columns = set(read_table(tables[0].path).columns)
    chosen = {}
    if "trans_x" in columns:
        full = {"trans_x_derivative1", "trans_x_power2", "trans_x_derivative1_power2"}
        chosen["motion"] = "full" if full <= columns else "derivatives" if "trans_x_derivative1" in columns else "basic"
    if {"white_matter", "csf"} <= columns:
        chosen["wm_csf"] = "basic"
    proposal.found.append(f"confounds: {', '.join(f'{name} ({how})' for name, how in chosen.items()) or 'none usable'}")
    return chosen


def _repeats(shown: pd.DataFrame, proposal: Proposal) -> str:
    """Choose what is declared about stimuli that are shown in several runs."""
    runs_of = shown.groupby("stimulus")["run"].nunique()
    several = int((runs_of > 1).sum())
    if not several:
        return ""
    everywhere = bool((runs_of == shown["run"].nunique()).all())
    proposal.found.append(f"{several} of {len(runs_of)} stimuli are shown in several runs")
    return "condition" if everywhere else "drop_later"


def _heading(bids_dir: Path) -> list[str]:
    return [
        f"# Written by encoding init for {bids_dir.resolve().name}. Every line can be changed;",
        "# docs/settings.md lists all settings. Check it with: encoding check FILE BIDS_DIR",
        "seed = 0",
        "",
    ]


def _of_features(features: Sequence[Candidate], series: Sequence[SeriesCandidate] = ()) -> list[str]:
    lines = []
    for one in features:
        lines += ["[[features]]", f'name = "{one.name}"', f"file = {_text(one.file)}"]
        lines += [f"stimulus = {_text(one.stimulus)}"] if one.stimulus not in STIMULUS_COLUMNS else []
        if not one.all_columns:
            lines += [f"columns = [{', '.join(map(_text, one.columns))}]"]
        lines += [""]
    for moment in series:
        lines += ["[[features]]", f'name = "{moment.name}"', 'kind = "series"', f"file = {_text(moment.file)}"]
        lines += [f"rate = {moment.rate:g}".ljust(34) + "# rows per second"] if moment.rate else []
        lines += [""]
    return lines


def _write(
    bids_dir: Path, design: _Design, features: Sequence[Candidate], series: Sequence[SeriesCandidate] = ()
) -> str:
    version, confounds = design.version, design.confounds
    several = f"[{', '.join(map(_text, design.tasks))}]"
    tasks = several if len(design.tasks) > 1 else _text(design.tasks[0])
    lines = [*_heading(bids_dir), *_of_features(features, series)]
    lines += ["[load]", f'kind = "{version.kind}"', f"task = {tasks}"]
    lines += [f"space = {_text(version.space)}"] if version.space else []
    lines += [f"res = {_text(version.res)}"] if version.res else []
    lines += [f"density = {_text(version.density)}"] if version.density else []
    lines += [f"desc = {_text(version.desc)}"] if version.desc else []
    lines += design.beside
    lines += ['mask = "none"'] if not design.masked else []
    lines += design.allowed
    if design.per_volume:
        lines += ['per = "tr"                        # one row per volume']
        lines += ['events = "none"'] if not design.column else []
    else:
        lines += ['per = "stimulus"                  # one row per presentation: the mean of its window']
        lines += [
            "shift = 4.0                       # s from the onset to the start of the window: the delay of the response"
        ]
    lines += [f"stimulus = {_text(design.column)}"] if design.column else []
    lines += [f"confounds = [{', '.join(map(_text, confounds))}]"]
    options = {name: how for name, how in confounds.items() if how != "full" and name == "motion"}
    if options:
        lines += [f"confound_options = {{ {', '.join(f'{name} = {_text(how)}' for name, how in options.items())} }}"]
    lines += ["high_pass = 0.008                 # Hz", ""]
    if design.per_volume:
        lines += ["[align]", "delays = [1, 2, 3, 4]             # volumes", ""]
    names = [*(one.name for one in features), *(one.name for one in series)]
    return "\n".join([*lines, *_rest(design.n_runs, design.repeats, names)])


def _rest(n_runs: int, repeats: str, names: Sequence[str]) -> list[str]:
    n_outer = min(6, n_runs)
    left = n_runs - -(-n_runs // n_outer)
    lines = ["[split]", 'kind = "runs"                     # whole runs are held out', f"n_outer = {n_outer}"]
    lines += [f"n_inner = {min(5, left)}"]
    if repeats:
        why = {
            "condition": "all stimuli are shown in every run, as conditions of an experiment are",
            "drop_later": "of stimuli that are shown in several runs the first showing counts",
        }[repeats]
        lines += [f'repeats = "{repeats}"'.ljust(34) + f"# {why}"]
    lines += ["", "[[fit]]", 'kind = "ridge"', 'bands = "each"                    # one model per feature space', ""]
    if len(names) > 1:
        bands = ", ".join(f'"{name}"' for name in names)
        lines += ["[[fit]]", 'kind = "banded_ridge"', 'name = "joint"', f"bands = [{bands}]", ""]
    return [*lines, "[map]", 'atlases = ["auto"]', ""]


def _text(value: str) -> str:
    """Write a TOML string."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
