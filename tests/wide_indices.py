"""Pytest plugin of `tools/portability.py --traits`: as if indices of 32 bits reached nothing, so that all kernels take those of 64."""

from clnd.engine import launch

launch.NARROW = 0
