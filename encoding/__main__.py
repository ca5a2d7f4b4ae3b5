"""``python -m encoding``."""

from .cli import main

raise SystemExit(main())
