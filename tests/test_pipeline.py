"""The stages in a row: planted signal comes back, work is reused, and an interruption leaves nothing half-written."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import write_config, write_study

from encoding.config import read_config
from encoding.core import DataError
from encoding.io.bids import index as bids_index
from encoding.io.store import DESCRIPTION, load
from encoding.mapping import finished_result, read_result
from encoding.pipeline import Job, Places, finished_subjects, run_compare, run_group, run_participant, subjects_of

TABLES = ("regions.tsv", "differences.tsv", "exclusions.tsv", "splits.tsv")


def job_of(study, *changes, subject="01", out="out", **fields):
    """Job on a small study, with its configuration and results beside it."""
    top = study.root.parent
    places = Places(study.root, top / out, top / out / "work")
    return Job(read_config(write_config(top, *changes)), places, subject, "cpu", **fields)


def silent(step, share):
    """Progress that nobody looks at."""


def times_of(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def contents_of(folder):
    return {name: (folder / name).read_bytes() for name in TABLES} | {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob("scores/*/values.npy"))
    }


def assert_whole(folder):
    """Nothing temporary is left, and everything under a final name can be read."""
    assert not [path for path in folder.rglob("*") if path.name.startswith((".tmp", ".old"))]
    for path in folder.rglob(DESCRIPTION):
        load(path.parent)
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    for path in folder.rglob("*.tsv"):
        assert len(pd.read_csv(path, sep="\t").columns) >= 3
    if (folder / "sub-01" / "facts.json").exists():
        read_result(folder / "sub-01")
    for page in folder.rglob("*.html"):
        assert page.read_text().rstrip().endswith("</html>")


# Known truth


@pytest.mark.parametrize(
    ("kind", "n_targets", "planted"),
    # Sixty of 120 columns are planted in voxels and vertices, of which 20 voxels and no vertex lie outside.
    [("volume", 100, 40), ("surface", 62, 60), ("cifti", 30, 30)],
)
def test_planted_signal_comes_back_in_every_format(tmp_path, kind, n_targets, planted):
    study = write_study(tmp_path / "bids", kinds=(kind,))
    changes = ('kind = "volume"', f'kind = "{kind}"'), ("dpi = 50", "atlases = []")
    result = run_compare(job_of(study, *changes))
    r = result.scores["r"]
    assert r.values.shape[1] == n_targets
    assert r.row("abc")[:planted].mean() > 0.3
    assert abs(r.row("abc")[planted:].sum()) <= 0.05 * (n_targets - planted)
    # One of the three planted features knows less than all of them, and nothing that they do not know.
    assert r.row("first")[:planted].mean() < r.row("abc")[:planted].mean() - 0.05
    assert abs(np.median((r.row("joint") - r.row("abc"))[:planted])) < 0.02
    row = result.regions.query("model == 'abc' and metric == 'r'").iloc[0]
    assert (row["region"], row["n_targets"]) == ("all targets", n_targets)
    assert row["value"] == pytest.approx(r.row("abc").mean(), abs=1e-5)


def test_the_seed_and_nothing_else_decides(study):
    # The first three candidates of the joint model are the same for every seed.
    more = ("n_iter = 3", "n_iter = 8")
    first = run_compare(job_of(study, more, out="a"))
    again = run_compare(job_of(study, more, out="b"))
    assert contents_of(first.folder) == contents_of(again.folder)
    other = run_compare(job_of(study, more, ("seed = 0", "seed = 1"), out="c"))
    np.testing.assert_array_equal(other.scores["r"].row("abc"), first.scores["r"].row("abc"))
    assert (other.scores["r"].row("joint") != first.scores["r"].row("joint")).any()


def test_a_dataset_is_scanned_once_per_run(study, monkeypatch):
    scanned = []
    scan = bids_index._index
    monkeypatch.setattr(bids_index, "_index", lambda root, *rest: scanned.append(root) or scan(root, *rest))
    job = job_of(study, ("dpi = 50", "atlases = []"))
    for _ in range(2):  # the second time everything is there
        run_compare(job)
        assert sorted(scanned) == sorted({study.root, study.derivatives})
        scanned.clear()


def test_what_was_left_out_is_listed(study):
    table = study.root / "stimuli" / "feature-abc.tsv"
    features = pd.read_csv(table, sep="\t").assign(c=0)
    pd.concat([features, features.iloc[:1].assign(stim_id="unseen")]).to_csv(table, sep="\t", index=False)
    found = run_compare(job_of(study)).exclusions
    reasons = found.set_index("what")["reason"]
    assert "c@1, c@2, c@3" in reasons["features"]
    assert reasons["stimuli"].str.contains(r"never shown to sub-01 \(unseen\)").all()
    assert found.set_index("what")["n"]["features"] == 3


# What is done is not done again


def refuse(*arguments, **named):
    raise AssertionError("this was done already")


def test_a_second_run_does_nothing_again(study, monkeypatch):
    job = job_of(study)
    run_participant(job)
    before = times_of(job.places.output_dir)
    assert len(before) > 60
    assert_whole(job.places.output_dir)
    for name in (
        "fitting.crossval.ChunkFit.run",
        "loading.responses.read_run",
        "workflow.scores.evaluate",
        "pipeline.write_maps",
        "pipeline.write_report",
    ):
        monkeypatch.setattr(f"encoding.{name}", refuse)
    run_participant(job)
    assert times_of(job.places.output_dir) == before


def test_only_what_a_change_touches_is_done_again(study):
    job = job_of(study)
    run_compare(job)
    before = times_of(job.work)
    changed = job_of(study, ("alphas = [1, 10]\nn_iter", "alphas = [1, 100]\nn_iter"))
    run_compare(changed)
    new = {path.parent.name for path, time in times_of(job.work).items() if before.get(path) != time}
    assert new == {"model-joint"}
    before = times_of(job.work)
    path = study.find("*run-2_events.tsv", raw=True)
    path.write_text(path.read_text().replace("\n6.0\t8.0", "\n7.0\t8.0"))
    result = run_compare(changed)
    new = {path.parent.name for path, time in times_of(job.work).items() if before.get(path) != time}
    assert new == {"responses", "model-abc", "model-first", "model-joint", "inference"}
    assert result.summary.models["joint"].alphas == (1, 100)


def test_the_same_numbers_come_out_where_work_was_lost(study):
    job = job_of(study)
    before = contents_of(run_compare(job).folder)
    shutil.rmtree(job.work)
    (job.folder / "facts.json").unlink()
    assert contents_of(run_compare(job).folder) == before


# Nothing half-written


@pytest.mark.parametrize(
    ("step", "share"),
    [("load", 0.6), ("fit", 0.3), ("fit", 1.0), ("report", 0.5)],
)
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(study, step, share):
    def interrupt(now, done):
        if now == step and done >= share:
            raise KeyboardInterrupt

    job = job_of(study, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_participant(job)
    assert_whole(job.places.output_dir)
    # Finished chunks of a fit are taken over into its result.
    done = {path: time for path, time in times_of(job.work).items() if not path.parent.name.startswith(".partial-")}
    assert (job.folder / "facts.json").exists() == (step == "report")
    assert not list(job.places.output_dir.glob("*.html"))
    assert finished_subjects_or_none(job.places) == (["01"] if step == "report" else [])
    run_compare(dataclasses.replace(job, progress=silent))
    assert {path: time for path, time in times_of(job.work).items() if path in done} == done


def finished_subjects_or_none(places):
    try:
        return finished_subjects(places, ())
    except DataError:
        return []


class Disk:
    """Lets some files and folders take their final name, and then is full."""

    def __init__(self, monkeypatch):
        self.left = 0
        for name in ("replace", "rename"):
            monkeypatch.setattr(Path, name, self.limited(getattr(Path, name)))

    def limited(self, move):
        def wrapped(path, target):
            if self.left == 0:
                raise OSError("no space left on device")
            self.left -= 1
            return move(path, target)

        return wrapped


def test_a_full_disk_at_any_moment_leaves_nothing_half_written(study, monkeypatch):
    expected = contents_of(run_compare(job_of(study, out="whole")).folder)
    job = job_of(study)
    with monkeypatch.context() as patched:
        disk = Disk(patched)
        # Responses and three models are done once each; background, scores and tables are written again every time.
        for step in (0, 1, 1, 1, 1, 4, 8):
            disk.left = step
            with pytest.raises(OSError, match="no space left"):
                run_compare(job)
            assert disk.left == 0
            assert_whole(job.places.output_dir)
            assert not (job.folder / "facts.json").exists()
    assert contents_of(run_compare(job).folder) == expected


# Group


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two participants, compared but without maps; their dataset is gone."""
    study = write_study(tmp_path_factory.mktemp("pair") / "bids", subjects=("01", "02"))
    jobs = [job_of(study, subject=subject) for subject in ("01", "02")]
    for job in jobs:
        run_compare(job)
    shutil.rmtree(study.root)
    shutil.rmtree(jobs[0].places.work_dir)
    return jobs


