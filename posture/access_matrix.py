"""docs/access-matrix.md: who may call what, for people, from the access policy."""

from lambda_authorizer.access_policy import ACCESS_POLICY, ADMIN, ANALYST, SCOPES, VIEWER, Rule, permits
from posture.plan import ROOT

PAGE = ROOT / "docs" / "access-matrix.md"

# From the one who may least.
ROLES = (VIEWER, ANALYST, ADMIN)

OPEN, CLOSED = "yes", "-"

_HEAD = """# Who may call what

Made by `make docs` from [lambda_authorizer/access_policy.py](../lambda_authorizer/access_policy.py); do not edit. A test compares
this page with what the authorizer decides for every method of every route, every set of roles and every set of scopes.

Each column is a caller who has that one role or scope and nothing else; who has several may do what any of them may. *no role* is
whoever has a valid credential. Roles are the groups of the user pool, and those that a program under an IAM role is given; scopes
are those of an API key or, spelt `heartmap/<scope>`, of an OAuth2 client's token. Without a valid credential nobody may do
anything, and a method or a route that is not here is denied to everyone.

`yes, N min`: with an access token only while its sign-in is at most N minutes old. An API key has no sign-in, and its calls have
to be signed instead if it was made for such a row."""


def render() -> str:
    """The whole page, which is the same for the same policy."""
    head = ("Method", "Route", "no role", *ROLES, *(f"`{scope}`" for scope in sorted(SCOPES)))
    rows = [(rule.method, f"`{rule.route}`", *_cells(rule)) for rule in ACCESS_POLICY]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    return f"{_HEAD}\n\n{table}\n"


def _cells(rule: Rule) -> list[str]:
    nobody: frozenset[str] = frozenset()
    callers = [(nobody, nobody)]
    callers += [(frozenset({role}), nobody) for role in ROLES]
    callers += [(nobody, frozenset({scope})) for scope in sorted(SCOPES)]
    # Minutes, of seconds that are whole ones.
    mark = OPEN if rule.sign_in_age is None else f"{OPEN}, {rule.sign_in_age // 60} min"
    return [mark if permits(rule, groups, scopes) else CLOSED for groups, scopes in callers]
