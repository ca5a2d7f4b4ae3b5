"""Fetch atlases from TemplateFlow, nilearn and their authors into a cache, with checksums and terms."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from ...core.axes import Targets
from ...core.errors import DataError, suggest
from ..atomic import atomic_folder
from .remote import DIRECT, NILEARN, REMOTE, Remote
from .settings import AtlasFile

CACHE = "ENCODING_ATLASES"  # environment: the folder of fetched atlases
MIRROR = "ENCODING_TEMPLATEFLOW"  # environment: the address of TemplateFlow, or of a mirror
TEMPLATEFLOW_ROOT = "https://templateflow.s3.amazonaws.com"
FACTS = "atlas.json"
TIMEOUT = 60  # seconds
MD5 = re.compile(r'"?([0-9a-f]{32})"?')  # the ETag of a file that was uploaded in one piece


def cache_folder() -> Path:
    """Return the folder of fetched atlases: $ENCODING_ATLASES, or brain-encoding/atlases in the user's cache."""
    stated = os.environ.get(CACHE)
    if stated:
        return Path(stated)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brain-encoding" / "atlases"


def fetch_atlas(name: str, space: str | None = None, *, again: bool = False) -> Path:
    """Fetch an atlas into the cache.

    Parameters
    ----------
    name : str
        A name of `encoding.io.atlases.remote.REMOTE`, as ``encoding atlases`` lists them.
    space : str, optional
        Reference space, if it has several; the first unless given.
    again : bool, optional
        Whether to fetch what is there already.

    Returns
    -------
    Path
        Folder with the files and ``atlas.json``, which holds licence, citation, addresses and SHA-256 checksums.

    Raises
    ------
    DataError
        If the name or space is unknown, the server cannot be reached, or a file is not what it should be.
    """
    about = _remote(name)
    space = next(iter(about.spaces)) if space is None else space
    if space not in about.spaces:
        raise DataError(f"Atlas {name!r} can be fetched for {', '.join(about.spaces)}; {suggest(space, about.spaces)}")
    folder = cache_folder() / f"{name}_space-{space}"
    if (folder / FACTS).is_file() and not again:
        check_cached(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        fetch = _from_nilearn if about.how == NILEARN else _from_server
        facts = fetch(name, about, space, temporary)
        terms = {"licence": about.licence, "citation": about.citation, "checked": about.checked}
        content = {"name": name, "space": space, **facts, **terms}
        (temporary / FACTS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder


def _remote(name: str) -> Remote:
    if name not in REMOTE:
        raise DataError(f"Atlas {name!r} cannot be fetched. {suggest(name, REMOTE)}")
    return REMOTE[name]


def _from_server(name: str, about: Remote, space: str, folder: Path) -> dict[str, Any]:
    """Download the files of an atlas; every address, size and checksum is noted."""
    root = "" if about.how == DIRECT else os.environ.get(MIRROR, TEMPLATEFLOW_ROOT).rstrip("/") + "/"
    sources = []
    for address in (*about.spaces[space], *filter(None, [about.table])):
        path = folder / address.rsplit("/", 1)[-1]
        found = _download(name, root + address, path)
        stated = about.sha256.get(path.name)
        if stated is not None and stated != found:
            raise DataError(
                f"Atlas {name!r}: {root + address} has the SHA-256 {found}, but {stated} was expected. It was changed "
                f"or damaged; nothing was kept."
            )
        sources.append({"address": root + address, "file": path.name, "sha256": found})
    images = [one["file"] for one in sources[: len(about.spaces[space])]]
    labels = sources[-1]["file"] if about.table else None
    return {"file": images, "labels": labels, "sources": sources, "options": dict(about.options)}


def _download(name: str, address: str, path: Path) -> str:
    """Download a file and return its SHA-256; compare the server's own checksum where it states one."""
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with urlopen(address, timeout=TIMEOUT) as answer, path.open("wb") as file:
            tag, size = answer.headers.get("ETag", ""), answer.headers.get("Content-Length")
            while block := answer.read(1 << 20):
                file.write(block)
                sha.update(block)
                md5.update(block)
    except HTTPError as error:
        raise DataError(
            f"Atlas {name!r}: {address} answered {error.code} ({error.reason}). It may have moved; {_instead(name)}"
        ) from error
    except (URLError, TimeoutError, ConnectionError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"Atlas {name!r}: {address} cannot be reached ({reason}). {_instead(name)}") from error
    if size is not None and int(size) != path.stat().st_size:
        raise DataError(
            f"Atlas {name!r}: {address} broke off after {path.stat().st_size} of {size} bytes. Fetch it again."
        )
    stated = MD5.fullmatch(tag.strip())
    if stated is not None and stated[1] != md5.hexdigest():
        raise DataError(
            f"Atlas {name!r}: {address} arrived with the MD5 {md5.hexdigest()}, but the server says {stated[1]}. "
            f"Nothing was kept; fetch it again."
        )
    if path.stat().st_size == 0:
        raise DataError(f"Atlas {name!r}: {address} is empty. Nothing was kept.")
    return sha.hexdigest()


def _instead(name: str) -> str:
    return (
        f"Fetching needs the network once: run `encoding atlases get {name}` where there is one and copy the folder "
        f"{cache_folder()} (or set {CACHE} to a shared one). Files that you have are described in an [[atlas]] table."
    )


def _from_nilearn(name: str, about: Remote, space: str, folder: Path) -> dict[str, Any]:
    """Let nilearn fetch, and keep its image and its table of labels."""
    import nilearn.datasets

    options = {key: value for key, value in about.options.items() if key in ("version", "atlas_type")}
    kept = {key: value for key, value in about.options.items() if key not in options}
    (function,) = about.spaces[space]
    scratch = folder / "nilearn"
    try:
        bunch = getattr(nilearn.datasets, function)(data_dir=str(scratch), verbose=0, **options)
    except (OSError, ValueError) as error:  # of requests, which are OSErrors, and of pages that are no archives
        text = " ".join(str(error).split())[:200]
        raise DataError(f"Atlas {name!r}: nilearn's {function} did not succeed ({text}). {_instead(name)}") from error
    image = Path(str(bunch.maps))
    target = folder / f"{name}_dseg{''.join(image.suffixes[-2:]) if image.suffix == '.gz' else image.suffix}"
    shutil.copyfile(image, target)
    shutil.rmtree(scratch, ignore_errors=True)
    names = [str(label) for label in (bunch.lut["name"] if "threshold" not in kept else bunch.labels)]
    numbers = bunch.lut["index"].tolist() if "threshold" not in kept else list(range(1, len(names) + 1))
    rows = "".join(f"{number}\t{label}\n" for number, label in zip(numbers, names, strict=True))
    table = folder / f"{name}_labels.tsv"
    table.write_text("index\tname\n" + rows, encoding="utf-8")
    sources = [
        {"address": f"nilearn.datasets.{function}", "file": path.name, "sha256": _sha256(path)}
        for path in (target, table)
    ]
    return {"file": [target.name], "labels": table.name, "sources": sources, "options": kept}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_cached(folder: Path) -> dict[str, Any]:
    """Return what is known of a fetched atlas; refuse one whose files were changed since."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    for source in facts["sources"]:
        path = folder / source["file"]
        if not path.is_file() or _sha256(path) != source["sha256"]:
            raise DataError(
                f"{path}: is missing or was changed since it was fetched. Run `encoding atlases get {facts['name']} "
                f"--space {facts['space']} --again`."
            )
    return facts


def cached(name: str, space: str | None = None) -> Path | None:
    """Return the folder of a fetched atlas, in a space or in any; None if it was not fetched."""
    spaces = _remote(name).spaces if space is None else [space]
    folders = [cache_folder() / f"{name}_space-{one}" for one in spaces]
    return next((folder for folder in folders if (folder / FACTS).is_file()), None)


def described(name: str, space: str | None = None) -> tuple[AtlasFile, Path]:
    """Describe a fetched atlas as an ``[[atlas]]`` table would, with the folder that its paths are relative to."""
    folder = cached(name, space)
    if folder is None:
        about = _remote(name)
        asked = f" --space {space}" if space in about.spaces else ""
        have = f" (it can be had for {', '.join(about.spaces)})" if space is not None and not asked else ""
        raise DataError(
            f"Atlas {name!r} is not on this machine{have}. Fetch it first: encoding atlases get {name}{asked}. Its "
            f"terms: {about.licence}."
        )
    facts = check_cached(folder)
    files = facts["file"]
    options = facts["options"]
    about_files = AtlasFile(
        name,
        files[0] if len(files) == 1 else tuple(files),
        labels=facts["labels"],
        space=facts["space"],
        licence=facts["licence"],
        citation=facts["citation"],
        threshold=options.get("threshold"),
        both_sides=options.get("both_sides"),
    )
    return about_files, folder


def fetched_space(name: str, targets: Targets) -> str | None:
    """Return the space of an atlas that can be fetched which is that of the targets; None if there is none."""
    return next((space for space in (targets.space, targets.voxel_space) if space in _remote(name).spaces), None)


__all__ = ["fetch_atlas"]
