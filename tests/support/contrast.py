"""How well one colour can be read on another: https://www.w3.org/TR/WCAG22/#contrast-minimum."""

from collections.abc import Sequence

LEAST_CONTRAST = 4.5


def luminance(channels: Sequence[float]) -> float:
    """Return the relative luminance of a colour, whose red, green and blue go from 0 to 1."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the ratio of two colours, 1 of the same one and 21 of black and white."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)
