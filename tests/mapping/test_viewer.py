"""The page to look at maps with: what it stores, and what a real browser shows, reads out and asks for."""

import asyncio
import base64
import html
import json
import re
import shutil
import zlib

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, assert_accessible, assert_quiet, box_of, chromium, shoot, start

from encoding.cli import main
from encoding.core import DataError, Grid, ScoreRow, Scores, Targets
from encoding.drawing.mesh import load_mesh
from encoding.drawing.scales import ColorScale
from encoding.drawing.surface import SurfaceStyle, draw_surface
from encoding.drawing.viewer import _Pack
from encoding.mapping import METRICS, Region, view, write_maps, write_parcels, write_result
from encoding.mapping.summary import summary_of

browsing = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt install chromium)")
SPACES = ("words", "moves", "tones")
SUBJECTS = ("01", "02", "03", "04")
WON = 6000  # vertices up to here, on the right, are won by "moves"
SETTINGS = {
    "seed": 0,
    "load": {"kind": "surface", "confounds": [], "high_pass": None, "detrend": True, "standardize": True,
             "window": None, "shift": 4.0, "scale_rows": True},
    "align": {"delays": [1], "centre": True},
    "split": {"kind": "runs", "n_inner": 5, "repeats": "drop_later", "gap": 20.0},
    "compare": {"level": 0.01},
    "maps": {"atlases": ["halves"], "roi_set": "auto", "threshold": 0.12, "dpi": 60, "as_released": False},
}  # fmt: skip


def surface_targets():
    """All vertices of fsaverage5 but the first hundred of each half."""
    index = np.tile(np.arange(100, 10242), 2)
    structure = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], 10142)
    return Targets("vertex", "fsaverage5", index, structure, n_vertices={"CORTEX_LEFT": 10242, "CORTEX_RIGHT": 10242})


def summary(subject, targets, **changes):
    solver = {"method": "statistics", "reason": "as asked"}
    model = {"alphas": [1.0, 10.0], "chosen": [0, 5], "mean_gamma": [1.0], "key": "m", "solver": solver}
    facts = {
        "key": f"key-{subject}", "subject": subject, "task": "video", "clock": "stimulus", "t_r": 2.0,
        "kind": targets.kind, "space": targets.space, "n_samples": 200, "n_targets": len(targets),
        "n_usable": len(targets), "runs": ["run-01", "run-02"], "fold_of_run": {"run-01": 0, "run-02": 1},
        "n_folds": 2, "features": dict.fromkeys(SPACES, 3), "auxiliary": [], "rsa": {}, "metric": "r",
        "models": {name: {**model, "bands": [name]} for name in SPACES}, "single": list(SPACES),
        "pairs": [], "device": "CPU", "settings": SETTINGS, "settings_key": "same", "config": "seed = 0\n",
        "versions": {},
    }  # fmt: skip
    return summary_of(facts | changes, "the test")


def parcels_of(targets):
    """One parcel in front of another; the ROI "front" is the first."""
    if targets.kind == "vertex":
        sides = [load_mesh("inflated", side).coordinates[:, 1] for side in ("left", "right")]
        place = np.where(targets.structure == "CORTEX_LEFT", sides[0][targets.index], sides[1][targets.index])
    else:
        place = np.unravel_index(targets.index, targets.grid.shape)[1] - 6
    front = place > 0
    return [
        Region("halves", "region", "", "anterior parcel", "", front),
        Region("halves", "region", "", "posterior parcel", "", ~front),
        Region("halves", "roi_set", "parts", "front", "", front),
    ]


