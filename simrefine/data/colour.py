"""Colours as the eye orders them: sRGB in, CIELAB out, and whether a colour is one that skin has.

CIELAB is that of CIE 1976 under the white of D65, from sRGB (IEC 61966-2-1) by way of linear light: L* in 0..100, a*
towards red, b* towards yellow.
"""

import cv2
import numpy as np

# What skin has, whatever its owner's: hues between red and yellow, some chroma, more light than black. Photographs in
# coloured light or in black and white lie outside too, so it is the share of them that renders are held against.
SKIN_HUES = (30.0, 75.0)  # degrees, of atan2(b*, a*)
LEAST_CHROMA = 8.0
LEAST_LIGHTNESS = 20.0


def to_lab(colours: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in [-1, 1] to CIELAB, float32 [..., 3]."""
    flat = (np.asarray(colours, np.float32).reshape(1, -1, 3) + 1) / 2
    return cv2.cvtColor(np.clip(flat, 0, 1), cv2.COLOR_RGB2LAB).reshape(colours.shape)


def is_tinted(colours: np.ndarray) -> np.ndarray:
    """Whether each colour, CIELAB [n, 3] without NaN, is one that skin has only in coloured, no or hardly any light:
    bool [n], see SKIN_HUES, LEAST_CHROMA and LEAST_LIGHTNESS."""
    lightness, a, b = colours.T
    hues = np.degrees(np.arctan2(b, a))
    off_hue = (hues < SKIN_HUES[0]) | (hues > SKIN_HUES[1])
    return off_hue | (np.hypot(a, b) < LEAST_CHROMA) | (lightness < LEAST_LIGHTNESS)
