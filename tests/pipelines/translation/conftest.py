"""What a translation run starts from."""

from __future__ import annotations

import pytest

from pipelines.output_dir import OutputDir
from tests.pipelines.translation.spanish import prepared, speech
from tests.pipelines.translation.tiny_translators import make_ctranslate2


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """`speech`, prepared; don't write into it."""
    return prepared(str(tmp_path_factory.mktemp("data") / "data"), speech())


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of the engine that is always there; what it says is nonsense."""
    return make_ctranslate2(str(tmp_path_factory.mktemp("ct2") / "model"))
