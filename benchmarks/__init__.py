"""What the kit costs, each figure against its target: `python -m benchmarks [NAME ...]`.

The two sides of a comparison take turns in one run, so that a busy machine slows both; a ratio is the median of the
turns' ratios, other figures are medians.
"""
