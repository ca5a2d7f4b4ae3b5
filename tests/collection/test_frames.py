"""From clips to frames to a server that looks at what it gets: a wrong frame, order or encoding changes the answer."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from test_runner import Serving

from encoding.collection import Design, OpenAI, Source, choose, collect, export, exported, make_plan, of_frames
from encoding.collection.frames import Framing, contact_sheet, take_frames
from encoding.collection.stimuli import Stimuli, read_shown
from encoding.core import DataError, StimulusSet
from encoding.io.clips import inside, read_clip
from encoding.io.judgments.answers import AnswerStore

N_FRAMES = 4
# Grey of clip k in quarter q of its time: all levels differ by more than JPEG and video coding change them.
LEVELS = [[40 + 12 * k + 3 * 0 + 45 * q for q in range(N_FRAMES)] for k in range(4)]


def write_clip(path, levels, *, seconds=2.0, rate=12, size=(96, 64), codec="libx264", pattern=None):
    """A clip whose grey (or `pattern(q)`, an image) changes in equal parts of its time."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        n = round(seconds * rate)
        for i in range(n):
            part = i * len(levels) // n
            pixels = np.full((size[1], size[0], 3), levels[part], dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels if pattern is None else pattern(part), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for k, levels in enumerate(LEVELS):
        write_clip(folder / f"clip{k}.mp4", levels)
    return folder


def stimuli_of(paths):
    n = len(paths)
    names = np.array([f"clip{k}" for k in range(n)])
    return StimulusSet(names, np.array(paths), np.full(n, np.nan), np.full(n, ""), np.full(n, ""))


def test_frames_are_those_of_the_middles(clips):
    for k, levels in enumerate(LEVELS):
        clip = read_clip(clips / f"clip{k}.mp4", N_FRAMES)
        assert clip.problem == ""
        assert clip.duration == pytest.approx(2.0, abs=0.1)
        assert [frame.shape for frame in clip.frames] == [(64, 96, 3)] * N_FRAMES
        assert np.allclose([frame.mean() for frame in clip.frames], levels, atol=4)
        middles = (np.arange(N_FRAMES) + 0.5) / N_FRAMES * 2
        assert np.all(np.abs(np.array(clip.times) - middles) <= 1 / 12 + 1e-6)


def test_one_pass_finds_what_a_full_decoding_finds(clips):
    import av

    with av.open(str(clips / "clip1.mp4")) as container:
        every = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    clip = read_clip(clips / "clip1.mp4", 7)
    for k, (time, frame) in enumerate(zip(clip.times, clip.frames, strict=True)):
        wanted_time, wanted = max((pair for pair in every if pair[0] <= (k + 0.5) / 7 * 2.0), key=lambda pair: pair[0])
        assert time == pytest.approx(wanted_time)
        assert np.array_equal(frame, wanted)


@pytest.mark.parametrize(
    ("seconds", "rate", "most", "wanted"), [(2, 2.0, 50, 4), (5, 2.0, 50, 10), (5, 2.0, 6, 6), (2, 0.1, 50, 1)]
)
def test_frames_per_second_follow_the_length_of_a_clip(tmp_path, seconds, rate, most, wanted):
    levels = [20 * (k + 1) for k in range(seconds * 2)]
    path = write_clip(tmp_path / "a.mp4", levels, seconds=float(seconds))
    clip = read_clip(path, most, rate=rate)
    assert len(clip.frames) == wanted
    assert np.allclose(clip.times, (np.arange(wanted) + 0.5) / wanted * seconds, atol=1 / 12 + 1e-6)


def test_streams_without_times_are_counted(tmp_path):
    levels = [40, 80, 120, 160]
    clip = read_clip(write_clip(tmp_path / "a.h264", levels), 4)
    assert np.allclose([frame.mean() for frame in clip.frames], levels, atol=4)


def test_frames_at_a_rate_are_kept_apart_from_a_fixed_number(tmp_path, clips):
    counts = [
        len(take_frames(stimuli_of(["clip0.mp4"]), clips, tmp_path, framing).frames["clip0"])
        for framing in (Framing(8, 32), Framing(8, 32, rate=1.0), Framing(8, 32, rate=3.0))
    ]
    assert counts == [8, 2, 6]


def test_more_frames_than_there_are_repeats_some(clips):
    clip = read_clip(clips / "clip0.mp4", 60)
    assert len(clip.frames) == 60
    assert np.all(np.diff(clip.times) >= 0)


def test_broken_clips_are_told_apart_and_reported(tmp_path, clips):
    whole = (clips / "clip0.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "text.mp4").write_text("no video at all", encoding="utf-8")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_clip(tmp_path / "good.mkv", LEVELS[0], codec="mpeg4")
    rng = np.random.default_rng(0)
    noise = {"codec": "mpeg4", "pattern": lambda _: rng.integers(0, 255, (64, 96, 3)).astype(np.uint8)}
    write_clip(tmp_path / "noise.mkv", LEVELS[0], seconds=20.0, **noise)
    content = (tmp_path / "noise.mkv").read_bytes()
    (tmp_path / "short.mkv").write_bytes(content[: len(content) // 2])
    paths = ["cut.mp4", "text.mp4", "empty.mp4", "", "missing.mp4", "good.mkv", "short.mkv"]
    table = take_frames(stimuli_of(paths), tmp_path, tmp_path / "cache", Framing(N_FRAMES))
    assert set(table.frames) == {"clip5"}
    assert "cannot be decoded" in table.problems["clip0"]
    assert "cannot be decoded" in table.problems["clip1"]
    assert "cannot be decoded" in table.problems["clip2"]
    assert table.problems["clip3"] == "it has no path in the table"
    assert "there is no file 'missing.mp4'" in table.problems["clip4"]
    assert "breaks off at" in table.problems["clip6"]


def test_a_clip_without_pictures_is_reported(tmp_path):
    import av

    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert read_clip(tmp_path / "sound.wav", 3).problem == "it has no video"


@pytest.mark.parametrize("path", ["../outside.mp4", "/etc/passwd", "link.mp4", "."])
def test_paths_lead_nowhere_else(tmp_path, path):
    folder = tmp_path / "stimuli"
    folder.mkdir()
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (folder / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(DataError, match="leads out of the stimulus folder"):
        inside(folder, path)
    # Nothing is read, not even what is allowed, if one path leads elsewhere.
    with pytest.raises(DataError, match="leads out of the stimulus folder"):
        take_frames(stimuli_of(["a.mp4", path]), folder, tmp_path / "cache", Framing(2))
    assert not (tmp_path / "cache").exists()


def test_frames_are_kept_under_their_hash_and_taken_once(tmp_path, clips):
    stimuli = stimuli_of([f"clip{k}.mp4" for k in range(4)])
    first = take_frames(stimuli, clips, tmp_path, Framing(N_FRAMES, size=48))
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.jpg")}
    again = take_frames(stimuli, clips, tmp_path, Framing(N_FRAMES, size=48))
    assert again.frames == first.frames
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.jpg")} == stamps
    with Image.open(first.frames["clip0"][0][0]) as picture:
        assert picture.size == (48, 32)
    other = take_frames(stimuli, clips, tmp_path, Framing(N_FRAMES, size=64))
    assert other.frames["clip0"][0][1] != first.frames["clip0"][0][1]


def test_contact_sheet_holds_frames_in_the_order_of_time(tmp_path, clips):
    table = take_frames(stimuli_of(["clip2.mp4"] * 1), clips, tmp_path, Framing(N_FRAMES, sheet=True))
    ((path, _),) = table.frames["clip0"]
    with Image.open(path) as sheet:
        grey = np.asarray(sheet.convert("L"), dtype=float)
    assert grey.shape == (2 * 64 + 4, 2 * 96 + 4)
    corners = [grey[:64, :96], grey[:64, 100:], grey[68:, :96], grey[68:, 100:]]
    assert np.allclose([corner.mean() for corner in corners], LEVELS[2], atol=4)
    assert contact_sheet([Image.new("RGB", (10, 8))] * 5).size == (3 * 14 - 4, 2 * 12 - 4)


def look(request):
    """Answer from what the images show; anything unexpected is answered so that the test fails."""
    clips_seen, texts = [], []
    for part in request["messages"][-1]["content"]:
        if part["type"] == "text":
            texts.append(part["text"])
            clips_seen.append([])
        else:
            head, data = part["image_url"]["url"].split(",")
            assert head == "data:image/jpeg;base64"
            with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
                clips_seen[-1].append(np.asarray(picture.convert("L"), dtype=float).mean())
    seen = [levels for levels in clips_seen if levels]
    known = [min(range(4), key=lambda k: abs(LEVELS[k][0] - levels[0])) for levels in seen]
    good = len(seen) == 3 and all(np.allclose(levels, LEVELS[k], atol=4) for levels, k in zip(seen, known, strict=True))
    labels = [text.strip().splitlines()[-1] for text in texts[:3]]
    if not good or labels != ["Video A:", "Video B:", "Video C:"]:
        return {"content": "?", "logprobs": [("?", -0.01)]}
    odd = known.index(max(known))
    return {"content": "ABC"[odd], "logprobs": [(label, 0.0 if k == odd else -9.0) for k, label in enumerate("ABC")]}


@pytest.mark.parametrize("wrong", ["", "order", "frame"])
def test_server_sees_the_right_frames_in_the_right_order(tmp_path, clips, wrong):
    stimuli = stimuli_of([f"clip{k}.mp4" for k in range(4)])
    table = take_frames(stimuli, clips, tmp_path / "frames", Framing(N_FRAMES))
    frames = table.frames
    if wrong == "order":
        frames["clip1"] = frames["clip1"][::-1]
    elif wrong == "frame":
        frames["clip1"] = [*frames["clip1"][:3], frames["clip2"][3]]
    names = [f"clip{k}" for k in range(4)]
    plan = make_plan(Design(kind="full", test=0.0, order="all"), names)
    contents = of_frames(names, frames)
    shown = choose(plan, contents)
    with Serving(look) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "frames-letter", url=server.url).open(contents)
        collect(plan, shown, contents, annotator, store)
        setting = store.find_setting(annotator.identity())
        export(Source(plan, shown, contents, store, setting, "toy"), tmp_path / "out")
    judgments = exported(tmp_path / "out")
    touched = (judgments.items == 1).any(axis=1)
    expected = judgments.items.argmax(axis=1)
    if wrong:
        assert np.all(judgments.outcome[touched] == "unparsed")
        assert np.array_equal(judgments.choice[~touched], expected[~touched])
    else:
        assert len(judgments) == 24
        assert np.array_equal(judgments.choice, expected)


def test_changed_frames_are_other_questions(tmp_path, clips):
    names = ["clip0", "clip1", "clip2"]
    sizes = [
        take_frames(stimuli_of([f"clip{k}.mp4" for k in range(3)]), clips, tmp_path, Framing(2, size))
        for size in (48, 64)
    ]
    a, b = (of_frames(names, table.frames) for table in sizes)
    assert not set(a.digests) & set(b.digests)


def test_stimuli_leave_out_bad_clips_and_duplicates(tmp_path, clips):
    for k in range(4):
        (tmp_path / f"clip{k}.mp4").write_bytes((clips / f"clip{k}.mp4").read_bytes())
    (tmp_path / "bad.mp4").write_text("nothing", encoding="utf-8")
    (tmp_path / "s.tsv").write_text(
        "stimulus\tpath\tduplicate_of\n"
        "a\tclip0.mp4\tn/a\nb\tclip1.mp4\tn/a\nc\tclip2.mp4\tn/a\nd\tclip3.mp4\tn/a\ne\tclip0.mp4\ta\nf\tbad.mp4\tn/a\n",
        encoding="utf-8",
    )
    shown = read_shown(Stimuli("s.tsv", show="frames", n_frames=2, size=32), tmp_path, tmp_path / "cache")
    assert shown.stimuli.stimulus.tolist() == ["a", "b", "c", "d"]
    assert list(shown.problems) == ["f"]
    assert len(shown.contents) == 4


@pytest.mark.parametrize("media", ["data", "file"])
def test_whole_videos_are_sent_as_models_want_them(tmp_path, media):
    """The bytes of each clip reach the server, in the order of the plan, with the frames it is to look at."""
    import base64
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    import av
    from PIL import Image
    from test_runner import Serving

    from encoding.collection import Design, OpenAI, Stimuli, choose, collect, make_plan
    from encoding.collection.stimuli import read_shown
    from encoding.io.judgments.answers import AnswerStore

    rows = ["stimulus\tpath"]
    for k in range(5):
        with av.open(str(tmp_path / f"{k}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=8)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(8):
                image = Image.new("RGB", (64, 48), (min(k, 3) * 60, 90, 30))
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode())
        rows.append(f"v{k}\t{k}.mp4")
    (tmp_path / "4.mp4").write_bytes((tmp_path / "3.mp4").read_bytes())
    (tmp_path / "s.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    what = read_shown(Stimuli("s.tsv", show="videos", n_frames=2), tmp_path, tmp_path / "cache")
    assert what.contents.same() == [("v3", "v4")]
    plan = make_plan(Design(n_triplets=8), what.contents.stimuli)
    seen = []

    def answer(request):
        seen.append(request)
        return {"content": "A", "logprobs": [("A", -0.1)], "tokens_in": 900}

    with Serving(answer) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        settings = OpenAI("toy", "frames-letter", url=server.url, media=media, video_fps=2.0, video_frames=4,
                          video_sound=True, concurrency=1)  # fmt: skip
        annotator = settings.open(what.contents)
        assert collect(plan, choose(plan, what.contents), what.contents, annotator, store).outcomes["valid"] == 8
        assert store.spent(1)["tokens_in"] == 7200
    wanted = {tuple(row) for row in plan.items.tolist()}
    clips = {(tmp_path / f"{k}.mp4").read_bytes(): k for k in reversed(range(5))}
    for request in seen:
        assert request["media_io_kwargs"] == {"video": {"num_frames": 4, "fps": 2.0}}
        assert request["mm_processor_kwargs"] == {"fps": 2.0, "use_audio_in_video": True}
        urls = [part["video_url"]["url"] for part in request["messages"][-1]["content"] if part["type"] == "video_url"]
        if media == "data":
            assert all(url.startswith("data:video/mp4;base64,") for url in urls)
            data = [base64.b64decode(url.split(",", 1)[1]) for url in urls]
        else:
            data = [Path(unquote(urlsplit(url).path)).read_bytes() for url in urls]
        found = tuple(clips[content] for content in data)
        assert any(tuple(3 if i == 4 else i for i in row) == found for row in wanted)


def test_large_requests_wait_for_room_in_memory(tmp_path, monkeypatch):
    """Of requests that take a megabyte each, no more are under way than there is room for; each is sent once."""
    from test_runner import Serving

    from encoding.collection import Design, OpenAI, choose, collect, make_plan, of_frames, openai
    from encoding.io.judgments.answers import AnswerStore

    names = [f"c{k}" for k in range(6)]
    for name in names:
        (tmp_path / f"{name}.jpg").write_bytes(name.encode() * 131_072)
    contents = of_frames(names, {name: [(tmp_path / f"{name}.jpg", name)] for name in names})
    plan = make_plan(Design(n_triplets=20), names)
    most = []
    for room in (1 << 29, 3_000_000, 1):
        monkeypatch.setattr(openai, "MOST_UNDER_WAY", room)
        with (
            Serving(lambda _: {"content": "A", "logprobs": [("A", -0.1)]}, latency=0.02) as server,
            AnswerStore(tmp_path / f"{room}.sqlite") as store,
        ):
            annotator = OpenAI("toy", "frames-letter", url=server.url, concurrency=16).open(contents)
            found = collect(plan, choose(plan, contents), contents, annotator, store)
        assert found.outcomes["valid"] == server.n_requests == 20
        most.append(server.most_under_way)
    assert most[0] > 2
    assert most[1:] == [2, 1]