def test_group_reads_only_what_participants_wrote(pair):
    places = pair[0].places
    page = run_group(pair[0].study, places, ["01", "02"], silent)
    assert page == places.output_dir / "report.html"
    assert_whole(places.output_dir)
    table = pd.read_csv(places.output_dir / "group" / "regions.tsv", sep="\t", dtype={"subject": str})
    one, two = (
        pd.read_csv(places.output_dir / f"sub-{name}" / "regions.tsv", sep="\t", dtype={"subject": str})
        for name in ("01", "02")
    )
    pd.testing.assert_frame_equal(table, pd.concat([one, two], ignore_index=True))
    summary = pd.read_csv(places.output_dir / "group" / "regions_summary.tsv", sep="\t")
    row = summary.query("model == 'joint' and metric == 'r2' and feature == 'all'").iloc[0]
    values = table.query("model == 'joint' and metric == 'r2' and feature == 'all'")["value"]
    assert row["n_subjects"] == 2
    assert row["mean"] == pytest.approx(values.mean(), rel=1e-4)
    won = pd.read_csv(places.output_dir / "group" / "winners.tsv", sep="\t")
    assert won[["highest", "n_highest"]].to_numpy().tolist() == [["abc", 2]]
    assert won["best"].isna().all()  # three runs allow no test of the spaces themselves


