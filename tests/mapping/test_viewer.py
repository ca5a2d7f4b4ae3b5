"""The page to look at maps with: what it stores, and what a real browser shows, reads out and asks for."""

import asyncio
import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from encoding.cli import main
from encoding.core import Atlas, DataError, Grid, RoiSet, ScoreRow, Scores, Targets
from encoding.drawing.mesh import load_mesh
from encoding.drawing.scales import ColorScale
from encoding.drawing.surface import SurfaceStyle, draw_surface
from encoding.drawing.viewer import _Pack
from encoding.mapping import METRICS, read_labels, view, write_labels, write_maps, write_result
from encoding.mapping.summary import summary_of

sys.path.insert(0, str(Path(__file__).parents[1] / "collection"))
from browser import CHROMIUM, chromium

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
        "pairs": [], "device": "CPU", "settings": SETTINGS, "settings_key": "same", "config": "seed = 0\n", "versions": {},
    }  # fmt: skip
    return summary_of(facts | changes, "the test")


def atlas_of(targets):
    """Parcel 1 in front of parcel 2; the ROI "front" is the first."""
    if targets.kind == "vertex":
        sides = [load_mesh("inflated", side).coordinates[:, 1] for side in ("left", "right")]
        place = np.where(targets.structure == "CORTEX_LEFT", sides[0][targets.index], sides[1][targets.index])
    else:
        place = np.unravel_index(targets.index, targets.grid.shape)[1] - 6
    labels = np.where(place > 0, 1, 2).astype(np.int32)
    rois = (RoiSet("parts", "front", ("anterior parcel",), "the test", "approx"),)
    names = ("anterior parcel", "posterior parcel")
    return Atlas("halves", labels, targets, np.array([1, 2]), names, ("", ""), ("", ""), ("", ""), roi_sets=rois), labels


