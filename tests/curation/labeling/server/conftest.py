"""The real server under the name that the tests of this folder use."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def server(labeling_server: Any) -> Any:
    return labeling_server
