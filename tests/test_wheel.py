"""The package works from a wheel, installed where no checkout is."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command, cwd, env=None):
    result = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Source archive, and the wheel that is built from it and nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Folder with the installed package, and how to run Python with it; dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run(*pip, "--target", site, built[1], cwd=folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_", "COVERAGE"))}
    return folder, site, kept | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}


def test_source_archive_holds_what_is_needed_to_test_and_cite(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "Makefile", "pyproject.toml"}
    wanted |= {"requirements/constraints.txt", "examples/haxby.toml", "tests/test_wheel.py", "encoding/pipeline.py"}
    assert wanted <= names


def test_wheel_holds_every_file_of_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(["git", "ls-files", "encoding", "roi_atlases"], cwd=ROOT, capture_output=True, text=True)
    tracked = set(listed.stdout.split())
    if not tracked:
        pytest.skip("not a git checkout")
    assert tracked <= names
    assert {name.split("/")[0] for name in names} == {"encoding", "roi_atlases"}
    assert not [name for name in names if name.endswith((".pyc", ".nii", ".npy"))]


def test_installed_package_is_the_one_that_is_imported_and_has_its_atlases(installed):
    folder, site, env = installed
    code = (
        "import encoding, roi_atlases; from encoding.io.atlases.catalogue import available_atlases, load_atlas\n"
        "print(encoding.__file__); print(roi_atlases.__file__); print(len(available_atlases()))\n"
        "print(len(load_atlas('Schaefer2018-200').region))"
    )
    first, second, n_atlases, n_regions = run(sys.executable, "-c", code, cwd=folder, env=env).split()
    assert Path(first).is_relative_to(site)
    assert Path(second).is_relative_to(site)
    assert int(n_atlases) > 0
    assert int(n_regions) == 200
    script = site / "bin" / "encoding"
    assert run(sys.executable, script, "--version", cwd=folder, env=env).startswith("brain-encoding ")


@pytest.mark.slow
def test_installed_package_takes_a_simulated_study_to_a_report(installed):
    folder, _, env = installed
    encoding = [sys.executable, "-m", "encoding"]
    run(*encoding, "simulate", "study", "--preset", "tiny", cwd=folder, env=env)
    where = ["study", "results"]
    how = ["--config", "study/run.toml", "--participant-label", "01"]
    run(*encoding, "run", *where, "participant", *how, cwd=folder, env=env)
    printed = run(*encoding, "run", *where, "group", *how, cwd=folder, env=env)
    report = folder / "results" / "report.html"
    assert printed.strip() == str(report)
    assert report.stat().st_size > 10_000
    assert (folder / "results" / "sub-01.html").is_file()
    assert list(folder.glob("results/sub-01/func/*_stat-r_statmap.shape.gii"))
