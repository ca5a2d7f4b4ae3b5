"""Commands around a run: check, schema, init, show, atlases, simulate, clean."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import DataError
from .atlases import add_atlases
from .options import add_command, labels_of
from .progress import say

if TYPE_CHECKING:
    from ..config.settings import Study
    from ..workflow.jobs import Places


def add_information(commands: Any) -> None:
    """Add the commands that need no dataset."""
    check = add_command(commands, "check", _check, "check a configuration and the files it names; images are not read")
    check.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    check.add_argument(
        "bids_dir", type=Path, nargs="?", metavar="BIDS_DIR",
        help="also look for its files and atlases (default for a CONFIG of encoding embed: its folder)",
    )  # fmt: skip
    check.add_argument("--derivatives", type=Path, metavar="PATH", help="fMRIPrep's output (default: in the dataset)")
    check.add_argument(
        "--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL", help="(default: all)"
    )
    clean = add_command(commands, "clean", _clean, "remove intermediate results, but keep scores, maps and reports")
    clean.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="folder of results")
    clean.add_argument(
        "-w", "--work-dir", "--work_dir", type=Path, metavar="WORK_DIR",
        help="where intermediate results are (default: OUTPUT_DIR/work)",
    )  # fmt: skip
    clean.add_argument("--weights", action="store_true", help="also remove weights (keep_weights)")
    schema = add_command(commands, "schema", _schema, "print a JSON schema of configurations, for editors")
    schema.add_argument(
        "--format",
        choices=("json", "markdown"),
        default="json",
        help="JSON schema, or a page of all settings (default: json)",
    )
    init = add_command(commands, "init", _init, "inspect a dataset and write a first configuration for it")
    init.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="the dataset: events, stimuli, participants")
    init.add_argument("-o", "--output", type=Path, default=Path("run.toml"), metavar="FILE", help="(default: run.toml)")
    init.add_argument("--derivatives", type=Path, metavar="PATH", help="fMRIPrep's output (default: in the dataset)")
    init.add_argument("--overwrite", action="store_true", help="replace FILE")
    show = add_command(commands, "show", _show, "describe a saved object or a folder of results")
    show.add_argument("path", type=Path, metavar="PATH", help="a folder written by this program")
    add_atlases(commands)
    simulate = add_command(commands, "simulate", _simulate, "write a BIDS dataset with known truth")
    simulate.add_argument("out", type=Path, metavar="OUT", help="folder of the new dataset")
    simulate.add_argument(
        "--preset", choices=("tiny", "demo", "study"), default="demo", help="size of the study (default: demo)"
    )
    simulate.add_argument(
        "--format",
        choices=("bids", "bdata"),
        default="bids",
        help="BIDS with fMRIPrep-like output, or block means in HDF5 files of both releases (default: bids)",
    )
    simulate.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    simulate.add_argument(
        "--clips", action=argparse.BooleanOptionalAction, default=None,
        help="write videos and captions, and learn two feature spaces from judgments about them (default: demo only)",
    )  # fmt: skip


def _schema(options: argparse.Namespace) -> int:
    from ..config.schema import json_schema, settings_page

    print(settings_page() if options.format == "markdown" else json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _dataset(options: argparse.Namespace, study: "Study") -> list[str]:
    """Check a dataset and describe what was found."""
    from ..workflow.checks import check_dataset, listed
    from ..workflow.jobs import subjects_of

    places = _places(options, options.bids_dir)
    subjects = subjects_of(places, labels_of(options.participant_label, "sub-"), study.load)
    found = check_dataset(study, places, subjects)
    if found.failed:
        raise DataError(listed(list(found.failed.values())))
    runs = ", ".join(f"sub-{subject} {n}" for subject, n in found.runs.items())
    regions = ", ".join(f"{name} {n} regions" for name, n in found.atlases.items())
    return [
        *(f"  note            {note}" for note in found.notes),
        f"  files           {runs}",
        f"  regions         {regions or 'known once the data are read'}",
        *_needs(study, places, subjects),
    ]


def _places(options: argparse.Namespace, base: Path) -> "Places":
    """Return the folders that results go to by default."""
    from ..workflow.jobs import Places

    if not base.is_dir():
        raise DataError(f"BIDS_DIR {base} is not a folder.")
    output = base / "derivatives" / "brain-encoding"
    return Places(base, output, output / "work", options.derivatives)


def _learned(options: argparse.Namespace, study: "Study") -> int:
    """Check a configuration that has all that `encoding embed` needs and no more."""
    from ..workflow.checks import check_features

    base = options.bids_dir or options.config.parent
    notes = check_features(study, _places(options, base))
    print(f"{options.config}: good for encoding embed")
    print(f"  feature spaces  {', '.join(feature.name for feature in study.features)}")
    print(f"  files           in {base}")
    for note in notes:
        print(f"  note            {note}")
    print("  not checked     responses, models and maps: encoding run also needs [load], and [[fit]] or [[rsa]]")
    return 0


def _needs(study: "Study", places: "Places", subjects: list[str]) -> list[str]:
    """Describe the disk space and the memory that a run takes."""
    from ..workflow.checks import expected_footprint
    from ..workflow.disk import PROGRAM_BYTES, free_space, size_of
    from ..workflow.jobs import Job

    budget = study.compute.compute("cpu").memory_bytes
    memory = f"{size_of(budget)} ([compute] memory) and about {size_of(PROGRAM_BYTES)} of the program itself"
    found = expected_footprint(Job(study, places, subjects[0]))
    disk = "known once the data are read"
    if found is not None:
        total = len(subjects) * (found.work + found.results + found.weights)
        free = size_of(free_space(places.work_dir))
        disk = f"sub-{subjects[0]} {found}; {len(subjects)} participants like it {size_of(total)} ({free} free here)"
    return [f"  disk            {disk}", f"  memory          at most {memory}, for each of --n-jobs"]


def _check(options: argparse.Namespace) -> int:
    from ..comparison.settings import UNITS
    from ..config.settings import kind_of, read_config

    study = read_config(options.config, only_features=None)
    if not (study.models or study.rsa):
        return _learned(options, study)
    found = _dataset(options, study) if options.bids_dir else []
    print(f"{options.config}: good")
    print(f"  feature spaces  {', '.join(feature.name for feature in study.features)}")
    print(f"  load            {study.load.kind}, one row per {study.load.per}")
    print(f"  split           {study.split.kind}, outer {study.split.n_outer}, inner {study.split.n_inner}")
    for model in study.models:
        print(
            f"  model           {model.name}: {kind_of(model)} on {', '.join(model.bands)}, {len(model.alphas)} alphas"
        )
    for rsa in study.rsa:
        kinds = ", ".join(f"{name} ({kind})" for name, kind in rsa.resolve([f.name for f in study.features]))
        size = f"{rsa.radius_mm:g} mm" if rsa.radius_mm else f"{rsa.edge_voxels} voxels" if rsa.edge_voxels else ""
        brain = f"crossnobis (noise {rsa.noise or UNITS})" if rsa.brain == "crossnobis" else rsa.brain
        print(
            f"  rsa             {rsa.name}: {kinds}; brain {brain}, {rsa.comparison}, "
            f"{' '.join(filter(None, (rsa.regions, size)))}, same run {'in' if rsa.same_run else 'out'}"
        )
    print(f"  compare         {', '.join(f'{a} with {b}' for a, b in study.pairs) or 'nothing, there is one model'}")
    print(f"  atlases         {', '.join(study.maps.atlases)}")
    for line in found:
        print(line)
    if study.recipe is not None:
        print(f"  recipe          {study.recipe.name}: {study.recipe.title}")
        print("\nleft open by the paper:")
        for point in study.recipe.open:
            print(f"  - {point}")
        print(
            f"\nall settings; lines that end with # {study.recipe.name} come from the recipe, defaults are not shown:\n"
        )
        print(study.expanded)
    return 0


def _clean(options: argparse.Namespace) -> int:
    from ..workflow.disk import clean, size_of, weight_bytes

    freed = clean(options.output_dir, options.work_dir, weights=options.weights)
    what = "intermediate results and weights" if options.weights else "intermediate results"
    print(f"{options.output_dir}: {size_of(freed)} of {what} removed")
    if kept := weight_bytes(options.output_dir):
        print(f"{options.output_dir}: {size_of(kept)} of weights (keep_weights) stay; --weights removes them too")
    return 0


def _init(options: argparse.Namespace) -> int:
    from ..config import parse_config
    from ..io.atomic import atomic_file
    from ..workflow.new_config import propose_config

    output: Path = options.output
    if output.exists() and not options.overwrite:
        raise DataError(f"{output} exists. Choose another file with -o, or --overwrite it.")
    if not options.bids_dir.is_dir():
        raise DataError(f"BIDS_DIR {options.bids_dir} is not a folder.")
    proposal = propose_config(options.bids_dir, options.derivatives)
    for line in proposal.found:
        print(f"found   {line}")
    for line in proposal.missing:
        print(f"needed  {line}")
    if proposal.missing:
        raise DataError(f"{options.bids_dir}: no configuration was written; see what is needed above.")
    parse_config(proposal.text)
    with atomic_file(output) as temporary:
        temporary.write_text(proposal.text, encoding="utf-8")
    extra = f" --derivatives {options.derivatives}" if options.derivatives else ""
    print(f"\n{output} is written. Read it, then:")
    print(f"  encoding run {options.bids_dir} OUTPUT_DIR participant --config {output}{extra}")
    print(f"  encoding run {options.bids_dir} OUTPUT_DIR group --config {output}{extra}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from ..io.store import DESCRIPTION, describe, load

    path: Path = options.path
    if (path / DESCRIPTION).is_file():
        print(load(path))
        found = describe(path)["provenance"]
        if found is not None:
            content = {
                "step": found.step,
                "key": found.key,
                "seed": found.seed,
                "config": found.config,
                "inputs": found.inputs,
                "versions": found.versions,
            }
            print(json.dumps(content, indent=2, default=str))
        return 0
    objects = sorted(file.parent for file in path.rglob(DESCRIPTION)) if path.is_dir() else []
    if not objects:
        raise DataError(f"{path}: there is no object that this program saved.")
    for folder in objects:
        print(f"{folder.relative_to(path)}: {load(folder)}")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    if options.format == "bdata":
        from ..workflow.simulated_bdata import simulate_bdata

        print(simulate_bdata(options.out, preset=options.preset, seed=options.seed, progress=say))
        return 0
    from ..simulate import simulate

    print(simulate(options.out, preset=options.preset, seed=options.seed, clips=options.clips, progress=say))
    return 0
