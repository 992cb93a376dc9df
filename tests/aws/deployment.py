"""Deployment packages of functions."""

from __future__ import annotations

import io
import zipfile

__all__ = ["package"]


def package(**modules: str) -> bytes:
    """A zip of modules by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()
