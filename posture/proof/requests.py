"""A request to AWS with nothing about it fixed, and which statements of policies apply to it.

Where the model knows less than IAM (a key with several values, a number, a date, a policy variable) it leaves the answer to
whoever attacks: an Allow applies, a Deny does not. So it may show a request that AWS would refuse, and never hides one.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import z3

from posture.proof import packets
from posture.proof.exported import NotUnderstood
from posture.proof.logic import all_of, any_of, none_of, same
from posture.proof.policies import Condition, Statement
from posture.proof.solving import Solver
from posture.proof.wildcards import Language, classes, matches, tokens

Kind = Literal["aws", "anonymous", "service", "federated"]


class Situation(Protocol):
    """The constraints that make a request one of those that are asked about. Called once the statements have named their keys.

    It can be hashed, and two that are equal give the same constraints.
    """

    def __call__(self, request: "Request") -> Iterable[z3.BoolRef]: ...

    def __hash__(self) -> int: ...


ACTION, RESOURCE, SERVICE = "action", "resource", "service principal"
ACCOUNT, ARN, BY_SERVICE = "aws:principalaccount", "aws:principalarn", "aws:principalisawsservice"
TLS = "aws:securetransport"
# Two names of one thing: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
_SAME_KEY = {"kms:calleraccount": ACCOUNT}

_EQUAL = {"StringEquals", "StringNotEquals"}
_LIKE = {"StringLike", "StringNotLike"}
_ARN_LIKE = {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"}
_ADDRESS = {"IpAddress", "NotIpAddress"}
_NEGATED = {"StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress", "NumericNotEquals"}
_ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
_LEFT_OPEN = {"StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "BinaryEquals", *(f"Date{order}" for order in _ORDERS)}
_NUMBER = {f"Numeric{order}" for order in _ORDERS}
_NUMBER_BITS, _MOST_DIGITS = 64, 15
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def numbered(value: int) -> int:
    """A whole number as the model has it, which leaves room between two of them, and one below zero."""
    return 2 * value + 1


class Request:
    """One request by a principal of some kind. Each attribute is any string at all, present or not.

    ``like`` and ``present`` give the solver's variables; ``closed`` ties what was asked about one attribute together.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._fixed: dict[str, str] = {}
        self._likes: dict[str, dict[Language, z3.BoolRef]] = {}
        self._present: dict[str, z3.BoolRef] = {}

    def fix(self, attribute: str, value: str) -> None:
        """The request has this value."""
        self._fixed[attribute] = value

    @property
    def known(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What is fixed about it."""
        return self.kind, frozenset(self._fixed.items())

    def filled_in(self, text: str) -> str:
        """A value of a policy with the policy variables whose values are fixed; others stay.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
        """

        def value(variable: re.Match[str]) -> str:
            found = self._fixed.get(variable[1].lower(), "*")
            # A wildcard in a value is none in a pattern.
            return variable[0] if set(found) & set("*?") else found

        return _VARIABLE.sub(value, text)

    def like(self, attribute: str, *patterns: str) -> z3.BoolRef:
        """Whether a value matches one of some wildcard patterns."""
        return self._of(attribute, tuple(map(tokens, patterns)))

    def arn_like(self, attribute: str, *patterns: str) -> z3.BoolRef:
        """Whether it does as ArnLike reads them."""
        return self._of(attribute, tuple(tokens(pattern, arn=True) for pattern in patterns))

    def equal(self, attribute: str, *texts: str) -> z3.BoolRef:
        """Whether a value is one of these."""
        return self._of(attribute, tuple(map(tuple, texts)))

    def _of(self, attribute: str, language: Language) -> z3.BoolRef:
        if attribute in self._fixed:
            return z3.BoolVal(matches(language, self._fixed[attribute]))
        known = self._likes.setdefault(attribute, {})
        if language not in known:
            known[language] = z3.Bool(f"{attribute} ~ {len(known)}")
        return known[language]

    def present(self, attribute: str) -> z3.BoolRef:
        """Whether the request has a key at all."""
        if attribute in self._fixed:
            return z3.BoolVal(True)
        return self._present.setdefault(attribute, z3.Bool(f"{attribute} is there"))

    def address(self, attribute: str) -> z3.BitVecRef:
        """The value of a key that is an address."""
        return z3.BitVec(f"the address {attribute}", packets.BITS)

    def number(self, attribute: str) -> z3.BitVecRef:
        """The value of a key that is a number: that of ``numbered``, or between two of them."""
        return z3.BitVec(f"the number {attribute}", _NUMBER_BITS)

    def is_value(self, attribute: str, text: str) -> z3.BoolRef:
        """The key is there, with this value."""
        return all_of(self.present(attribute), self.equal(attribute, text))

    @property
    def attributes(self) -> list[str]:
        """What was asked about so far."""
        return sorted({*self._likes, *self._present})

    def closed(self) -> Iterator[z3.BoolRef]:
        """What makes the answers about an attribute those about one string: its class is one of the classes that there are."""
        for attribute, known in self._likes.items():
            found = list(classes(tuple(known)))
            chosen = z3.BitVec(f"class of {attribute}", 24)
            yield z3.ULT(chosen, len(found))
            for number, variable in enumerate(known.values()):
                members = [same(chosen, index) for index, matched in enumerate(found) if number in matched]
                yield same(variable, any_of(*members))

    def example(self, model: z3.ModelRef) -> dict[str, str]:
        """The request in a model, attribute by attribute; keys that it lacks are left out."""
        shown = {}
        for attribute, known in self._likes.items():
            if attribute in self._present and not z3.is_true(model.eval(self._present[attribute], model_completion=True)):
                continue
            matched = frozenset(
                number
                for number, variable in enumerate(known.values())
                if z3.is_true(model.eval(variable, model_completion=True))
            )
            shown[attribute] = classes(tuple(known))[matched]
        return {"principal": self.kind, **self._fixed, **shown}


def applies(statement: Statement, request: Request) -> z3.BoolRef:
    """Whether a statement applies to a request."""
    return all_of(
        _by_principal(statement, request),
        _by_action(statement, request),
        _by_resource(statement, request),
        *(_by_condition(condition, request) for condition in statement.conditions),
    )


def _by_principal(statement: Statement, request: Request) -> z3.BoolRef:
    if statement.principals is None:
        return z3.BoolVal(True)
    if statement.not_principal:
        return z3.BoolVal(statement.allow)
    return any_of(*(_is_principal(kind, name, statement.allow, request) for kind, name in statement.principals))


def _is_principal(kind: str, name: str, allow: bool, request: Request) -> z3.BoolRef:
    if (kind, name) == ("AWS", "*"):
        return z3.BoolVal(True)
    if kind == "Service":
        return all_of(z3.BoolVal(request.kind == "service"), request.equal(SERVICE, name))
    if kind == "Federated":
        return z3.BoolVal(request.kind == "federated")
    if request.kind != "aws":
        return z3.BoolVal(False)
    account = name.split(":")[4] if name.startswith("arn:") and name.endswith(":root") else name
    if account.isdigit():
        return request.is_value(ACCOUNT, account)
    if name.startswith("arn:"):
        return request.is_value(ARN, name)
    # A name that AWS gives to one principal, and the program never: nobody knows whose it is.
    return z3.BoolVal(allow)


def _by_action(statement: Statement, request: Request) -> z3.BoolRef:
    found = request.like(ACTION, *statement.actions)
    return none_of(found) if statement.not_action else found


def _by_resource(statement: Statement, request: Request) -> z3.BoolRef:
    # Whichever reading lets more through: of an Allow the wider one, of a Deny or an exception the narrower.
    if statement.allow != statement.not_resource:
        found = request.like(RESOURCE, *map(_widened, statement.resources))
    else:
        found = request.arn_like(RESOURCE, *(text for text in statement.resources if not _VARIABLE.search(text)))
    return none_of(found) if statement.not_resource else found


def _widened(text: str) -> str:
    """A pattern with anything at all in place of a policy variable."""
    return _VARIABLE.sub("*", text)


def _by_condition(condition: Condition, request: Request) -> z3.BoolRef:
    operator, values = condition.operator, tuple(map(request.filled_in, condition.values))
    variable = any(map(_VARIABLE.search, values))
    # Whole numbers are told apart; where there are others, nothing is known.
    unclear = operator in _NUMBER and not all(value.isdecimal() and len(value) <= _MOST_DIGITS for value in values)
    if condition.quantifier or variable or unclear or operator in _LEFT_OPEN:
        return z3.FreshBool("open")
    key = _SAME_KEY.get(condition.key, condition.key)
    present = request.present(key)
    if operator == "Null":
        return any_of(*(none_of(present) if value == "true" else present for value in values))
    test = _test(operator, key, values, request)
    if operator in _NEGATED:
        return any_of(none_of(present), none_of(test))
    return any_of(none_of(present), test) if condition.if_exists else all_of(present, test)


def _test(operator: str, key: str, values: Sequence[str], request: Request) -> z3.BoolRef:
    if operator in _EQUAL or operator == "Bool":
        return request.equal(key, *values)
    if operator in _LIKE:
        return request.like(key, *values)
    if operator in _ARN_LIKE:
        return request.arn_like(key, *values)
    if operator in _ADDRESS:
        return any_of(*(packets.within(request.address(key), ipaddress.ip_network(value, strict=False)) for value in values))
    if operator in _NUMBER:
        return any_of(*(_ordered(operator, request.number(key), numbered(int(value))) for value in values))
    raise NotUnderstood(f"the condition {operator} is not known to the proof")


def _ordered(operator: str, number: z3.BitVecRef, value: int) -> z3.BoolRef:
    """Of the negated one, its contrary."""
    equal = same(number, value)
    if operator.endswith("LessThanEquals"):
        return any_of(z3.ULT(number, value), equal)
    if operator.endswith("GreaterThanEquals"):
        return any_of(z3.UGT(number, value), equal)
    if operator.endswith("LessThan"):
        return z3.ULT(number, value)
    return z3.UGT(number, value) if operator.endswith("GreaterThan") else equal


def allowed(
    statements: Sequence[Statement], request: Request, situation: Situation, solver: Solver
) -> Iterator[tuple[Statement, Mapping[str, str]]]:
    """Each Allow that lets a request of a situation through that no Deny refuses, with such a request."""
    premises = (tuple(statements), request.known, situation)
    yield from solver.concluded(premises, lambda: list(_allowed(statements, request, situation, solver)))


def _allowed(
    statements: Sequence[Statement], request: Request, situation: Situation, solver: Solver
) -> Iterator[tuple[Statement, Mapping[str, str]]]:
    may_fit = [one for one in statements if one.allow and not z3.is_false(z3.simplify(_by_principal(one, request)))]
    if not may_fit:
        return
    allows = [(one, applies(one, request)) for one in may_fit]
    refused = any_of(*(applies(one, request) for one in statements if not one.allow))
    wanted = [any_of(*(applied for _, applied in allows)), none_of(refused), *situation(request)]
    wanted += request.closed()
    # Mostly none does, which is one question for all.
    if solver.find(wanted) is None:
        return
    for statement, applied in allows:
        model = solver.find([applied, *wanted])
        if model is not None:
            yield statement, request.example(model)
