"""Each setting, file and version of an analysis is changed alone: exactly the steps that depend on it run again."""

import pytest
import stale_files
import stale_matrix

from encoding.core import provenance

pytestmark = pytest.mark.accidents


@pytest.mark.parametrize("world", stale_matrix.WORLDS)
def test_exactly_the_dependent_steps_run_again(world, tmp_path, record_property):
    record_property("settings", sum(getattr(one, "world", "") == world for one in stale_matrix.ANALYSIS.values()))
    assert stale_matrix.mismatches(world, tmp_path) == []


@pytest.mark.parametrize("world", stale_matrix.WORLDS)
def test_a_group_refuses_what_participants_would_make_otherwise(world, tmp_path):
    assert stale_files.mismatches_of_settings(world, tmp_path) == []


@pytest.mark.parametrize("world", sorted({line[0] for line in stale_files.FILES.values()}))
def test_files_of_every_kind_run_their_steps_again(world, tmp_path, record_property):
    record_property("files", sum(line[0] == world for line in stale_files.FILES.values()))
    assert stale_files.mismatches(world, tmp_path) == []


def test_other_versions_draw_again_and_keep_numbers(tmp_path, monkeypatch, record_property):
    made = stale_matrix.volumes(tmp_path)
    stale_files.group(made, made.base, made.content)
    known = provenance.versions()
    record_property("versions", len(known))
    for name in known:
        monkeypatch.setattr(provenance, "_versions", lambda name=name: tuple((known | {name: "99"}).items()))
        ours = name == "brain-encoding"
        assert made.again(lambda content: None) == ({"figures"} if ours else set()), name  # noqa: ARG005
        together = stale_files.group_on_copy(made, made.content)
        assert together == (stale_files.REDRAWN if ours else stale_files.KEPT), name
