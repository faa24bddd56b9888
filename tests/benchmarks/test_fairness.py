from benchmarks.bench_fairness import measure, spread


def test_of_many_at_once_nobody_starves_and_each_is_counted_exactly() -> None:
    outcome = measure(jobs=60, principals=6, workers=4)
    assert outcome.spread <= 2
    assert (outcome.accepted, outcome.refused, outcome.started, outcome.wrong_counts) == (60, 12, 60, 0)


def test_the_spread_counts_who_waited() -> None:
    assert spread(["a", "b", "a", "b"]) == 1
    assert spread(["a", "a", "a", "b"]) == 3
    assert spread(["b", "a", "a", "a"]) == 1
