"""Clips and captions that express the simulated feature spaces of a stimulus.

A clip is a drifting mosaic: every dimension of the space "mllm" has a colour, and the more of it a stimulus has, the
more tiles have that colour. A caption names things: every dimension of "llm" has six words, of which the first few are
used. So a judge who looks at frames can know one space, and a judge who reads captions the other.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..io.atomic import atomic_file, write_tsv
from .presets import stream
from .spaces import SimulatedSpace

TILES = 20  # along each edge of the picture
TILE = 8  # pixels
TILES_PER_UNIT = 12  # of a dimension
FRAME_RATE = 4  # frames per second
STEPS = 4  # of red, green and blue, of which colours are the middles
WORDS_PER_UNIT = 2
THEMES = (
    "puppy dog fur paw tail kennel", "baby crib rattle diaper cradle stroller",
    "waterfall river rock mist stream gorge", "clown joke laughter balloon trick circus",
    "fist shout quarrel punch slap brawl", "cliff edge rope height ladder fall",
    "galaxy star comet nebula planet orbit", "stumble silence stare blush mumble fidget",
    "queue clock wall desk paper stapler", "pond lily boat reeds sunset ripple",
    "maze riddle mirror smoke puzzle illusion", "sneer smirk insult mockery frown scowl",
    "burger cheese chocolate cake syrup cream", "loss scoreboard bench penalty miss defeat",
    "maggot mold vomit sewer slime garbage", "crutch wound bandage bruise scar splint",
    "spiral pendulum kaleidoscope lantern fractal glow", "yacht mansion jewels limousine diamond villa",
    "rollercoaster sled jump speed race ramp", "spider shadow cellar knife attic basement",
    "confession apology letter tear regret court", "skull blood corpse grave coffin crypt",
    "museum fossil microscope lecture map telescope", "dance wedding confetti cheer song picnic",
    "photograph gramophone cottage swing toy attire", "medal podium flag anthem parade trophy",
    "rescue harbor blanket hug doctor helicopter", "kiss candle rose couple violin moonlight",
    "funeral rain widow farewell veil wreath", "lightning tiger explosion ambush siren thunder",
)  # fmt: skip


def palette(n: int) -> np.ndarray:
    """Choose easily distinguished colours.

    Returns (n, 3).
    """
    middles = (np.arange(STEPS) * 2 + 1) * 256 // (2 * STEPS)
    grid = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1).reshape(-1, 3)[1:]
    chosen = [len(grid) - 1]
    distance = np.linalg.norm(grid - grid[chosen[0]], axis=1)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(grid - grid[chosen[-1]], axis=1))
    return grid[chosen].astype(np.uint8)


def mosaic(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Arrange tiles in proportion to the values of one stimulus.

    Shapes: `values` (n_dims,); returns (TILES, TILES, 3).
    """
    room = TILES * TILES
    wanted = values * TILES_PER_UNIT
    # A picture that is full shows everything in proportion.
    counts = np.floor(wanted * min(1.0, room / max(wanted.sum() + len(wanted), 1.0)) + rng.random(len(values)))
    colours = np.repeat(palette(len(values)), counts.astype(int), axis=0)
    tiles = np.zeros((room, 3), dtype=np.uint8)
    tiles[: len(colours)] = colours
    return tiles[rng.permutation(room)].reshape(TILES, TILES, 3)


def write_clip(path: Path, tiles: np.ndarray, seconds: float) -> None:
    """Write a video of tiles that drift to the right.

    Shapes: `tiles` (TILES, TILES, 3).
    """
    import av  # part of the extra "collect"

    with atomic_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": "12", "preset": "ultrafast", "threads": "1"}
        )
        video.width = video.height = TILES * TILE
        video.pix_fmt = "yuv420p"
        for number in range(max(round(seconds * FRAME_RATE), 1)):
            picture = np.roll(tiles, number, axis=1).repeat(TILE, axis=0).repeat(TILE, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())


def caption(values: np.ndarray, rng: np.random.Generator) -> str:
    """Write the caption of a stimulus.

    Shapes: `values` (n_dims,).
    """
    n_words = np.round(values * WORDS_PER_UNIT).astype(int)
    named = [" and ".join(THEMES[k].split()[: n_words[k]]) for k in rng.permutation(len(values)) if n_words[k]]
    return f"We see {', then '.join(named) or 'nothing'}."


def write_media(
    root: Path, stimuli: np.ndarray, duration: np.ndarray, spaces: dict[str, SimulatedSpace], seed: int
) -> None:
    """Write a clip of every stimulus, and a table of captions.

    Shapes: `stimuli` (n_stimuli,), `duration` (n_stimuli,).
    """
    texts = []
    for row, name in enumerate(stimuli.tolist()):
        path = root / clip_path(name)
        if not path.is_file():
            tiles = mosaic(spaces["mllm"].clean[row], stream(seed, "clip", row))
            write_clip(path, tiles, float(duration[row]))
        texts.append(caption(spaces["llm"].clean[row], stream(seed, "caption", row)))
    write_tsv(root / "stimuli" / "captions.tsv", pd.DataFrame({"stim_id": stimuli, "caption": texts}))


def clip_path(name: str) -> str:
    """Return the path of the clip of a stimulus."""
    return f"stimuli/clips/{name}.mp4"
