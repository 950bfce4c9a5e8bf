from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import Listener, save_tiny_model


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def make(environment: dict[str, str] | None = None) -> Listener:
        made.append(Listener(environment))
        return made[-1]

    yield make
    for listener in made:
        listener.client.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def photograph() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (150, 200, 3), np.uint8)