def write_participant(output, subject, targets, seed):
    """Write noise of known values, tests in which "moves" wins a part, maps and labels; return the values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.1, 0.1, size=(3, len(targets))).astype(np.float32)
    won = (
        (targets.structure == "CORTEX_RIGHT") & (targets.index < WON)
        if targets.kind == "vertex"
        else targets.index % 2 == 0
    )
    values[1, won] = 0.3
    rows = tuple(ScoreRow(name, "all") for name in SPACES)
    scores = {metric: Scores(metric, rows, values, targets, subject) for metric in METRICS[:1]}
    regions = pd.DataFrame(
        [{"subject": subject, "atlas": "", "level": "brain", "set": "", "region": "all targets", "hemi": "",
          "model": name, "feature": "all", "metric": "r", "value": 0.1, "n_targets": 5, "n_usable": 5}
         for name in SPACES]
    )  # fmt: skip
    none = pd.DataFrame(columns=["what", "n", "reason", "run"])
    tables = {"regions": regions, "differences": regions.head(0), "exclusions": none,
              "splits": pd.DataFrame({"run": ["run-01"], "outer": [0]})}  # fmt: skip
    folder = output / f"sub-{subject}"
    result = write_result(folder, scores, tables, summary(subject, targets))
    tests = {
        "u": np.where(np.arange(3)[:, None] == 1, won * 0.25, 0.0).astype(np.float32),
        "winner": np.where(won, 1, -1),
    }
    tests |= {"p_fwe": np.where(won, 0.01, 1.0) * np.ones((3, 1)), "q": np.where(won, 0.001, 1.0) * np.ones((3, 1))}
    (folder / "inference").mkdir(exist_ok=True)
    np.savez(folder / "inference" / "targets.npz", **tests)
    facts = {
        "spaces": list(SPACES),
        "settings": {"p_level": 0.05},
        "notes": {},
        "exchanged": "runs",
        "n_permutations": 1000,
    }
    (folder / "inference" / "inference.json").write_text(json.dumps(facts))
    write_parcels(folder, parcels_of(targets))
    write_maps(folder / "func", {"sub": subject, "task": "video"}, result.scores, metric="r", pairs=())
    return values, won


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four participants and three spaces on fsaverage5; one picture stands in for all twelve."""
    output = tmp_path_factory.mktemp("surface")
    targets = surface_targets()
    values = {subject: write_participant(output, subject, targets, seed)[0] for seed, subject in enumerate(SUBJECTS)}
    shown = np.full(20484, np.nan)
    shown[100:10242], shown[10342:] = np.split(values["01"][0], 2)
    figure = draw_surface(
        shown, ColorScale(0, 0.4, "inferno", "r", 0.12), title="a picture", style=SurfaceStyle(px_per_mm=2.5)
    )
    (output / "group" / "figures").mkdir(parents=True)
    first = output / "group" / "figures" / "sub-01_model-words_stat-r.png"
    figure.savefig(first, dpi=130)
    for subject in SUBJECTS:
        for name in SPACES:
            if (subject, name) != ("01", "words"):
                shutil.copy(first, first.with_name(f"sub-{subject}_model-{name}_stat-r.png"))
    return output, targets, values, view(output)


def scene_of(page):
    """What a page stores: the description, and its unpacked bytes."""
    text = page.read_text(encoding="utf-8")
    scene = json.loads(re.search(r'id="scene">(.*?)</script>', text, re.DOTALL).group(1))
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1)
    return scene, zlib.decompress(base64.b64decode(data), -15)


