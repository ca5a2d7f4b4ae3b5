"""Registries that other packages extend: names, laziness, and what is said of a broken plugin."""

import sys
from pathlib import Path

import pytest

from encoding.core import ConfigError
from encoding.core.plugins import Registry, load_plugins

GROUP = "encoding.tested"


class Builtin:
    """Something that is built in."""

    def read(self) -> str:
        return "built in"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Add packages to the path that offer entry points, as pip would install them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = []

    def make(package: str, points: dict[str, str], source: str = "") -> Path:
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
        (tmp_path / f"{package}.py").write_text(source)
        installed.append(package)
        return tmp_path

    yield make
    for package in installed:
        sys.modules.pop(package, None)


@pytest.fixture
def registry():
    return Registry(GROUP, {"own": Builtin}, needs=("read",))


def test_a_registry_without_plugins_is_what_is_built_in(registry):
    assert dict(registry) == {"own": Builtin}
    assert len(registry) == 1
    assert "other" not in registry
    with pytest.raises(KeyError, match="other"):
        registry["other"]


def test_a_plugin_is_found_by_its_name(registry, install):
    install("labpkg", {"lab": "labpkg:Lab"}, "class Lab:\n    def read(self):\n        return 'lab'\n")
    assert list(registry) == ["own", "lab"]
    assert registry["lab"]().read() == "lab"
    assert registry.name_of(registry["lab"]()) == "lab"
    assert registry.name_of(Builtin) == "own"
    assert len(registry) == 2


def test_a_plugin_is_imported_only_when_it_is_looked_up(registry, install):
    install("lazypkg", {"lazy": "lazypkg:Lazy"}, "class Lazy:\n    def read(self):\n        return 1\n")
    assert registry["own"] is Builtin
    assert "lazy" in registry
    assert list(registry) == ["own", "lazy"]
    assert "lazypkg" not in sys.modules
    assert registry["lazy"]
    assert "lazypkg" in sys.modules


@pytest.mark.parametrize(
    ("value", "source", "told"),
    [
        (
            "brokenpkg:Lab",
            "import nothing_of_this_name",
            r"ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("brokenpkg:Lab", "raise RuntimeError('no licence')", r"RuntimeError: no licence"),
        ("brokenpkg:Lob", "class Lab: pass", r"AttributeError: .*Lob"),
    ],
)
def test_a_broken_plugin_is_named_with_its_package(registry, install, value, source, told):
    install("brokenpkg", {"broken": value}, source)
    with pytest.raises(ConfigError, match=rf"Plugin 'broken' in '{GROUP}' \(brokenpkg 1\.2\): .*{told}.*uninstall"):
        registry["broken"]
    assert registry["own"] is Builtin


def test_a_plugin_without_a_needed_method_is_refused(registry, install):
    install("poorpkg", {"poor": "poorpkg:Poor"}, "class Poor: pass\n")
    with pytest.raises(ConfigError, match=r"poorpkg 1\.2.*has no 'read'"):
        registry["poor"]


def test_names_that_are_built_in_are_reserved(registry, install):
    install("thiefpkg", {"own": "thiefpkg:Own"}, "class Own:\n    read = 1\n")
    with pytest.raises(ConfigError, match=r"thiefpkg 1\.2\): the name 'own' is built in"):
        list(registry)


def test_two_packages_cannot_offer_one_name(registry, install):
    install("onepkg", {"lab": "onepkg:Lab"})
    install("twopkg", {"lab": "twopkg:Lab"})
    with pytest.raises(ConfigError, match=r"'lab' in .* offered by \w+pkg 1\.2 and by \w+pkg 1\.2"):
        load_plugins(GROUP)


def test_what_is_not_registered_has_no_name(registry):
    with pytest.raises(ConfigError, match=rf"int is not registered in '{GROUP}'"):
        registry.name_of(3)
