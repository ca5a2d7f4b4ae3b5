"""Read configurations: from TOML files to the objects that they describe."""

from .settings import Alignment, Study, kind_of, parse_config, read_config
from .tables import build

__all__ = ["Alignment", "Study", "build", "kind_of", "parse_config", "read_config"]
