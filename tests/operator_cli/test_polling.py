from operator_cli.polling import poll


def test_it_asks_until_it_is_done() -> None:
    answers = iter(range(10))
    assert poll(lambda: next(answers), lambda answer: answer == 3) == 3


def test_the_last_answer_comes_back_after_the_time_limit() -> None:
    assert poll(lambda: "pending", lambda _: False, seconds=0.05) == "pending"