def unpack(ref, data):
    """Read an array back as the page does, written independently of how it was packed."""
    planes = (
        np.frombuffer(data, np.uint8, ref["n"] * ref["size"], ref["at"]).reshape(ref["size"], ref["n"]).astype(np.int64)
    )
    whole = sum(plane << (8 * k) for k, plane in enumerate(planes))
    bits = 8 * ref["size"]
    stride = ref.get("stride", 0)
    if stride:
        for k in range(stride):
            whole[k::stride] = np.cumsum(whole[k::stride])
    whole = (whole + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    if "step" not in ref:
        return whole
    return np.where(whole == -(2 ** (bits - 1)), np.nan, whole * ref["step"])


def test_a_page_of_four_participants_and_three_spaces_is_small_and_holds_the_files_values(study):
    output, _, values, page = study
    assert page == output / "viewer.html"
    assert page.stat().st_size < 1_500_000
    scene, data = scene_of(page)
    assert [one["id"] for one in scene["subjects"]] == ["mean", *SUBJECTS]
    assert [space["name"] for space in scene["spaces"]] == list(SPACES)
    for one in scene["subjects"][1:]:
        for k in range(3):
            shown = unpack(one["maps"][k]["surface"], data)
            parts = [
                nib.load(next(output.glob(f"sub-{one['id']}/func/*hemi-{h}*model-{SPACES[k]}_*stat-r_*.gii")))
                for h in "LR"
            ]
            file = np.concatenate([part.darrays[0].data for part in parts])
            assert np.isnan(shown[:100]).all()
            np.testing.assert_allclose(shown, file, atol=6e-4)
    halves = scene["geometries"][0]["halves"]
    for half, side in zip(halves, ("left", "right"), strict=True):
        mesh = load_mesh("inflated", side)
        found = unpack(half["faces"], data) % 2**16
        np.testing.assert_array_equal(found.reshape(-1, 3), mesh.faces)
        np.testing.assert_allclose(
            unpack(half["shapes"]["inflated"], data).reshape(-1, 3), mesh.coordinates, atol=0.026
        )
        assert 18000 < np.unpackbits(np.uint8(unpack(half["flatFaces"], data) % 256)).sum() < 19000
    assert values["01"].shape == (3, 20284)


def test_integers_and_numbers_of_any_size_come_back():
    pack, rng = _Pack(), np.random.default_rng(0)
    numbers = [rng.normal(size=50) * size for size in (1e-4, 0.3, 10.0, 500.0)]
    numbers[1][7] = np.nan
    refs = [pack.numbers(part) for part in numbers]
    faces = rng.integers(0, 70000, size=(40, 3))
    ref, mask = pack.whole(faces, 4, stride=3), rng.random(21) > 0.5
    bits = pack.bits(mask)
    assert pack.numbers(numbers[2]) is refs[2]
    data = zlib.decompress(base64.b64decode(pack.text()), -15)
    for found, part in zip(refs, numbers, strict=True):
        np.testing.assert_allclose(unpack(found, data), part, atol=min(5.1e-4, 0.003 * np.nanmax(abs(part))))
    np.testing.assert_array_equal(unpack(ref, data).reshape(-1, 3), faces)
    np.testing.assert_array_equal(np.unpackbits(np.uint8(unpack(bits, data) % 256), bitorder="little")[:21], mask)


def test_the_command_writes_chosen_participants_and_names_those_that_are_missing(study, tmp_path, capsys):
    output = study[0]
    assert main(["view", str(output), "-o", str(tmp_path / "two.html"), "--participant-label", "01", "sub-03"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "two.html")
    scene, _ = scene_of(tmp_path / "two.html")
    assert [one["id"] for one in scene["subjects"]] == ["mean", "01", "03"]
    with pytest.raises(DataError, match=r"needed finished participants \['9'\].*finished are: sub-01, sub-02"):
        view(output, subjects=["9"])
    with pytest.raises(DataError, match="finished are: none"):
        view(tmp_path)


# In a browser

ORANGE = np.array([0xD5, 0x5E, 0x00])
PICTURES = "!document.getElementById('pictures').hidden"


async def reading(tab):
    """What stands under the cursor: place, words, values by space, and all text of the values."""
    where = "document.getElementById('where')"
    values = "[...document.querySelectorAll('#values li[data-space]')]"
    pairs = f"{values}.map((item) => [item.dataset.space, item.querySelector('b').textContent])"
    text = "document.getElementById('values').textContent"
    index, told, pairs, text = await tab.run(f"[Number({where}.dataset.index), {where}.textContent, {pairs}, {text}]")
    return index, told, {name: float(value.replace("\N{MINUS SIGN}", "-")) for name, value in pairs}, text


async def text_of(tab, name):
    return await tab.run(f"document.getElementById('{name}').textContent")


async def choose(tab, name, value):
    one = f"document.getElementById('{name}')"
    await tab.run(f"{one}.value = '{value}'; {one}.dispatchEvent(new Event('change'))")


async def move(tab, x, y):
    await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


async def key(tab, name, number):
    await tab.call("Input.dispatchKeyEvent", type="rawKeyDown", key=name, code=name, windowsVirtualKeyCode=number)


def vertex_values(values, index):
    """Values of all spaces at a vertex of both halves; the targets leave the first hundred of each half out."""
    half, vertex = divmod(index, 10242)
    return values[:, half * 10142 + vertex - 100]


async def hover(tab, values, mean, folder):
    """Six places in the mean and in two participants read what the files hold; pictures differ."""
    x, y, width, height = await box_of(tab, "#surface")
    spots = [(x + part * width, y + row * height) for part in (0.35, 0.65) for row in (0.2, 0.3, 0.75)]
    seen, shots = set(), []
    for number, truth in ((0, mean), (1, values["01"]), (4, values["04"])):
        await choose(tab, "subject", number)
        for spot in spots:
            await move(tab, *spot)
            index, where, found, _ = await reading(tab)
            seen.add(index)
            np.testing.assert_allclose(list(found.values()), vertex_values(truth, index), atol=1e-3)
            assert where.startswith(f"{'right' if index >= 10242 else 'left'} vertex {index % 10242} ")
            assert ("\N{MIDDLE DOT} front" in where) == ("anterior parcel" in where)
        shots.append(await shoot(tab, folder, f"viewer-{number}"))
    assert len(seen) == 6
    assert (shots[0] != shots[2]).any(axis=2).mean() > 0.05
    return shots[2]


async def slide(tab, before, folder):
    """The slider by keyboard: more is faded, text and address say so, and the note says that it is no test."""
    await tab.run("document.getElementById('threshold').focus()")
    assert await text_of(tab, "threshold-text") == "0.120"
    for _ in range(30):
        await key(tab, "ArrowRight", 39)
    after = float(await text_of(tab, "threshold-text"))
    assert after > 0.15
    assert f"threshold={after:g}" in await tab.run("location.hash")
    assert "your choice, not a test" in await text_of(tab, "note")
    faded = await shoot(tab, folder, "viewer-threshold")
    colourful = [(np.ptp(shot[300:760], axis=2) > 60).mean() for shot in (before, faded)]
    assert colourful[1] < 0.7 * colourful[0]


async def ahead(tab, folder):
    """Of all vertices, "moves" wins low-numbered ones of the right half, and nothing else is coloured."""
    await tab.run("document.querySelector('[value=best]').click()")
    orange = abs(await shoot(tab, folder, "viewer-ahead") - ORANGE).max(axis=2) < 12
    assert orange[300:760, 640:].mean() > 0.02
    assert orange[300:760, :600].mean() < 1e-3
    for vertex, told in (
        ("R4000", "ahead by the tests: moves, lead 0.250 in U"),
        ("L4000", "no space can be named here"),
    ):
        await tab.run(f"location.hash = '#subject=04&mode=best&at={vertex}'")
        side = "right" if vertex[0] == "R" else "left"
        await tab.until(f"document.getElementById('where').textContent.includes('{side} vertex 4000')")
        assert told in (await reading(tab))[3]


async def link_and_keys(tab, page, mean, folder):
    """A link gives its view; keys go through participants, modes and outlines, and move a cursor that reads out."""
    await start(tab, f"{page.as_uri()}#subject=02&mode=two&space=tones&second=moves&view=flat&threshold=0.2")
    names = "['subject', 'space', 'second', 'view', 'threshold']"
    assert await tab.run(f"{names}.map((id) => document.getElementById(id).value).join(' ')") == "2 2 1 flat 0.2"
    flat = await shoot(tab, folder, "viewer-two-flat")
    assert (abs(flat - ORANGE).max(axis=2) < 90)[300:760].mean() > 0.003
    for name, code in (
        ("n", "document.getElementById('subject').value === '3'"),
        ("m", "document.querySelector('[value=best]').checked"),
        ("o", "!document.getElementById('outlines').checked"),
        ("r", "document.getElementById('subject').value === '0'"),
    ):
        await tab.run("document.activeElement.blur()")
        await tab.press(name)
        await tab.until(code)
    await tab.run("document.getElementById('surface').focus()")
    await key(tab, "ArrowRight", 39)
    await key(tab, "ArrowDown", 40)
    index, _, found, _ = await reading(tab)
    np.testing.assert_allclose(list(found.values()), vertex_values(mean, index), atol=1e-3)


@browsing
def test_a_browser_shows_reads_and_switches_what_the_files_hold(study, tmp_path):
    _, _, values, page = study
    mean = np.mean([values[subject] for subject in SUBJECTS], axis=0)

    async def session():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, page.as_uri())
            await slide(tab, await hover(tab, values, mean, tmp_path), tmp_path)
            await ahead(tab, tmp_path)
            await link_and_keys(tab, page, mean, tmp_path)
            assert_quiet(tab, page)
            await assert_accessible(tab, tmp_path)
            await start(tab, page.as_uri(), width=390, height=844)
            await shoot(tab, tmp_path, "viewer-phone")
            assert await tab.run("document.documentElement.scrollWidth") <= 390
            around = tmp_path / "notebook.html"  # there, the page has no address that it could change
            around.write_text(f'<iframe srcdoc="{html.escape(page.read_text(encoding="utf-8"))}"></iframe>')
            await tab.open(around.as_uri())
            inside = "document.querySelector('iframe').contentDocument"
            await tab.until(f"{inside}.body?.dataset.ready === 'true'")
            assert await tab.run(f"{inside}.querySelectorAll('#pictures img').length") == 0
            none = "HTMLCanvasElement.prototype.getContext = () => null"
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=none)
            await start(tab, page.as_uri(), PICTURES)
            assert "no WebGL" in await text_of(tab, "why")
            images = "[...document.querySelectorAll('#pictures img')]"
            await tab.until(f"{images}.every((image) => image.naturalWidth === 600)")
            assert await tab.run(f"{images}.length") == 12
            await shoot(tab, tmp_path, "viewer-pictures")

    asyncio.run(session())


