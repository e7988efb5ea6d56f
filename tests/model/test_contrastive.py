import numpy as np
import pytest
from keras import ops

from model import contrastive
from model.contrastive import ContrastiveModel
from model.dual_encoder import DualEncoder
from model.vocabulary import PADDING
from tests.model.test_data import VOCABULARY, batches


@pytest.fixture(scope="module")
def model(tiny_preset) -> ContrastiveModel:
    return ContrastiveModel(DualEncoder.from_preset(tiny_preset), scale=20.0, spread_out=1.0)


def test_encoding_in_groups_without_their_padding_changes_no_embedding(model, tiny_data):
    (batch,) = batches(tiny_data, 1)
    assert (batch["source"][:, -1] == PADDING).any()
    grouped = np.asarray(model(batch))
    whole = np.stack([np.asarray(model.encoder(batch[side])) for side in ("source", "target")])
    assert grouped.shape == (2, 8, model.encoder.width)
    assert np.abs(grouped - whole).max() < 1e-5


def test_groups_spare_the_columns_that_they_only_pad(model, tiny_data, monkeypatch):
    (batch,) = batches(tiny_data, 1)
    widths = []
    monkeypatch.setattr(
        model, "encoder", lambda ids: widths.append(ids.shape[1]) or ops.zeros((len(ids), 4))
    )
    model(batch)
    assert len(widths) == 2 * contrastive.GROUPS
    assert min(widths) < VOCABULARY.max_text_tokens
