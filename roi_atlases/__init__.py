"""Region atlases shipped as data: label files, tables, descriptions, checksums (see README.md)."""
