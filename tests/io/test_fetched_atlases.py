"""Fetching atlases: from a server that plays TemplateFlow, from nilearn, and clear words without a network."""

import hashlib
import http.server
import json
import threading
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from encoding.cli import main
from encoding.core.axes import Grid, Targets
from encoding.core.errors import DataError
from encoding.io.atlases import fetching, remote
from encoding.io.atlases.catalogue import AtlasFile, load_atlas, load_files, match_atlas

AFFINE = np.diag([2.0, 2, 2, 1])
SHAPE = (6, 5, 4)
LABELS = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
NAME = "HarvardOxford-cort"
SPACE = "MNI152NLin6Asym"
IMAGE = f"tpl-{SPACE}/tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25_dseg.nii.gz"
TABLE = f"tpl-{SPACE}/tpl-{SPACE}_atlas-HOCPA_dseg.tsv"


class TemplateFlow(http.server.BaseHTTPRequestHandler):
    """A bucket: files by path, with the MD5 as ETag, as S3 gives it for files uploaded in one piece."""

    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404, "Not Found")
            return
        tag = self.server.tags.get(self.path.lstrip("/"), hashlib.md5(content).hexdigest())
        self.send_response(200)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("Content-Length", str(self.server.sizes.get(self.path.lstrip("/"), len(content))))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    image = nib.Nifti1Image(LABELS, AFFINE).to_bytes()
    import gzip

    rows = "index\tname\n0\tBackground\n1\tFrontal Pole\n2\tInsular Cortex\n3\tAmygdala \n"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), TemplateFlow) as found:
        found.files = {IMAGE: gzip.compress(image), TABLE: rows.encode()}
        found.tags, found.sizes, found.asked = {}, {}, []
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv(fetching.MIRROR, f"http://127.0.0.1:{found.server_port}/")
        monkeypatch.setenv(fetching.CACHE, str(tmp_path / "cache"))
        yield found
        found.shutdown()
        thread.join()


def targets():
    index = np.arange(LABELS.size)
    return Targets("voxel", SPACE, index, np.full(len(index), ""), Grid(SHAPE, AFFINE))


def test_an_atlas_is_fetched_once_with_terms_and_checksums(server, capsys):
    with pytest.raises(DataError, match=rf"'{NAME}' is not on this machine. Fetch it first: .* get {NAME}"):
        load_atlas(NAME)
    assert main(["atlases", "get", NAME, "--space", SPACE]) == 0
    said = capsys.readouterr().out
    assert "non-commercial" in said
    assert "could not be fetched where this was written" in said
    folder = fetching.fetch_atlas(NAME, SPACE)
    assert len(server.asked) == 2  # nothing is asked again
    facts = json.loads((folder / "atlas.json").read_text())
    for source in facts["sources"]:
        assert source["sha256"] == hashlib.sha256((folder / source["file"]).read_bytes()).hexdigest()
    assert [source["address"].split("/", 3)[3] for source in facts["sources"]] == [IMAGE, TABLE]
    atlas = load_atlas(NAME)
    assert atlas.region == ("Frontal Pole", "Insular Cortex", "Amygdala")
    assert "non-commercial" in atlas.licence
    np.testing.assert_array_equal(match_atlas(atlas, targets()), LABELS.ravel())
    mine = load_files(AtlasFile("HO", NAME, resample=True), targets=targets())
    assert mine.name == "HO"
    np.testing.assert_array_equal(mine.labels, atlas.labels)
    assert main(["atlases", "get", NAME, "--space", SPACE, "--again"]) == 0
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda server: server.files.pop(IMAGE),
            r"answered 404 \(Not Found\). It may have moved; Fetching needs",
        ),
        (lambda server: server.tags.update({IMAGE: "0" * 32}), "but the server says 0000.*Nothing was kept"),
        (lambda server: server.files.update({TABLE: b""}), "is empty. Nothing was kept"),
    ],
)
def test_what_is_not_what_it_should_be_is_not_kept(server, break_it, message):
    break_it(server)
    with pytest.raises(DataError, match=message):
        fetching.fetch_atlas(NAME, SPACE)
    assert fetching.cached(NAME) is None
    assert not list(fetching.cache_folder().iterdir())


def test_a_pinned_checksum_is_held(server, monkeypatch):
    changed = remote.REMOTE[NAME]._replace(sha256={IMAGE.rsplit("/", 1)[-1]: "f" * 64})
    monkeypatch.setitem(remote.REMOTE, NAME, changed)
    with pytest.raises(DataError, match=r"has the SHA-256 .*, but f{64} was expected"):
        fetching.fetch_atlas(NAME, SPACE)


def test_a_file_that_was_changed_in_the_cache_is_refused(server):
    folder = fetching.fetch_atlas(NAME, SPACE)
    (folder / IMAGE.rsplit("/", 1)[-1]).write_bytes(b"something else")
    with pytest.raises(DataError, match=rf"was changed since it was fetched. Run `encoding atlases get {NAME} --space"):
        load_atlas(NAME)


