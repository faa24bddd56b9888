"""Questions to the logs that somebody asks when something is wrong, kept as saved queries of CloudWatch Logs Insights.

Each is a file of ``infra/queries``: the word before the first hyphen of its name says which log groups it is for, its first
line, a comment, what it answers. A word in capitals is to be replaced by what is looked for.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi import Input, ResourceOptions

from infra.naming import Names

TYPE_SAVED_QUERIES = "heartmap:saved_queries:SavedQueries"

DIRECTORY = Path(__file__).with_name("queries")


@dataclass(frozen=True, kw_only=True)
class SavedQueriesArgs:
    """``log_groups`` are the names of log groups by the word that the queries for them begin with."""

    names: Names
    log_groups: Mapping[str, Sequence[Input[str]]]


class SavedQueries(pulumi.ComponentResource):
    """The queries for the log groups that there are, in one folder of the console."""

    def __init__(self, name: str, args: SavedQueriesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SAVED_QUERIES, name, None, opts)
        for file in sorted(DIRECTORY.glob("*.txt")):
            groups = args.log_groups.get(file.stem.partition("-")[0])
            if groups:
                aws.cloudwatch.QueryDefinition(
                    file.stem,
                    name=f"{args.names.prefix}/{file.stem}",
                    log_group_names=groups,
                    query_string=file.read_text(encoding="utf-8"),
                    opts=ResourceOptions(parent=self),
                )
        self.register_outputs({})
