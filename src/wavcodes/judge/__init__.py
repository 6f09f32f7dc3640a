"""What codecs make of real clips, measured: codecs and anchors to compare, metrics, tables and pictures of them.

Needs the extra `eval`.
"""
