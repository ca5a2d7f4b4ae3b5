"""The HDF5 files of BrainDecoderToolbox2 and bdpy."""
