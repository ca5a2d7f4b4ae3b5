"""Public names of packages are imported on first use, and are never hidden by a module of the same name."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ("collection", "comparison", "embedding", "fitting", "loading", "mapping")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package):
    module = importlib.import_module(f"encoding.{package}")
    for name in module.__all__:
        thing = getattr(module, name)
        assert type(thing).__name__ != "module", name
    with pytest.raises(AttributeError, match=f"'encoding.{package}' has no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("first", ["import encoding.loading.align", "from encoding.loading import align_spaces", ""])
def test_a_module_does_not_hide_a_name(first):
    code = f"{first}\nfrom encoding.loading import align\nfrom encoding.loading.align import align as same\n"
    code += "import sys, encoding.loading.runs\nfrom encoding.loading import align as again\n"
    code += "assert align is same is again, align\nassert sys.modules['encoding.loading.align'].align is align\n"
    subprocess.run([sys.executable, "-c", code], check=True)
