"""Frames as picture files: written whole or not at all, and never over each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from volition.comparison import Frame, encode_png
from volition.errors import StoreError
from volition.storage.files import write_whole


def read_frame(path: Path) -> Frame:
    """A picture file as a frame.

    Raises:
        StoreError: There is no such file, or it is not a picture.
    """
    try:
        with Image.open(path) as image:
            return Frame(np.asarray(image.convert("RGB")))
    except FileNotFoundError:
        raise StoreError(f"{path}: the picture is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StoreError(f"{path} is not a picture that can be read: {error}") from error


def write_frame(frame: Frame, path: Path) -> None:
    """Writes a frame as PNG, whole or not at all; a file that is there already is kept."""
    if path.exists():
        return
    write_whole(path, encode_png(frame.pixels), durable=False)