def test_group_refuses_participants_made_before_a_table_was_changed(study):
    job = job_of(study)
    run_participant(job)
    (table,) = (study.root / source.file for source in job.study.features if source.name == "abc")
    before = table.read_text()
    lines = before.splitlines()
    cells = lines[1].split("\t")
    cells[-1] = str(float(cells[-1]) + 1)
    table.write_text("\n".join([lines[0], "\t".join(cells), *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="sub-01 was made before the table of feature space 'abc' was changed"):
        run_group(job.study, job.places, ["01"], silent)
    assert not (job.places.output_dir / "report.html").exists()
    table.write_text(before.replace("\n", "\r\n"))  # the same numbers
    run_group(job.study, job.places, ["01"], silent)
    table.unlink()  # where only results are
    run_group(job.study, job.places, ["01"], silent, again=True)


def test_group_refuses_participants_that_differ(pair, tmp_path):
    out = tmp_path / "out"
    for name in ("01", "02"):
        shutil.copytree(pair[0].folder.parent / f"sub-{name}", out / f"sub-{name}")
    facts = json.loads((out / "sub-02" / "facts.json").read_text())
    (out / "sub-02" / "facts.json").write_text(json.dumps(facts | {"settings_key": "another"}))
    places = Places(tmp_path, out, out / "work")
    with pytest.raises(DataError, match="sub-02 was analysed with other settings than sub-01"):
        run_group(pair[0].study, places, ["01", "02"], silent)
    assert not (out / "report.html").exists()
    assert not (out / "group").exists()
    (out / "sub-02" / "facts.json").write_text(json.dumps({k: v for k, v in facts.items() if k != "format"}))
    with pytest.raises(DataError, match=r"facts\.json: format 1, but this version reads formats 2 to 3\. Run"):
        run_group(pair[0].study, places, ["01", "02"], silent)
    assert finished_result(out / "sub-02", facts["key"]) is None
    (out / "sub-02" / "facts.json").unlink()
    with pytest.raises(DataError, match=r"sub-02: no finished participant here \(facts\.json is missing\)"):
        run_group(pair[0].study, places, ["01", "02"], silent)


def test_subjects_are_found_and_missing_ones_named(pair, tmp_path):
    places = pair[0].places
    assert finished_subjects(places, ()) == ["01", "02"]
    assert finished_subjects(places, ["02"]) == ["02"]
    with pytest.raises(DataError, match=r"there is no sub-03\. .*01, 02"):
        finished_subjects(places, ["03"])
    with pytest.raises(DataError, match="no subject was found"):
        subjects_of(Places(tmp_path, tmp_path / "out", tmp_path / "work"), ())
