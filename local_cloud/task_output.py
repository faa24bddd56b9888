"""Sends what a task prints to its log group, as ECS's awslogs driver does, and passes it on to this program's own output.

    python -m local_cloud.task_output --group /heartmap/local/api --stream api/api/0a1b2c

It reads its standard input to the end, which comes when the task and all that it started have ended.
"""

import argparse
import sys

from local_cloud import deployed
from local_cloud.log_shipper import LogShipper


def main() -> None:
    """Sends line by line until there is nothing more to come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", required=True, help="the log group, which exists")
    parser.add_argument("--stream", required=True, help="the log stream")
    arguments = parser.parse_args()
    shipper = LogShipper(deployed.client("logs"), arguments.group, arguments.stream, sys.stdout)
    for line in sys.stdin.buffer:
        shipper.write(line.decode("utf-8", "replace").rstrip("\r\n"))
    shipper.close()


if __name__ == "__main__":
    main()
