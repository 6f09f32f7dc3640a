"""wavcodes: sound to the discrete codes of neural audio codecs, and back."""
