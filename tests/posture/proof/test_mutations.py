"""The mutations themselves. That each is refused, tests/engine/test_stacks.py shows on a stack that the engine deployed."""

from collections import Counter

import pytest

from posture.proof import mutations, option_mutations
from posture.proof.findings import PROPERTIES


def test_every_property_is_broken_in_several_ways() -> None:
    ways = Counter(mutation.property for mutation in mutations.MUTATIONS)
    assert set(ways) == set(PROPERTIES)
    assert min(ways.values()) >= 5
    assert sum(ways.values()) >= 40


def test_no_mutation_is_there_twice() -> None:
    options = (*option_mutations.BREAK_GLASS, *option_mutations.VPN, *option_mutations.EXISTING_NETWORK)
    names = [mutation.name for mutation in (*mutations.MUTATIONS, *options)]
    assert len(names) == len(set(names))


def test_a_mutation_whose_place_is_gone_says_so() -> None:
    with pytest.raises(mutations.NoSuchPlaceError, match="Key/data"):
        mutations.put("Key/data", policy="")({"deployment": {"resources": []}})
