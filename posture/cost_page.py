"""docs/cost.md: the table of what a month costs, for people."""

from collections.abc import Sequence

from posture.costs import LIMITS, book, job_hour, lines, total, usd, use_of
from posture.plan import ROOT, Plan

PAGE = ROOT / "docs" / "cost.md"


def render(plans: Sequence[Plan]) -> str:
    """The whole page, which is the same for the same plans and prices."""
    given = ", ".join(f"{given['quantity']} {price}s" for price, given in book()["always_given"].items())
    head = f"""# What a month costs

List prices of {book()["region"]}, {book()["as_of"]} (`posture/prices.yaml`), without discounts, for what the program plans. Of
the free tiers, only those that do not end ({given}) are counted, for an account that holds one stack.
Made by `make docs`; do not edit. A test fails when this page is stale, when a resource type has no price, and when a stack costs
more than it may. Jobs come on top: workers run while there is work, and cost by the hour."""
    summary = _table(
        ("Stack", "A month", "May cost", "An hour of a worker"),
        [(plan.stack, f"${total(plan):.2f}", f"${LIMITS[plan.stack]:.0f}", f"${job_hour(plan):.3f}") for plan in plans],
    )
    return "\n\n".join([head, summary, *map(_stack, plans), _assumptions(plans), _sources()]) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _stack(plan: Plan) -> str:
    bought: dict[str, list[float]] = {}
    for line in lines(plan):
        sums = bought.setdefault(line.price, [0.0, 0.0])
        sums[0] += line.quantity
        sums[1] += usd(line)
    rows = [
        (
            key.replace("_", " "),
            f"{quantity:,.2f}",
            book()["prices"][key]["unit"],
            f"{book()['prices'][key]['usd']:g}",
            f"{cost:.2f}",
        )
        for key, (quantity, cost) in sorted(bought.items(), key=lambda item: -item[1][1])
    ]
    return f"## {plan.stack}\n\n" + _table(("What", "Quantity", "Unit", "Price in $", "A month in $"), rows)


def _assumptions(plans: Sequence[Plan]) -> str:
    rows = [
        ("hours in which the API's tasks and the bastion run", *(f"{use_of(plan).working_hours:,.0f}" for plan in plans)),
        *((told["text"], *(f"{told[plan.stack]:,}" for plan in plans)) for told in book()["assumptions"].values()),
    ]
    return "## What is assumed of a month\n\n" + _table(("What", *(plan.stack for plan in plans)), rows)


def _sources() -> str:
    pages = sorted({price["source"] for price in book()["prices"].values()})
    return (
        "## Where the prices stand\n\nThey were written down without these pages at hand: compare before you rely on them.\n\n"
        + "\n".join(f"- <{url}>" for url in pages)
    )
