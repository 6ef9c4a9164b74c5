"""Teacher, reader, and service in both formats say the same, within the certificate."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from softstore import Corpus, Store
from softstore.softening import kl_divergence
from tests.samples import LinearTeacher
from tests.service import serving


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_teacher_reader_json_and_npy_agree(store: Store, corpus: Corpus, temperature: float) -> None:
    with serving({"sample": store.url}) as client:
        for utterance in corpus.scan():
            path = f"/v1/stores/sample/utterances/{utterance.utterance_id}/posteriors"
            query = {"temperature": temperature}
            npy = client.get(path, params=query, headers={"Accept": "application/x-npy"})
            json = client.get(path, params=query, headers={"Accept": "application/json"})
            by_npy = np.load(io.BytesIO(npy.content), allow_pickle=False)
            by_json = np.asarray(json.json()["posteriors"], np.float32)
            stored = store[utterance.utterance_id]
            np.testing.assert_array_equal(by_npy, stored.posteriors(temperature))
            np.testing.assert_allclose(by_json, by_npy, atol=1e-7)
            for rows in (by_npy, by_json):
                np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
            logits = LinearTeacher().log_posteriors(torch.from_numpy(utterance.features()))
            truth = torch.log_softmax(logits / temperature, dim=-1)
            divergence = kl_divergence(truth, torch.from_numpy(by_npy).log())
            assert divergence.max() <= stored.row[f"max_kl_t{temperature:g}"] + 1e-6
