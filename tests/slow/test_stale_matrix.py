"""Each setting of an analysis is changed alone: exactly the steps that depend on it run again."""

import pytest
import stale_matrix

from encoding.mapping import derivative

pytestmark = pytest.mark.accidents


@pytest.mark.parametrize("world", stale_matrix.WORLDS)
def test_exactly_the_dependent_steps_run_again(world, tmp_path):
    assert stale_matrix.mismatches(world, tmp_path) == []


@pytest.mark.parametrize("world", ["volumes", "betas", "bdata"])
def test_files_of_every_kind_run_their_steps_again(world, tmp_path):
    assert stale_matrix.mismatches_of_files(world, tmp_path) == []


def test_another_version_draws_again_and_keeps_numbers(tmp_path, monkeypatch):
    made = stale_matrix.volumes(tmp_path)
    known = derivative.versions()
    for name, steps in (("numpy", set()), ("brain-encoding", {"figures"})):
        monkeypatch.setattr(derivative, "versions", lambda name=name: known | {name: "99"})
        assert made.again(lambda content: None) == steps  # noqa: ARG005
