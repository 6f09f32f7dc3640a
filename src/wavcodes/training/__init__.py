"""Training of codecs with PyTorch, of the same graphs that the native engine runs (extra `torch`)."""