@browsing
def test_slices_are_linked_and_read_what_the_file_holds(tmp_path):
    """The affine runs from right to left, so that turning it round matters."""
    shape = (10, 13, 9)
    inside = np.flatnonzero(np.pad(np.ones((8, 11, 7), bool), 1))
    affine = np.array([[-3.0, 0, 0, 30], [0, 3.0, 0, -40], [0, 0, 3.5, -20], [0, 0, 0, 1]])
    targets = Targets("voxel", "T1w", inside, np.full(len(inside), ""), Grid(shape, affine))
    values, _ = write_participant(tmp_path, "07", targets, 5)
    file = nib.load(next(tmp_path.glob("sub-07/func/*model-tones*stat-r_*.nii.gz")))
    page = view(tmp_path)

    async def session():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, page.as_uri())
            for name in ("axial", "coronal", "sagittal"):
                box = await box_of(tab, f"#{name}")
                for across, down in ((0.4, 0.4), (0.72, 0.35)):
                    await move(tab, box[0] + across * box[2], box[1] + down * box[3])
                    index, where, found, _ = await reading(tab)
                    mm = [float(word) for word in re.findall(r"-?\d+\.\d", where.split(" mm")[0])]
                    voxel = np.round(np.linalg.inv(file.affine) @ [*mm, 1])[:3].astype(int)
                    assert found["tones"] == pytest.approx(file.get_fdata()[tuple(voxel)], abs=1e-3)
                    assert list(found.values()) == pytest.approx(values[:, index], abs=1e-3)
                    assert ("\N{MIDDLE DOT} front" in where) == (voxel[1] - 6 > 0)
                    assert name != "axial" or (mm[0] > 15) == (across > 0.5)  # right is right
            before = await text_of(tab, "axial-label")
            x, y, width, height = await box_of(tab, "#sagittal")
            for kind in ("mousePressed", "mouseReleased"):
                await tab.call(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    x=x + width / 2,
                    y=y + 0.2 * height,
                    button="left",
                    clickCount=1,
                )
            await tab.until(f"document.getElementById('axial-label').textContent !== {json.dumps(before)}")
            await shoot(tab, tmp_path, "viewer-slices")
            assert_quiet(tab, page)
            await assert_accessible(tab, tmp_path)

    asyncio.run(session())
