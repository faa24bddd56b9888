"""Why a call about users is refused, in the words that it is answered with. None of them holds anything that a caller sent."""

from lambda_authorizer.problems import Problem

NO_SUCH_USER = Problem(404, "Not Found", "no_such_user", "There is no such user. GET /users lists them.")
USER_EXISTS = Problem(
    409, "Conflict", "user_exists", "Somebody with this address is there already, as GET /users says: change their group instead."
)
OWN_ACCOUNT = Problem(
    409,
    "Conflict",
    "own_account",
    "You cannot disable your own account or leave the group admin. Ask another administrator to do it.",
)
LAST_ADMIN = Problem(
    409,
    "Conflict",
    "last_admin",
    "You were made no administrator at the same moment, and there might have been none left: the change was taken back.",
)
NO_ADMIN_ANY_MORE = Problem(
    403, "Forbidden", "no_admin_any_more", "You are no administrator any more: your sign-in is older than that. Sign in again."
)
EXTERNAL_USER = Problem(
    409,
    "Conflict",
    "external_user",
    "This person signs in with another identity provider, which looks after their second factor: reset it there.",
)
