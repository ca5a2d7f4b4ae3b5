"""The device is said aloud, and himalaya's backend is handed back."""

import pytest
import torch
from himalaya.backend import get_backend, set_backend

from encoding.core import ConfigError
from encoding.fitting.device import choose_device, himalaya_backend


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def with_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Card {number}")


@pytest.fixture
def numpy_backend():
    before = get_backend().name
    set_backend("numpy")
    yield
    set_backend(before)


def test_cpu_is_taken_as_asked(with_cuda):
    assert choose_device("cpu") == ("cpu", "CPU, as asked.")


def test_auto_says_that_there_is_no_cuda(no_cuda):
    device, why = choose_device("auto")
    assert device == "cpu"
    assert "no CUDA device was found" in why
    assert f"{torch.get_num_threads()} thread" in why


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_cuda_is_named(with_cuda, wanted):
    assert choose_device(wanted) == ("cuda", "CUDA: Card 0.")


def test_cuda_without_a_device_raises(no_cuda):
    with pytest.raises(ConfigError, match=r"--device cuda: PyTorch .* finds no CUDA device. Use --device cpu"):
        choose_device("cuda")


def test_unknown_device_raises():
    with pytest.raises(ConfigError, match=r"--device 'cudo'. Did you mean 'cuda'\? Known: cpu, cuda, auto"):
        choose_device("cudo")


def test_backend_is_switched_and_switched_back(numpy_backend):
    with himalaya_backend("cpu"):
        assert get_backend().name == "torch"
    assert get_backend().name == "numpy"


def test_backend_is_switched_back_after_an_exception(numpy_backend):
    with pytest.raises(ZeroDivisionError), himalaya_backend("cpu"):
        raise ZeroDivisionError
    assert get_backend().name == "numpy"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_backend_that_cannot_be_had_changes_nothing(numpy_backend):
    # Under pytest himalaya skips instead of raising; both must leave the backend as it was.
    with pytest.raises((RuntimeError, pytest.skip.Exception), match="CUDA"), himalaya_backend("cuda"):
        pass
    assert get_backend().name == "numpy"
