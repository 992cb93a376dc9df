"""The big counts: collected with HYPOTHESIS_PROFILE=long only, as `tox -e long` sets it."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("HYPOTHESIS_PROFILE") == "long" else ["test_*.py"]
