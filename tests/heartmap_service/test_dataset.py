from typing import Any

import numpy as np
import pytest
import scanpy
import scipy.sparse

from heartmap_service import dataset


def test_the_bundled_data_set_holds_the_counts_that_were_normalised() -> None:
    data: Any = dataset.build()
    shipped: Any = scanpy.datasets.pbmc68k_reduced()
    assert data.shape == (700, 765)
    assert (data.X.data == np.floor(data.X.data)).all()
    again = np.log1p(data.X.toarray().astype(float) / shipped.obs["n_counts"].to_numpy()[:, None] * 1e4)
    assert np.abs(again - shipped.raw.X.toarray()).max() < 0.001
    assert (np.asarray(data.X.sum(axis=1)).ravel() <= shipped.obs["n_counts"]).all()
    assert set(data.obs["cell_type"]) == set(shipped.obs["bulk_labels"])


def test_values_that_are_no_counts_are_not_passed_off_as_some() -> None:
    invented = scipy.sparse.csr_matrix(np.log1p(np.array([[1.5, 2.0]])))
    with pytest.raises(ValueError, match="whole counts"):
        dataset.counts(invented, np.array([1e4]))


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["out.csv"]])
def test_a_wrong_command_line_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dataset.main(arguments) == 2
    assert "usage" in capsys.readouterr().err
