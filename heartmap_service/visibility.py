"""Who may see an upload or an analysis: its owner and the administrators, and those whom the owner lets."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from heartmap_service.identity import Caller
from heartmap_service.records import Analysis, Upload, Visibility

Principal = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


def _as_one_rule(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    # pydantic would name each kind of value that the field could have been, in its own notation.
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError("visibility", "not a visibility") from None


VisibilityField = Annotated[
    Literal["private", "shared"] | Annotated[list[Principal], Field(max_length=25)], WrapValidator(_as_one_rule)
]


class NewVisibility(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    visibility: VisibilityField


def may_see(caller: Caller, record: Upload | Analysis) -> bool:
    named = record.visibility if isinstance(record.visibility, list) else []
    return is_in_charge(caller, record) or record.visibility == "shared" or caller.principal in named


def is_in_charge(caller: Caller, record: Upload | Analysis) -> bool:
    """Whether the caller owns it, or is an administrator."""
    return record.owner == caller.principal or caller.is_admin


def lists_of(caller: Caller) -> list[str]:
    """The lists that together hold whatever the caller may see."""
    return ["all"] if caller.is_admin else [f"owner#{caller.principal}", "shared", f"named#{caller.principal}"]


def normal(visibility: Visibility) -> Visibility:
    return sorted(set(visibility)) if isinstance(visibility, list) else visibility
