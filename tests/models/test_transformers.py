"""Tiny models with random weights, written to disk here, go through the same code as large ones."""

import base64
import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from encoding.collection import (
    Design,
    Source,
    Transformers,
    choose,
    collect,
    export,
    exported,
    load_prompt,
    make_plan,
    of_captions,
    of_frames,
)
from encoding.core import ConfigError, DataError
from encoding.io.judgments.answers import AnswerStore

pytestmark = pytest.mark.models
NAMES = tuple(f"clip{i}" for i in range(5))
WORDS = (
    *("<pad>", "<s>", "<unk>", "<image>", ":", ".", ",", "a", "b", "c", "A", "B", "C"),
    *("the", "video", "odd", "one", "out", "feelings", "two", "alike", "letter", "dog", "cat", "sun", "rain"),
)
TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}\n{% endfor %}{% if add_generation_prompt %}<s>assistant:{% endif %}"
)


@pytest.fixture(autouse=True, scope="module")
def _installed():
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed; pip install 'brain-encoding[transformers]'")


def write_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: k for k, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", chat_template=TEMPLATE,
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llm")
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def judge(folder, contents, settings):
    plan = make_plan(Design(kind="full", test=0.0), NAMES)
    shown = choose(plan, contents)
    with AnswerStore(folder / "a.sqlite") as store:
        annotator = settings.open(contents, folder)
        progress = collect(plan, shown, contents, annotator, store)
        assert progress.reason == "finished", progress
        setting = store.find_setting(annotator.identity())
        export(Source(plan, shown, contents, store, setting, annotator.name), folder)
    return exported(folder)


WHAT = ("dog", "cat sun", "rain", "odd one", "a")
CAPTIONS = {name: [f"the {word} video"] for name, word in zip(NAMES, WHAT, strict=True)}
HOW = {"name": "tiny", "least_mass": 0.0, "dtype": "float32"}


def test_probabilities_are_those_of_the_model(language_model, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    contents = of_captions(NAMES, CAPTIONS)
    settings = Transformers(
        str(language_model), "captions-letter", name="tiny", batch=4, least_mass=0.0, dtype="float32"
    )
    judgments = judge(tmp_path, contents, settings)
    assert np.all(judgments.outcome == "valid")
    assert np.allclose(judgments.probabilities.sum(axis=1), 1, atol=1e-5)
    # One trial at a time, without padding, through the library alone.
    tokenizer, model = (
        AutoTokenizer.from_pretrained(language_model),
        AutoModelForCausalLM.from_pretrained(language_model),
    )

    prompt = load_prompt("captions-letter")
    pieces = prompt.turns[0].pieces
    for items, probabilities in list(zip(judgments.items, judgments.probabilities, strict=True))[:4]:
        texts = [CAPTIONS[NAMES[item]][0] for item in items]
        text = pieces[0] + "".join(a + b for a, b in zip(texts, pieces[1:], strict=True))
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": text}]
        ids = tokenizer(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
            return_tensors="pt", add_special_tokens=False,
        )["input_ids"]  # fmt: skip
        with torch.inference_mode():
            p = model(ids).logits[0, -1].double().softmax(0)
        mass = [sum(float(p[tokenizer.convert_tokens_to_ids(word)]) for word in pair) for pair in ("aA", "bB", "cC")]
        assert np.allclose(probabilities, np.array(mass) / sum(mass), atol=1e-5)


@pytest.fixture(scope="module")
def model_that_sees(tmp_path_factory):
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    folder = tmp_path_factory.mktemp("vlm")
    tokenizer = write_tokenizer(folder)
    size = {"height": 16, "width": 16}
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size)
    processor = LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default",
        chat_template=TEMPLATE, num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=16, patch_size=8, **shape),
        text_config=LlamaConfig(num_key_value_heads=2, **text, **shape),
        image_token_index=3, image_token_id=3, vision_feature_layer=-1,
    )  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_model_that_sees_gets_the_frames(model_that_sees, tmp_path):
    folder = model_that_sees
    frames = {}
    for k, name in enumerate(NAMES):
        paths = [tmp_path / f"{name}-{frame}.jpg" for frame in range(2)]
        for frame, path in enumerate(paths):
            Image.new("RGB", (16, 16), (40 * k, 100 * frame, 255 - 40 * k)).save(path)
        frames[name] = [(path, path.name) for path in paths]
    contents = of_frames(NAMES, frames)
    settings = Transformers(str(folder), "frames-letter", batch=3, **HOW)
    (tmp_path / "one").mkdir()
    judgments = judge(tmp_path / "one", contents, settings)
    assert np.all(judgments.outcome == "valid")
    # Other pictures, other probabilities: the frames do go through the model.
    for name in NAMES:
        Image.new("RGB", (16, 16), (200, 10, 90)).save(frames[name][0][0])
    (tmp_path / "two").mkdir()
    other = judge(tmp_path / "two", contents, settings)
    assert not np.allclose(judgments.probabilities, other.probabilities, atol=1e-4)


