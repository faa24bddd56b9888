from ulid import ULID

from lambda_keys import ulids


def test_it_is_a_ulid_of_its_moment() -> None:
    now = 1_790_000_000.125
    made = ulids.new(now)
    assert ulids.PATTERN.fullmatch(made)
    assert ULID.from_str(made).milliseconds == 1_790_000_000_125


def test_those_of_one_moment_differ_in_all_of_their_random_part() -> None:
    made = [ulids.new(1_790_000_000) for _ in range(200)]
    assert len({text[:10] for text in made}) == 1
    assert all(len({text[place] for text in made}) > 1 for place in range(10, 26))


def test_they_sort_by_their_time() -> None:
    moments = [0, 1, 1_000_000, 1_790_000_000, 1_790_000_000.001, 2**47 / 1000]
    made = [ulids.new(now) for now in moments]
    assert made == sorted(made)
