"""An index of raw BIDS and fMRIPrep-like derivatives by pybids, matched by entities."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...core import DataError, digest, suggest
from ..errors import naming
from ..fetched import is_unfetched
from .entities import (
    LONG,
    RUN_ENTITIES,
    EntityFile,
    agree,
    closest,
    natural_order,
    one_per_hemisphere,
    only,
    passes,
    plain,
    run_key,
    short_labels,
    single,
)
from .runs import RunFiles, RunQuery
from .sidecars import entities_of, find_derivatives, read_sidecar, seconds_of

EXTENSIONS = {"volume": (".nii.gz", ".nii"), "surface": (".func.gii",), "cifti": (".dtseries.nii",)}
# The suffix of the confounds table, and what it was before fMRIPrep 20.2.
CONFOUNDS = ("timeseries", "regressors")
# Spaces that fMRIPrep names on its command line but not in its files: the run's own.
NATIVE = ("func", "bold", "boldref", "run")
# fMRIPrep 20.0 wrote surfaces without the suffix "bold"; versions before 1.2 put the suffix in the middle of names.
SUFFIXLESS = re.compile(r"_hemi-([LR])\.func\.gii")
OLDER = re.compile(r"_bold_.*(\.func\.gii|_preproc\.nii(\.gz)?)|\.[LR]\.func\.gii")


class PybidsIndex:
    """Index of a dataset by pybids, restricted to what is asked for.

    Metadata are never indexed by pybids, nor are figures, anatomy or other subjects: on 100 subjects that
    makes seconds out of minutes. Each subject is indexed when it is first asked for.
    """

    def __init__(
        self,
        bids_dir: str | Path,
        derivatives: str | Path | None = None,
        *,
        subjects: Iterable[str] | None = None,
        database: str | Path | None = None,
    ) -> None:
        self.bids_dir = Path(bids_dir)
        if not self.bids_dir.is_dir():
            raise DataError(f"BIDS folder {self.bids_dir}: no such folder.")
        self.derivatives = find_derivatives(self.bids_dir, derivatives)
        self._database = None if database is None else Path(database)
        self._files: dict[tuple[Path, str], list[EntityFile]] = {}
        present = self._present()
        wanted = present if subjects is None else tuple(str(label).removeprefix("sub-") for label in subjects)
        for label in wanted:
            if label not in present:
                raise DataError(f"{self.bids_dir}: there is no sub-{label}. {suggest(label, present)}")
        self._subjects = tuple(dict.fromkeys(wanted))

    def _present(self) -> tuple[str, ...]:
        for root in (self.bids_dir, self.derivatives):
            labels = sorted(path.name[4:] for path in root.glob("sub-*") if path.is_dir())
            if labels:
                return tuple(labels)
        raise DataError(f"{self.bids_dir}: no folder named sub-*. Is this the root of a BIDS dataset?")

    def subjects(self) -> tuple[str, ...]:
        """List subjects."""
        return self._subjects

    def files(self, subject: str) -> tuple[list[EntityFile], list[EntityFile]]:
        """List all files of a subject: of the raw dataset and of the derivatives."""
        return self._scan(self.bids_dir, subject), self._scan(self.derivatives, subject)

    def runs(self, subject: str, query: RunQuery) -> list[RunFiles]:
        """Find the files of each run."""
        groups: dict[tuple[str, ...], list[EntityFile]] = {}
        for file in self._bold(subject, query):
            groups.setdefault(run_key(file), []).append(file)
        labels = short_labels([group[0] for group in groups.values()])
        runs = []
        for key in sorted(groups, key=natural_order):
            where = f"sub-{subject}, {labels[key]}"
            surface = query.kind == "surface"
            files = one_per_hemisphere(groups[key], where) if surface else (single(groups[key], where),)
            runs.append(self._describe(labels[key], files, where))
        return runs

    def missing(self, subject: str, query: RunQuery) -> tuple[str, ...]:
        """Name the runs that should be there but are not.

        A run is missing if the raw dataset has its events or images, or the derivatives have its
        confounds, but the derivatives have no image of it as asked for; and if its number is skipped
        within a session, or between two sessions whose numbers count on.
        """
        found, expected = self._expected(subject, query)
        # Events may leave out entities that the image has (acq, dir): those are the same run.
        absent = [
            file
            for key, file in expected.items()
            if key not in found and not any(agree(file, other) for other in found.values())
        ]
        names = {file.run_name for file in absent if _selected(file, query)}
        return tuple(sorted(names | _gaps(list(expected.values()), query)))

    def skipped(self, subject: str, query: RunQuery) -> tuple[str, ...]:
        """Name those of `missing` of which there is no file at all: their numbers are skipped."""
        _, expected = self._expected(subject, query)
        return tuple(sorted(_gaps(list(expected.values()), query)))

    def _expected(self, subject: str, query: RunQuery) -> tuple[dict, dict]:
        """Collect the recordings that have an image as asked for, and those that anything speaks of."""
        # What is left out on purpose is not missing.
        everything = RunQuery(query.kind, query.task, query.space, query.res, query.density, query.desc)
        found = {run_key(file): file for file in self._bold(subject, everything)}
        tasks = {file.get("task") for file in found.values()}
        expected = dict(found)
        for root, suffixes in ((self.bids_dir, ("events", "bold")), (self.derivatives, CONFOUNDS)):
            for file in self._scan(root, subject):
                if file.get("suffix") in suffixes and file.get("subject") and file.get("task") in tasks:
                    expected.setdefault(run_key(file), file)
        return found, expected

    def _bold(self, subject: str, query: RunQuery) -> list[EntityFile]:
        files = [
            file
            for file in self._scan(self.derivatives, subject)
            if file.get("suffix") == "bold" and file.get("extension") in EXTENSIONS[query.kind]
        ]
        if not query.task and len(tasks := sorted({file.get("task") for file in files})) > 1:
            raise DataError(f"sub-{subject}: {len(tasks)} tasks ({', '.join(tasks)}). Set `task` in [load].")
        wanted: dict[str, Any] = {"space": query.space, "res": query.res, "den": query.density, "desc": query.desc}
        chosen = [
            file
            for file in files
            if _selected(file, query)
            and all(value is None or _has(file, name, value) for name, value in wanted.items())
        ]
        if "echo" not in query.filters:
            # Single echoes beside their combination, which fMRIPrep writes when it is asked to.
            combined = {run_key(file) for file in chosen if not file.get("echo")}
            chosen = [file for file in chosen if not file.get("echo") or run_key(file) not in combined]
        if not chosen:
            asked = {"task": "+".join(query.task), **wanted, "sessions": query.sessions, "filters": query.filters}
            there = sorted({_describe_version(file) for file in files}) or [self._nothing(subject)]
            raise DataError(
                f"sub-{subject}: no {query.kind} BOLD file in {self.derivatives} matches "
                f"{ {name: value for name, value in asked.items() if value} }. There is: "
                f"{'; '.join(there)}. Change [load] or the filters."
            )
        return chosen

    def _nothing(self, subject: str) -> str:
        """Describe the images that exist instead of those that were requested."""
        older = [file.path.name for file in self._scan(self.derivatives, subject) if OLDER.search(file.path.name)]
        if older:
            return (
                f"{len(older)} files named as by fMRIPrep before 1.2, such as {older[0]}. Names must end in "
                f"_bold.func.gii (with hemi-L or hemi-R) or _desc-preproc_bold.nii.gz; preprocess again or rename them"
            )
        return "no file of this kind"

    def _describe(self, label: str, bold: tuple[EntityFile, ...], where: str) -> RunFiles:
        """Collect what belongs to the images of a run, by entities and never by order."""
        first, subject = bold[0], bold[0].get("subject")
        same_run = [file for file in self._scan(self.derivatives, subject) if run_key(file) == run_key(first)]
        same_grid = [
            file
            for file in same_run
            if all(plain(file.get(name)) == plain(first.get(name)) for name in ("space", "res"))
            and file.get("extension") in EXTENSIONS["volume"]
        ]
        confounds = [file for file in same_run if file.get("desc") == "confounds" and _is_table(file, CONFOUNDS)]
        masks = [file for file in same_grid if (file.get("suffix"), file.get("desc")) == ("mask", "brain")]
        raw_events = [file for file in self._scan(self.bids_dir, subject) if _is_table(file, ("events",))]
        events = closest(raw_events, first, where)
        # The raw image need not be there; its sidecar is where its name says.
        folders = [f"sub-{subject}", *([f"ses-{first.get('session')}"] if first.get("session") else []), "func"]
        raw_bold = self.bids_dir.joinpath(*folders, f"sub-{subject}_{first.run_name}_bold.nii.gz")
        raw_metadata = read_sidecar(raw_bold, self.bids_dir)
        derived_metadata = read_sidecar(first.path, self.derivatives)
        return RunFiles(
            label=label,
            entities=first.entities,
            bold=tuple(file.path for file in bold),
            mask=only(masks, where),
            confounds=only(confounds, where),
            events=events,
            metadata=raw_metadata | derived_metadata,
            raw_t_r=seconds_of(raw_metadata, "RepetitionTime", where),
            derived=derived_metadata,
            derived_t_r=seconds_of(derived_metadata, "RepetitionTime", where),
            dseg=tuple(sorted(file.path for file in same_grid if file.get("suffix") == "dseg")),
        )

    def _scan(self, root: Path, subject: str) -> list[EntityFile]:
        if (root, subject) not in self._files:
            self._files[root, subject] = _index(root, subject, self._database)
        return self._files[root, subject]


def _index(root: Path, subject: str, database: Path | None) -> list[EntityFile]:
    from bids import BIDSLayout, BIDSLayoutIndexer  # half a second that only loading needs
    from bids.layout.models import Tag

    # "_" is a word character, so \b would not end a label here.
    ignore = [
        re.compile(rf"^/sub-(?!{re.escape(subject)}(?:[/_]|$))"),
        re.compile(r"/(?:figures|anat|dwi|perf|fmap|log|logs)(?:/|$)"),
        re.compile(r"^/(?:derivatives|sourcedata|code|stimuli|models)(?:/|$)"),
        re.compile(r"/\."),
    ]
    # pybids reads dataset_description.json, and raises whatever its parser does where that is damaged.
    with naming(root, (Exception,), "cannot be indexed as a BIDS dataset", "Check its dataset_description.json."):
        layout = BIDSLayout(
            str(root),
            validate=False,
            derivatives=False,
            config=["bids", "derivatives"],
            indexer=BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignore),
            database_path=None if database is None else str(database / f"sub-{subject}_{digest(str(root.resolve()))}"),
        )
    # One question for all files: asking each for its entities takes as long as reading all their names.
    entities: dict[str, dict[str, Any]] = {}
    for path, name, value in layout.session.query(Tag.file_path, Tag.entity_name, Tag._value):
        entities.setdefault(path, {})[name] = value
    files = [_entity_file(Path(file.path), entities.get(str(file.path), {})) for file in layout.get()]
    return sorted(files, key=lambda file: file.path)


def _entity_file(path: Path, entities: dict[str, Any]) -> EntityFile:
    known = {name: str(value) for name, value in entities.items()}
    side = SUFFIXLESS.search(path.name)
    if side:
        known |= {"hemi": side[1], "suffix": "bold", "extension": ".func.gii"}
    return EntityFile(path, known)


def _has(file: EntityFile, name: str, value: str) -> bool:
    stated = file.get(name)
    return plain(stated) == plain(value) or (name == "space" and value in NATIVE and not stated)


def unfetched_files(
    bids_dir: Path, derivatives: Path, subjects: Iterable[str], query: RunQuery, dseg: Sequence[str] = ()
) -> list[Path]:
    """List the files of some subjects that a query needs and that are links or pointers to content elsewhere.

    Of segmentations, the first of `dseg` (values of ``desc-``) that a run has. File names are taken apart here, since
    this is asked of all subjects before anything is indexed.
    """
    found: list[Path] = []
    for subject in subjects:
        for root, wanted in ((bids_dir, ("events",)), (derivatives, ("bold", "mask", *CONFOUNDS))):
            paths = sorted((root / f"sub-{subject}").rglob("func/*"))
            found += [path for path in paths if _wanted(path, wanted, query) and is_unfetched(path)]
            if root == derivatives and dseg:
                segmented = [path for path in paths if _wanted(path, ("dseg",), query)]
                found += [path for path in _first_of(segmented, dseg) if is_unfetched(path)]
    return found


def _first_of(paths: Sequence[Path], kinds: Sequence[str]) -> list[Path]:
    """Keep of the segmentations of every run the first kind that there is."""
    of_run: dict[str, Path] = {}
    for kind in kinds:
        for path in paths:
            if f"_desc-{kind}_" in path.name:
                of_run.setdefault(str(path).replace(f"_desc-{kind}_", "_"), path)
    return list(of_run.values())


def _wanted(path: Path, suffixes: tuple[str, ...], query: RunQuery) -> bool:
    short, suffix = entities_of(path.name)
    entities = {LONG.get(name, name): value for name, value in short.items()} | {"suffix": suffix}
    file = _entity_file(path, entities)
    if file.get("suffix") not in suffixes:
        return False
    if query.task and file.get("task") not in query.task:
        return False
    sessions = {plain(label) for label in query.sessions}
    if sessions and file.get("session") and plain(file.get("session")) not in sessions:
        return False
    image = file.get("suffix") in ("bold", "mask", "dseg")
    filters = {name: value for name, value in query.filters.items() if image or LONG.get(name, name) in RUN_ENTITIES}
    if not all(passes(file, name, value) for name, value in filters.items() if image or file.get(LONG.get(name, name))):
        return False
    if not image:
        return path.suffix == ".tsv"
    versions: dict[str, Any] = {"space": query.space, "resolution": query.res, "density": query.density}
    if file.get("suffix") == "bold":
        if not path.name.endswith((*EXTENSIONS[query.kind], ".json")):
            return False
        versions["desc"] = query.desc
    if file.get("suffix") == "dseg" and not path.name.endswith(EXTENSIONS["volume"]):
        return False
    return all(value is None or _has(file, name, value) for name, value in versions.items())


def _is_table(file: EntityFile, suffixes: tuple[str, ...]) -> bool:
    return file.get("suffix") in suffixes and file.get("extension") == ".tsv"


def _selected(file: EntityFile, query: RunQuery) -> bool:
    if query.task and file.get("task") not in query.task:
        return False
    sessions = {plain(label.removeprefix("ses-")) for label in query.sessions}
    if sessions and plain(file.get("session")) not in sessions:
        return False
    return all(passes(file, name, value) for name, value in query.filters.items())


def _describe_version(file: EntityFile) -> str:
    names = ("task", "space", "res", "den", "desc")
    return " ".join(f"{name}-{file.get(name)}" for name in names if file.get(name)) or file.path.name


def _gaps(files: list[EntityFile], query: RunQuery) -> set[str]:
    """Find numbers that are skipped within a session, or between sessions that count on."""
    numbers: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if file.get("run").isdigit():
            place = (plain(file.get("task")), plain(file.get("session")))
            numbers.setdefault(place, set()).add(int(file.get("run")))
    skipped = set()
    previous: tuple[str, int] | None = None
    for task, session in sorted(numbers, key=natural_order):
        have = numbers[task, session]
        counts_on = previous is not None and previous[0] == task and min(have) > max(previous[1], 1)
        start = previous[1] + 1 if counts_on and previous is not None else min(have)
        for number in set(range(start, max(have))) - have:
            entities = {"task": task, "session": session, "run": str(number)}
            if _selected(file := EntityFile(Path(), entities), query):
                skipped.add(file.run_name)
        previous = (task, max(have))
    return skipped