def sees(folder):
    """A chat server around the model: pictures, so many frames of clips, and probabilities of a letter."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    words = {letter: processor.tokenizer.convert_tokens_to_ids(letter) for letter in "ABCabc"}

    def judge(messages, images):
        text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = processor(text=[text], images=images, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            p = model(**inputs).logits[0, -1].double().log_softmax(0)
        return [(letter, float(p[word])) for letter, word in words.items() if letter != "a"]

    def answer(request):
        images, messages = [], []
        for message in request["messages"]:
            parts = []
            for part in (
                [{"type": "text", "text": message["content"]}]
                if isinstance(message["content"], str)
                else message["content"]
            ):
                if part["type"] == "text":
                    parts.append(part)
                    continue
                data = base64.b64decode(part[part["type"]]["url"].partition(",")[2])
                found = pictures(data, request) if part["type"] == "video_url" else [Image.open(io.BytesIO(data))]
                images += found
                parts += [{"type": "image"}] * len(found)
            messages.append({"role": message["role"], "content": parts})
        return {"content": "A", "logprobs": judge(messages, images)}

    return answer, judge


def pictures(data, request):
    """The frames of a clip that a request asks for, at equal distances, by a plain decoding."""
    import av

    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    n = request["media_io_kwargs"]["video"]["num_frames"]
    return [frames[k] for k in np.linspace(0, len(frames) - 1, n).round().astype(int)]


def write_clip(path, shade):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            image = Image.new("RGB", (64, 48), (shade, 25 * number, 255 - shade))
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())


@pytest.mark.parametrize("show", ["frames", "videos"])
def test_pictures_and_clips_reach_a_model_behind_a_server(model_that_sees, tmp_path, show):
    """Probabilities through the whole path are those of the model for the pictures themselves."""
    from test_runner import Serving

    from encoding.collection import OpenAI, Stimuli
    from encoding.collection.stimuli import read_shown

    for k, name in enumerate(NAMES):
        write_clip(tmp_path / f"{name}.mp4", 60 * k)
    (tmp_path / "s.tsv").write_text("stimulus\tpath\n" + "".join(f"{name}\t{name}.mp4\n" for name in NAMES))
    what = read_shown(Stimuli("s.tsv", show=show, n_frames=2, size=64), tmp_path, tmp_path / "cache")
    contents = what.contents
    answer, alone = sees(model_that_sees)
    video = {"video_frames": 2} if show == "videos" else {}
    with Serving(answer) as server:
        settings = OpenAI("tiny", "frames-letter", url=server.url, least_mass=0.0, **video)
        (tmp_path / "out").mkdir()
        judgments = judge(tmp_path / "out", contents, settings)
    assert np.all(judgments.outcome == "valid")
    prompt = load_prompt("frames-letter")
    turn = prompt.turns[0]
    for items, probabilities in list(zip(judgments.items, judgments.probabilities, strict=True))[:5]:
        images, parts = [], [{"type": "text", "text": turn.pieces[0]}]
        for slot, piece in zip(turn.slots, turn.pieces[1:], strict=True):
            if show == "frames":
                found = [Image.open(path) for path in contents.images[items[slot]]]
            else:
                data = (tmp_path / f"{NAMES[items[slot]]}.mp4").read_bytes()
                found = pictures(data, {"media_io_kwargs": {"video": {"num_frames": 2}}})
            images += found
            parts += [*[{"type": "image"}] * 2, {"type": "text", "text": piece}]
        parts = [part for part in parts if part["type"] == "image" or part["text"].strip()]
        messages = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]},
                    {"role": "user", "content": parts}]  # fmt: skip
        mass = dict.fromkeys("ABC", 0.0)
        for letter, value in alone(messages, images):
            mass[letter.upper()] += np.exp(value)
        wanted = np.array(list(mass.values()))
        assert np.allclose(probabilities, wanted / wanted.sum(), atol=1e-4)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_probabilities(language_model, tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    contents = of_captions(NAMES, CAPTIONS)
    found = []
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        settings = Transformers(str(language_model), "captions-letter", device=device, **HOW)
        found.append(judge(tmp_path / device, contents, settings).probabilities)
    assert np.allclose(*found, atol=1e-3)


def test_what_it_cannot_do_is_refused(tmp_path):
    contents = of_captions(NAMES, CAPTIONS)
    with pytest.raises(ConfigError, match="reads the probability of one letter"):
        Transformers("m", "captions-sentence").open(contents)
    with pytest.raises(ConfigError, match="shows frames"):
        Transformers("m", "frames-letter").open(contents)
    with pytest.raises(ConfigError, match="did you mean 'float32'"):
        Transformers("m", "captions-letter", dtype="float3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be loaded"):
        judge(tmp_path, contents, Transformers("empty", "captions-letter"))
