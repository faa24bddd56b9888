"""What a month will cost."""

from collections.abc import Iterator

from operator_cli.preflight.place import Line, Place
from operator_cli.preflight.registry import check


@check("cost")
def cost(place: Place) -> Iterator[Line]:
    """An estimate out of list prices, which holds for the assumptions of docs/cost.md."""
    from posture import costs

    region, priced = place.settings.region, costs.book()["region"]
    estimate = f"about ${costs.total(place.plan):,.0f} a month, and ${costs.job_hour(place.plan):.2f} for each hour of a worker"
    lines = sorted(costs.lines(place.plan), key=costs.usd, reverse=True)
    items = tuple(f"{line.resource}: ${costs.usd(line):.2f}" for line in lines if costs.usd(line) >= 1)
    if region == priced:
        yield Line(name="cost", state="pass", detail=f"{estimate} (docs/cost.md has the assumptions)", items=items)
    else:
        detail = f"{estimate}, at the prices of {priced}: {region} has others"
        yield Line(name="cost", state="warn", detail=detail, next_step="Compare: https://calculator.aws/", items=items)
