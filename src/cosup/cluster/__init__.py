"""Work on a cluster of Ray: a connection, tasks with retries and back-pressure, pipelines that outlive their nodes.

Between processes move paths, texts, numbers and Arrow tables only; functions go by name, and every node has cosup
installed. Ray is imported when a cluster is asked for (extra ``ray``).
"""

from cosup.cluster.connection import Cluster, check_address, connect
from cosup.cluster.pipeline import stream
from cosup.cluster.tasks import everywhere, run_tasks

__all__ = ["Cluster", "check_address", "connect", "everywhere", "run_tasks", "stream"]
