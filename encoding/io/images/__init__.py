"""Images and maps: NIfTI, GIFTI, and CIFTI."""
