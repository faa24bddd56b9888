"""What the login remembers, on a clock that the test moves."""

import pytest

from local_cloud.login import grants
from local_cloud.login.grants import Lockout, RefreshTokens, Session, Store


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session() -> Session:
    return Session(username="someone", pool_token="pool", scopes=("openid",))


def test_a_value_is_forgotten_when_its_time_is_over(clock: Clock) -> None:
    store: Store[str] = Store(grants.CODE_SECONDS, clock)
    name = store.add("value")
    clock.now += 59
    assert store.get(name) == "value"
    clock.now += 1
    assert store.get(name) is None


def test_rotation_does_not_make_a_session_longer(clock: Clock, session: Session) -> None:
    tokens = RefreshTokens(clock)
    token = tokens.issue(session, 100)
    for _ in range(3):
        clock.now += 30
        assert tokens.use(token, rotates=True, grace=0) is session
        token = tokens.issue(session, 100)
    clock.now += 10
    assert tokens.use(token, rotates=True, grace=0) is None


def test_the_oldest_value_goes_when_there_are_too_many(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MOST_ENTRIES", 2)
    store: Store[int] = Store(60, clock)
    names = [store.add(n) for n in range(3)]
    assert [store.get(name) for name in names] == [None, 1, 2]


def test_names_are_not_kept_as_they_are(clock: Clock) -> None:
    store: Store[str] = Store(60, clock)
    name = store.add("value")
    assert name not in repr(vars(store))


def test_a_refresh_token_ends_when_the_client_says_so(clock: Clock, session: Session) -> None:
    tokens = RefreshTokens(clock)
    token = tokens.issue(session, 3600)
    clock.now += 3599
    assert tokens.use(token, rotates=False, grace=0) is session
    clock.now += 1
    assert tokens.use(token, rotates=False, grace=0) is None


def test_a_rotated_token_may_be_tried_again_within_the_grace_and_ends_the_session_after_it(
    clock: Clock, session: Session
) -> None:
    tokens = RefreshTokens(clock)
    first = tokens.issue(session, 3600)
    assert tokens.use(first, rotates=True, grace=10) is session
    second = tokens.issue(session, 3600)
    clock.now += 9
    assert tokens.use(first, rotates=True, grace=10) is session
    clock.now += 1
    assert tokens.use(first, rotates=True, grace=10) is None
    assert tokens.use(second, rotates=True, grace=10) is None


def test_revoking_one_token_ends_its_session_only(clock: Clock, session: Session) -> None:
    tokens = RefreshTokens(clock)
    other = Session(username="other", pool_token="pool", scopes=())
    first, second = tokens.issue(session, 3600), tokens.issue(other, 3600)
    tokens.revoke(first)
    assert tokens.use(first, rotates=False, grace=0) is None
    assert tokens.use(second, rotates=False, grace=0) is other


def waiting(lockout: Lockout, clock: Clock, username: str) -> int:
    """The seconds until an attempt is looked at; the attempt is counted."""
    wait = 0
    while not lockout.attempt(username):
        clock.now += 1
        wait += 1
    return wait


def test_the_lock_begins_at_the_fifth_failure_and_doubles_up_to_a_quarter_of_an_hour(clock: Clock) -> None:
    lockout = Lockout(clock)
    waits = [waiting(lockout, clock, "someone") for _ in range(20)]
    assert waits[:9] == [0, 0, 0, 0, 0, 1, 2, 4, 8]
    assert waits[-1] == 900


def test_attempts_at_the_same_time_count_before_their_outcome_is_known(clock: Clock) -> None:
    lockout = Lockout(clock)
    assert [lockout.attempt("someone") for _ in range(100)].count(True) == 5


def test_a_success_starts_the_count_anew_and_names_are_counted_apart(clock: Clock) -> None:
    lockout = Lockout(clock)
    for _ in range(5):
        lockout.attempt("someone")
    assert not lockout.attempt("Someone")
    assert lockout.attempt("other")
    lockout.succeeded("someone")
    assert lockout.attempt("someone")
