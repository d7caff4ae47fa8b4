"""lcseg turns high-resolution aerial imagery into land cover maps."""

__version__ = "0.1.0"
