"""The recipes of CONTRIBUTING: each adds one thing from outside, in one file, and is then used like those built in."""

import ast
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import write_config, write_study

from encoding.cli import main
from encoding.collection import ANNOTATORS
from encoding.config import parse_config, read_config
from encoding.core import ConfigError, DataError
from encoding.core.settings import SETTINGS
from encoding.embedding import SOURCES
from encoding.fitting import MODELS, RidgeCV
from encoding.fitting.solvers import METHODS, SOLVERS
from encoding.io.atlases.catalogue import available_atlases, load_atlas
from encoding.pipeline import Job, Places, run_compare

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "plugins"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = sorted(FOLDER.glob("*.py"))
REGISTRIES = {
    "encoding.sources": SOURCES,
    "encoding.annotators": ANNOTATORS,
    "encoding.models": MODELS,
    "encoding.solvers": SOLVERS,
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Add the package of examples/plugins to the path as pip would install it, and forget it afterwards."""
    info = tmp_path / "site" / "encoding_plugins-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: encoding-plugins\nVersion: 0.1.0\n")
    lines = [
        line
        for group, points in PROJECT["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(info.parent))
    before = dict(SETTINGS)
    yield
    SETTINGS.clear()
    SETTINGS.update(before)
    for path in FILES:
        sys.modules.pop(path.stem, None)


def test_every_recipe_has_a_file_and_imports_nothing_private():
    assert len(FILES) == 6
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("encoding"):
                assert not any(alias.name.startswith("_") for alias in node.names), path.name
    named = {value.partition(":")[0] for points in PROJECT["entry-points"].values() for value in points.values()}
    assert named == {path.stem for path in FILES} - {"ranked_drawing"}
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"examples/plugins/{path.name}" in contributing for path in FILES)


@pytest.mark.parametrize("group", REGISTRIES)
def test_without_the_package_there_is_nothing_of_it(group):
    assert not set(PROJECT["entry-points"][group]) & set(REGISTRIES[group])


@pytest.mark.usefixtures("installed")
def test_source_model_and_solver_in_one_run(tmp_path):
    study = write_study(tmp_path / "bids")
    powers = 'name = "abc"\nkind = "powers"\npowers = [1, 3]\nfile = "stimuli/feature-abc.tsv"'
    config = write_config(
        tmp_path,
        ('name = "abc"\nfile = "stimuli/feature-abc.tsv"', powers),
        ('kind = "ridge"\nbands = "each"\nalphas = [1, 10]', 'kind = "ridge"\nbands = "each"\nmethod = "one_by_one"'),
        ('kind = "banded_ridge"\nname = "joint"', 'kind = "equal_ridge"\nname = "joint"'),
        ("n_iter = 3\n", ""),
        ("dpi = 50", "atlases = []"),
    )
    settings = read_config(config)
    job = Job(settings, Places(study.root, tmp_path / "out", tmp_path / "work"), "01", device="cpu")
    result = run_compare(job)
    assert result.summary.features["abc"] == 2 * 3 * 3  # powers, columns, delays
    assert result.summary.models["abc"].solver.method == "one_by_one"
    assert result.summary.models["joint"].mean_gamma == (0.5, 0.5)
    assert settings.resolved()["models"][-1]["kind"] == "equal_ridge"
    assert result.scores["r"].row("abc")[:40].mean() > 0.3
    assert main(["check", str(config)]) == 0


@pytest.mark.usefixtures("installed")
def test_a_source_from_outside_is_checked_like_one_of_ours():
    table = '[[features]]\nname = "x"\nkind = "powers"\nfile = "x.tsv"\npowers = {}\n[load]\ntask = "t"\n'
    fit = '[[fit]]\nkind = "ridge"\nbands = "each"\n'
    assert parse_config(table.format("[0.5]") + fit).features[0].powers == (0.5,)
    for wrong in ("[0]", "[1, 1]", "2", '["a"]'):
        with pytest.raises(ConfigError, match=r"\[\[features\]\] 'x': powers = .* needed"):
            parse_config(table.format(wrong) + fit)
    with pytest.raises(ConfigError, match=r"kind = 'power'.*Did you mean 'powers'"):
        parse_config(table.replace('"powers"', '"power"').format("[1]") + fit)


@pytest.mark.usefixtures("installed")
def test_a_solver_from_outside_finds_what_ours_finds():
    assert "one_by_one" in METHODS
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5))
    Y = X @ rng.standard_normal((5, 3)) + rng.standard_normal((60, 3))
    fits = [RidgeCV(alphas=np.logspace(-3, 3, 7), method=method).fit(X, Y) for method in ("one_by_one", "kernel")]
    np.testing.assert_allclose(fits[0].predict(X), fits[1].predict(X), atol=1e-8)


@pytest.mark.usefixtures("installed")
def test_an_annotator_from_outside_answers(tmp_path, capsys):
    names = ["aaa", "aab", "xyz", "xyy", "kkk", "kka"]
    pd.DataFrame({"stimulus": names}).to_csv(tmp_path / "stimuli.tsv", sep="\t", index=False)
    (tmp_path / "run.toml").write_text(
        '[stimuli]\ntable = "stimuli.tsv"\nshow = "names"\n[design]\nkind = "full"\n[[annotator]]\nkind = "letters"\n'
        '[collect]\nfolder = "out"\n'
    )
    for command in ("plan", "run", "export"):
        assert main(["collect", command, "--config", str(tmp_path / "run.toml")]) == 0
    (table,) = (tmp_path / "out").rglob("judgments.parquet")
    answers = pd.read_parquet(table)
    row = answers[answers[["item_1", "item_2", "item_3"]].apply(set, axis=1) == {"aaa", "aab", "xyz"}]
    assert row["odd"].tolist() == ["xyz"]
    assert set(answers["annotator"]) == {"letters"}
    capsys.readouterr()


@pytest.mark.usefixtures("installed")
def test_an_atlas_from_outside_is_listed_and_loaded():
    (info,) = [atlas for atlas in available_atlases() if atlas.name == "Hemispheres"]
    assert (info.kind, info.space, info.n_regions) == ("plugin", "fsaverage5", 2)
    atlas = load_atlas("Hemispheres")
    assert np.bincount(atlas.labels).tolist() == [0, 10242, 10242]
    assert atlas.targets.same_as(load_atlas("Schaefer2018-100").targets)


def test_a_drawing_is_a_function_of_arrays(installed, tmp_path):
    from ranked_drawing import draw_ranked

    from encoding.drawing.figure import save_figure

    scores = np.array([0.3, np.nan, 0.1, 0.2])
    figure = draw_ranked(scores, label="Pearson r")
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), [0.1, 0.2, 0.3])
    assert figure.axes[0].get_ylim() == (0.1, 0.3)
    assert save_figure(figure, tmp_path / "ranked.png").stat().st_size > 1000
    with pytest.raises(DataError, match="none of 2 targets has a finite score"):
        draw_ranked(np.full(2, np.nan), label="r")
