"""An index of images that are not named as in BIDS, by a pattern of their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core import DataError
from ..patterns import SHORT, find_files
from .entities import LONG, EntityFile, natural_order, passes, plain, run_key, short_labels
from .runs import RunFiles, RunQuery
from .sidecars import read_json, seconds_of

LEFT = ("L", "lh", "left", "l")


@dataclass(frozen=True, slots=True)
class PatternIndex:
    """Runs by a pattern with entities in braces; a JSON file of the same name is the sidecar of an image."""

    bids_dir: Path
    pattern: str
    labels: Mapping[str, str] = field(default_factory=dict)  # entities that the names do not tell: space, res, den

    @property
    def derivatives(self) -> Path:
        """The folder itself."""
        return self.bids_dir

    def subjects(self) -> tuple[str, ...]:
        """List subject labels."""
        return pattern_subjects(self.pattern, self.bids_dir)

    def runs(self, subject: str, query: RunQuery) -> list[RunFiles]:
        """Find the files of each run."""
        files = self._files(subject, query)
        groups: dict[tuple[str, ...], list[EntityFile]] = {}
        for file in files:
            groups.setdefault(run_key(file), []).append(file)
        labels = short_labels([group[0] for group in groups.values()])
        return [self._run(labels[key], groups[key]) for key in sorted(groups, key=natural_order)]

    def missing(self, subject: str, query: RunQuery) -> tuple[str, ...]:  # noqa: ARG002
        """Name the runs that should be there but are not; names alone do not tell."""
        return ()

    def skipped(self, subject: str, query: RunQuery) -> tuple[str, ...]:  # noqa: ARG002
        """Name skipped runs; gaps between numbers are no fault here."""
        return ()

    def _files(self, subject: str, query: RunQuery) -> list[EntityFile]:
        every = []
        for values, path in find_files(self.pattern, self.bids_dir):
            entities = {LONG.get(SHORT.get(name, name), SHORT.get(name, name)): value for name, value in values.items()}
            if plain(entities.setdefault("subject", subject)) == plain(subject):
                every.append(EntityFile(path, {**self.labels, **entities, "subject": subject}))
        chosen = [file for file in every if _asked_for(file, query)]
        tasks = sorted({file.get("task") for file in chosen})
        if len(tasks) > 1 and not query.task:
            raise DataError(f"sub-{subject}: {len(tasks)} tasks ({', '.join(tasks)}). Set `task` in [load].")
        if not chosen:
            names = ", ".join(file.path.name for file in every[:3]) or "none"
            raise DataError(
                f"sub-{subject}: no image in {self.bids_dir} is named like file = {self.pattern!r} in [load] with "
                f"task = {'+'.join(query.task) or 'any'}. Of this subject there is: {names}. "
                f"Subjects: {', '.join(self.subjects()) or 'none'}."
            )
        return chosen

    def _run(self, label: str, files: Sequence[EntityFile]) -> RunFiles:
        files = sorted(files, key=lambda file: file.get("hemi") not in LEFT)
        sides = [file.get("hemi") in LEFT for file in files]
        wanted = [True, False] if files[0].get("hemi") else [False]
        if sides != wanted:
            names = ", ".join(file.path.name for file in files)
            raise DataError(
                f"{label}: {names}: {'one file of each hemisphere' if files[0].get('hemi') else 'one file'} is needed "
                f"for a run. Put more entities into the pattern `file` in [load]."
            )
        first = files[0]
        sidecar = first.path.with_name(f"{first.path.name.split('.')[0]}.json")
        metadata: dict[str, Any] = read_json(sidecar) if sidecar.is_file() else {}
        return RunFiles(
            label=label,
            entities={name: value for name, value in first.entities.items() if name != "hemi"},
            bold=tuple(file.path for file in files),
            mask=None,
            confounds=None,
            events=None,
            metadata=metadata,
            derived_t_r=seconds_of(metadata, "RepetitionTime", label),
        )


def _asked_for(file: EntityFile, query: RunQuery) -> bool:
    if query.task and file.get("task") and file.get("task") not in query.task:
        return False
    sessions = {plain(label) for label in query.sessions}
    if sessions and plain(file.get("session")) not in sessions:
        return False
    return all(passes(file, name, value) for name, value in query.filters.items())


def pattern_subjects(pattern: str, base: Path) -> tuple[str, ...]:
    """List the subjects of a pattern; one called 01 where it has no ``{subject}``."""
    found = find_files(pattern, base)
    if "{subject}" not in pattern:
        return ("01",) if found else ()
    return tuple(sorted({values["subject"] for values, _ in found}))