def test_surfaces_are_fetched_in_pairs_with_the_names_inside(server):
    for hemi in "LR":
        table = nib.gifti.GiftiLabelTable()
        for number, name in enumerate(["FreeSurfer_Defined_Medial_Wall", "17Networks_1", "17Networks_2"]):
            label = nib.gifti.GiftiLabel(key=number, red=0.1 * number, green=0, blue=0, alpha=1)
            label.label = name
            table.labels.append(label)
        data = nib.gifti.GiftiDataArray(np.arange(10242, dtype=np.int32) % 3, intent="NIFTI_INTENT_LABEL")
        path = f"tpl-fsaverage/tpl-fsaverage_hemi-{hemi}_den-10k_atlas-Yeo2011_seg-17n_dseg.label.gii"
        server.files[path] = nib.GiftiImage(darrays=[data], labeltable=table).to_bytes()
    fetching.fetch_atlas("Yeo2011-17-fsaverage", "fsaverage5")
    atlas = load_atlas("Yeo2011-17-fsaverage", space="fsaverage5")
    assert atlas.region == ("17Networks_1", "17Networks_2")
    assert atlas.hemi == ("", "")
    np.testing.assert_array_equal(atlas.labels, np.tile(np.arange(10242) % 3, 2))


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(fetching.MIRROR, "http://127.0.0.1:9")  # the port that discards; nobody listens
    monkeypatch.setenv(fetching.CACHE, str(tmp_path / "cache"))
    assert main(["atlases", "get", NAME]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert f"run `encoding atlases get {NAME}` where there is one and copy the folder {tmp_path / 'cache'}" in said
    assert main(["atlases", "get", "HarvardOxford"]) == 1
    assert "Did you mean 'HarvardOxford" in capsys.readouterr().err
    assert main(["atlases", "get", NAME, "--space", "T1w"]) == 1
    assert "can be fetched for MNI152NLin2009cAsym, MNI152NLin6Asym" in capsys.readouterr().err
    assert main(["atlases", "show"]) == 1
    assert "NAME is missing" in capsys.readouterr().err


def test_nilearn_fetches_what_it_knows(tmp_path, monkeypatch):
    import nilearn.datasets
    import pandas as pd

    monkeypatch.setenv(fetching.CACHE, str(tmp_path / "cache"))
    values = np.zeros((*SHAPE, 2), np.float32)
    values[:3, ..., 0], values[3:, ..., 1] = 0.6, 0.4

    def fetch(atlas_type, data_dir, verbose):
        assert atlas_type == "probabilistic"
        folder = tmp_path / "nilearn"
        folder.mkdir()
        nib.save(nib.Nifti1Image(values, AFFINE), folder / "prob.nii.gz")
        return SimpleNamespace(maps=str(folder / "prob.nii.gz"), labels=["Pu", "HTH"], lut=pd.DataFrame())

    monkeypatch.setattr(nilearn.datasets, "fetch_atlas_pauli_2017", fetch)
    fetching.fetch_atlas("CIT168")
    atlas = load_atlas("CIT168")
    assert atlas.region == ("Pu", "HTH")
    assert atlas.licence.startswith("CC BY")
    assert np.unique(atlas.labels.reshape(SHAPE)[:3]).tolist() == [1]

    def offline(version, data_dir, verbose):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(nilearn.datasets, "fetch_atlas_aal", offline)
    with pytest.raises(DataError, match=r"nilearn's fetch_atlas_aal did not succeed \(no route to host\)"):
        fetching.fetch_atlas("AAL3")


def test_every_source_says_its_terms_and_what_was_checked():
    import inspect

    import nilearn.datasets

    for about in remote.REMOTE.values():
        assert about.licence
        assert about.citation
        assert about.checked
        if about.how == remote.NILEARN:
            ((function,),) = about.spaces.values()
            known = inspect.signature(getattr(nilearn.datasets, function)).parameters
            assert {"data_dir", "verbose"} <= set(known)
            assert set(about.options) - {"threshold", "both_sides"} <= set(known)


def test_names_at_templateflow_are_those_that_its_client_lists():
    templateflow = pytest.importorskip("importlib.util").find_spec("templateflow")
    if templateflow is None:
        pytest.skip("needs the list of files of the package templateflow")
    import zipfile
    from pathlib import Path

    skeleton = Path(templateflow.submodule_search_locations[0]) / "conf" / "templateflow-skel.zip"
    with zipfile.ZipFile(skeleton) as listed:
        names = set(listed.namelist())
    for about in remote.REMOTE.values():
        if about.how == remote.TEMPLATEFLOW:
            wanted = [path for paths in about.spaces.values() for path in paths] + [about.table] * bool(about.table)
            assert set(wanted) <= names
