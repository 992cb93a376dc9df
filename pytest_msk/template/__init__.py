"""Template: event source mappings as a SAM or CloudFormation template deploys them."""

from __future__ import annotations

from .document import TemplateError
from .mapping import TemplateFunction, TemplateMapping

__all__ = ["TemplateError", "TemplateFunction", "TemplateMapping"]