def write_participant(output, subject, targets, seed):
    """Write noise of known values, tests in which "moves" wins a part, maps and labels; return the values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.1, 0.1, size=(3, len(targets))).astype(np.float32)
    won = (targets.structure == "CORTEX_RIGHT") & (targets.index < WON) if targets.kind == "vertex" else targets.index % 2 == 0
    values[1, won] = 0.3
    rows = tuple(ScoreRow(name, "all") for name in SPACES)
    scores = {metric: Scores(metric, rows, values, targets, subject) for metric in METRICS[:1]}
    regions = pd.DataFrame(
        [{"subject": subject, "atlas": "", "level": "brain", "set": "", "region": "all targets", "hemi": "",
          "model": name, "feature": "all", "metric": "r", "value": 0.1, "n_targets": 5, "n_usable": 5} for name in SPACES]
    )  # fmt: skip
    tables = {"regions": regions, "differences": regions.head(0), "splits": pd.DataFrame({"run": ["run-01"], "outer": [0]}),
              "exclusions": pd.DataFrame(columns=["what", "n", "reason", "run"])}  # fmt: skip
    folder = output / f"sub-{subject}"
    result = write_result(folder, scores, tables, summary(subject, targets))
    tests = {"u": np.where(np.arange(3)[:, None] == 1, won * 0.25, 0.0).astype(np.float32), "winner": np.where(won, 1, -1)}
    tests |= {"p_fwe": np.where(won, 0.01, 1.0) * np.ones((3, 1)), "q": np.where(won, 0.001, 1.0) * np.ones((3, 1))}
    (folder / "inference").mkdir(exist_ok=True)
    np.savez(folder / "inference" / "targets.npz", **tests)
    facts = {"spaces": list(SPACES), "settings": {"p_level": 0.05}, "notes": {}}
    (folder / "inference" / "inference.json").write_text(json.dumps(facts))
    write_labels(folder, [(None, np.ones(len(targets))), atlas_of(targets)])
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
    figure = draw_surface(shown, ColorScale(0, 0.4, "inferno", "r", 0.12), title="a picture", style=SurfaceStyle(px_per_mm=2.5))
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
    planes = np.frombuffer(data, np.uint8, ref["n"] * ref["size"], ref["at"]).reshape(ref["size"], ref["n"]).astype(np.int64)
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
            parts = [nib.load(next(output.glob(f"sub-{one['id']}/func/*hemi-{h}*model-{SPACES[k]}_*stat-r_*.gii"))) for h in "LR"]
            file = np.concatenate([part.darrays[0].data for part in parts])
            assert np.isnan(shown[:100]).all()
            np.testing.assert_allclose(shown, file, atol=6e-4)
    halves = scene["geometries"][0]["halves"]
    for half, side in zip(halves, ("left", "right"), strict=True):
        mesh = load_mesh("inflated", side)
        found = unpack(half["faces"], data) % 2**16
        np.testing.assert_array_equal(found.reshape(-1, 3), mesh.faces)
        np.testing.assert_allclose(unpack(half["shapes"]["inflated"], data).reshape(-1, 3), mesh.coordinates, atol=0.026)
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


def test_labels_come_back_with_the_members_of_overlaps(tmp_path):
    targets = Targets.of_columns(["a", "b", "c"])
    rois = (RoiSet("set", "one", ("x",), "", "exact"), RoiSet("set", "two", ("y",), "", "approx"))
    atlas = Atlas("own", np.array([1, 2, 9]), targets, np.array([1, 2]), ("x", "y"), ("", ""), ("", ""), ("", ""),
                  roi_sets=rois, overlaps=((9, (1, 2)),))  # fmt: skip
    write_labels(tmp_path, [(None, np.ones(3)), (atlas, atlas.labels)])
    (found,) = read_labels(tmp_path)
    assert found.numbers.tolist() == [1, 2, 9]
    assert found.regions == {1: "x", 2: "y", 9: "x + y"}
    assert found.rois == (("set", "one", "exact", (1, 9)), ("set", "two", "approx", (2, 9)))
    assert write_labels(tmp_path, [(None, np.ones(3))]) is None
    assert read_labels(tmp_path) == ()


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


def keep(name, shot):
    """Keep a screenshot where ENCODING_SCREENSHOTS says, or with the other files of the test; return its pixels."""
    pixels = base64.b64decode(shot["data"])
    folder = Path(os.environ.get("ENCODING_SCREENSHOTS", keep.folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(pixels)
    return np.asarray(Image.open(io.BytesIO(pixels)).convert("RGB")).astype(int)


async def shoot(tab, name):
    return keep(name, await tab.call("Page.captureScreenshot", format="png"))


async def start(tab, address, width=1280, height=900):
    await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    for domain in ("Runtime", "Log", "Network"):
        await tab.call(f"{domain}.enable")
    await tab.open("about:blank")
    await tab.open(address)
    await tab.until("document.body.dataset.ready === 'true' || !document.getElementById('pictures').hidden")


def assert_quiet(tab, page):
    """Nothing but the page itself was asked for, and nothing was complained about."""
    asked = [event["params"]["request"]["url"] for event in tab.events if event["method"] == "Network.requestWillBeSent"]
    strange = [url for url in asked if not url.startswith(("about:", "data:", "blob:", page.as_uri()))]
    assert strange == []
    told = [event for event in tab.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    told += [e for e in tab.events if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "assert")]
    assert told == []


async def move(tab, x, y):
    await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


async def reading(tab):
    """What stands under the cursor: place, words, values by space."""
    code = """(() => { const where = document.getElementById("where");
      return JSON.stringify([Number(where.dataset.index), where.textContent, [...document.querySelectorAll("#values li[data-space]")]
        .map((item) => [item.dataset.space, item.querySelector("b").textContent]), document.getElementById("values").textContent]); })()"""
    index, where, values, text = json.loads(await tab.run(code))
    return index, where, {name: float(value.replace("\N{MINUS SIGN}", "-")) for name, value in values}, text


async def choose(tab, name, value):
    await tab.run(f"(() => {{ const one = document.getElementById('{name}'); one.value = '{value}'; one.dispatchEvent(new Event('change')); }})()")


def vertex_values(values, index):
    """Values of all spaces at a vertex of both halves; the targets leave the first hundred of each half out."""
    half, vertex = divmod(index, 10242)
    return values[:, half * 10142 + vertex - 100]


@browsing
def test_a_browser_shows_reads_and_switches_what_the_files_hold(study, tmp_path):
    _, _, values, page = study
    keep.folder = tmp_path

    async def session():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, page.as_uri())
            x, y, width, height = await tab.run("(() => { const b = document.getElementById('surface').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()")
            spots = [(x + part * width, y + row * height) for part in (0.35, 0.65) for row in (0.2, 0.3, 0.75)]
            mean = np.mean([values[subject] for subject in SUBJECTS], axis=0)
            first = await shoot(tab, "viewer-mean")
            seen = set()
            for number, subject in enumerate(["mean", "01", "04"]):
                await choose(tab, "subject", {"mean": 0, "01": 1, "04": 4}[subject])
                truth = mean if subject == "mean" else values[subject]
                for spot in spots:
                    await move(tab, *spot)
                    index, where, found, _ = await reading(tab)
                    seen.add(index)
                    np.testing.assert_allclose(list(found.values()), vertex_values(truth, index), atol=1e-3)
                    assert where.startswith(f"{'right' if index >= 10242 else 'left'} vertex {index % 10242} ")
                    assert ("front (approx)" in where) == ("anterior parcel" in where)
                assert number < 3
            assert len(seen) == 6
            one = await shoot(tab, "viewer-one")
            assert (one != first).any(axis=2).mean() > 0.05
            # The slider, by keyboard: more is faded, the text and the address say so, and the note says what it is.
            await tab.run("document.getElementById('threshold').focus()")
            before = await tab.run("document.getElementById('threshold-text').textContent")
            assert before == "0.120"
            for _ in range(40):
                await tab.call("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
            after = float(await tab.run("document.getElementById('threshold-text').textContent"))
            assert after > 0.15
            assert f"threshold={after:g}" in await tab.run("location.hash")
            assert "your choice, not a test" in await tab.run("document.getElementById('note').textContent")
            faded = await shoot(tab, "viewer-threshold")
            colourful = [(np.ptp(shot[300:760], axis=2) > 60).mean() for shot in (one, faded)]
            assert colourful[1] < 0.7 * colourful[0]
            # Which is ahead: "moves" wins low-numbered vertices of the right half, and nothing else.
            await tab.run("document.querySelector('[value=best]').click()")
            best = await shoot(tab, "viewer-ahead")
            orange = (abs(best - np.array([0xD5, 0x5E, 0x00])).max(axis=2) < 12)
            assert orange[300:760, 640:].mean() > 0.02
            assert orange[300:760, :600].mean() < 1e-3
            await tab.run("location.hash = '#subject=04&mode=best&at=R4000'")
            await tab.until("document.getElementById('where').textContent.includes('4000')")
            _, _, _, text = await reading(tab)
            assert "ahead by the tests: moves, lead 0.250 in U" in text
            await tab.run("location.hash = '#subject=04&mode=best&at=L4000'")
            await tab.until("document.getElementById('where').textContent.includes('left vertex 4000')")
            assert "no space can be named here" in (await reading(tab))[3]
            # Two spaces, flat, as a link.
            await start(tab, f"{page.as_uri()}#subject=02&mode=two&space=tones&second=moves&view=flat&threshold=0.2")
            said = await tab.run("[...'subject space second view threshold'.split(' ')].map((id) => document.getElementById(id).value).join(' ')")
            assert said == "2 2 1 flat 0.2"
            flat = await shoot(tab, "viewer-two-flat")
            assert (abs(flat - np.array([0xD5, 0x5E, 0x00])).max(axis=2) < 90)[300:760].mean() > 0.003
            # Keys: next participant, mode, outlines; a cursor moved by arrows reads out too.
            for key, code in (("n", "document.getElementById('subject').value === '3'"), ("m", "document.querySelector('[value=best]').checked"),
                              ("o", "!document.getElementById('outlines').checked"), ("r", "document.getElementById('subject').value === '0'")):  # fmt: skip
                await tab.run("document.activeElement.blur()")
                await tab.press(key)
                await tab.until(code)
            await tab.run("document.getElementById('surface').focus()")
            for key in ("ArrowRight", "ArrowDown"):
                await tab.call("Input.dispatchKeyEvent", type="rawKeyDown", key=key, code=key)
            index, _, found, _ = await reading(tab)
            np.testing.assert_allclose(list(found.values()), vertex_values(mean, index), atol=1e-3)
            assert_quiet(tab, page)
            await assert_accessible(tab, tmp_path)
            await start(tab, page.as_uri(), 390, 844)
            await shoot(tab, "viewer-phone")
            assert await tab.run("document.documentElement.scrollWidth") <= 390
            # Without WebGL, pictures.
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source="HTMLCanvasElement.prototype.getContext = () => null")
            await start(tab, page.as_uri())
            assert await tab.run("document.querySelectorAll('#pictures img').length") == 12
            assert "no WebGL" in await tab.run("document.getElementById('why').textContent")
            await tab.until("[...document.querySelectorAll('#pictures img')].every((image) => image.naturalWidth === 600)")
            await shoot(tab, "viewer-pictures")

    asyncio.run(session())


@browsing
def test_slices_are_linked_and_read_what_the_file_holds(tmp_path):
    """A volume with a tilted-free affine that runs from right to left, so that turning it round matters."""
    keep.folder = tmp_path
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
                box = await tab.run(f"(() => {{ const b = document.getElementById('{name}').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()")
                for across, down in ((0.4, 0.4), (0.72, 0.35)):
                    await move(tab, box[0] + across * box[2], box[1] + down * box[3])
                    index, where, found, _ = await reading(tab)
                    mm = [float(word) for word in re.findall(r"-?\d+\.\d", where.split(" mm")[0])]
                    voxel = np.round(np.linalg.inv(file.affine) @ [*mm, 1])[:3].astype(int)
                    assert found["tones"] == pytest.approx(file.get_fdata()[tuple(voxel)], abs=1e-3)
                    assert list(found.values()) == pytest.approx(values[:, index], abs=1e-3)
                    assert ("front" in where) == (voxel[1] - 6 > 0)
                    if name == "axial":  # right is right, front is up
                        assert (mm[0] > 15) == (across > 0.5)
            x, y = await tab.centre("#sagittal")
            before = await tab.run("document.getElementById('axial-label').textContent")
            for kind in ("mousePressed", "mouseReleased"):
                await tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y - 40, button="left", clickCount=1)
            await tab.until(f"document.getElementById('axial-label').textContent !== {json.dumps(before)}")
            await shoot(tab, "viewer-slices")
            assert_quiet(tab, page)
            await assert_accessible(tab, tmp_path)

    asyncio.run(session())


async def assert_accessible(tab, folder):
    """No finding of axe-core where npm has it; else our own check of names, roles and contrast."""
    script = axe(folder)
    if script:
        await tab.run(script)
        found = await tab.run("axe.run().then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join(' ')))")
        assert found == []
        return
    unnamed = await tab.run("""[...document.querySelectorAll("canvas, input, select, img, a")].filter((one) =>
        !(one.getAttribute("aria-label") || one.getAttribute("alt") || one.textContent.trim() || one.closest("label")?.textContent.trim()))
        .map((one) => one.outerHTML)""")
    assert unnamed == []
    contrast = await tab.run("""(() => {
      const light = (text) => { const c = text.match(/[\\d.]+/g).map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
      const ground = (one) => { for (; one; one = one.parentElement) { const c = getComputedStyle(one).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
      return [...document.querySelectorAll("p, li, label, h1, span, legend, figcaption")].filter((one) => one.offsetParent && one.textContent.trim())
        .map((one) => [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a)).map(([a, b]) => (a + 0.05) / (b + 0.05)).filter((c) => c < 4.5);
    })()""")
    assert contrast == []
    assert await tab.run("document.documentElement.lang") == "en"


def axe(folder):
    """The script of axe-core, from ENCODING_AXE or npm; "" where neither has it."""
    if "ENCODING_AXE" in os.environ:
        return Path(os.environ["ENCODING_AXE"]).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        return ""
    try:
        subprocess.run([npm, "pack", "axe-core@4.14.1"], cwd=folder, capture_output=True, timeout=30, check=True)
        subprocess.run(["tar", "xzf", "axe-core-4.14.1.tgz", "package/axe.min.js"], cwd=folder, check=True, timeout=30)
    except (subprocess.SubprocessError, OSError):
        return ""
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")
