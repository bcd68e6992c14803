"""A workflow that survives: a process is killed while its run is suspended, and another resumes it.

DATABASE_URL=postgresql://user:password@host/database python examples/durable_workflow.py

The first process begins a run, whose parallel steps report at the same time, and suspends it to wait
for somebody's approval. It is killed. The second one finds the run by its id, resumes and ends it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

from mastra_core.clock import uuid7
from mastra_pg import WorkflowsPG

NAME = "publish"
CHECKS = ("spelling", "links", "facts")


async def check(workflows: WorkflowsPG, run: str, step: str) -> None:
    """One of the parallel steps; none of their reports is lost."""
    result = {"status": "success", "output": {"checked": step}}
    await workflows.update_workflow_results(
        workflow_name=NAME, run_id=run, step_id=step, result=result
    )


async def begin(workflows: WorkflowsPG, run: str) -> None:
    """In the first process: check, then suspend the run until somebody approves."""
    snapshot: dict[str, Any] = {"runId": run, "status": "running", "context": {"input": "a draft"}}
    await workflows.persist_workflow_snapshot(workflow_name=NAME, run_id=run, snapshot=snapshot)
    await asyncio.gather(*(check(workflows, run, step) for step in CHECKS))
    waiting = {"status": "suspended", "suspendPayload": {"question": "Publish?"}}
    await workflows.update_workflow_results(
        workflow_name=NAME, run_id=run, step_id="approval", result=waiting
    )
    state = {"status": "suspended", "suspendedPaths": {"approval": [1]}}
    await workflows.update_workflow_state(workflow_name=NAME, run_id=run, opts=state)
    print("suspended", flush=True)
    await asyncio.sleep(3600)


async def resume(workflows: WorkflowsPG, run: str) -> bool:
    """In the second process, which knows nothing but the run's id: approve, and end the run.

    Of several that try only one succeeds.
    """
    mine = {"status": "running", "suspendedPaths": {}, "expectedStatus": "suspended"}
    state = await workflows.update_workflow_state(workflow_name=NAME, run_id=run, opts=mine)
    if state is None:
        return False
    context = await workflows.update_workflow_results(
        workflow_name=NAME,
        run_id=run,
        step_id="approval",
        result={"status": "success", "output": {"approved": True}},
    )
    done = {"status": "success", "result": {"published": sorted(set(context) & set(CHECKS))}}
    await workflows.update_workflow_state(workflow_name=NAME, run_id=run, opts=done)
    return True


async def main(url: str, arguments: list[str]) -> None:
    """Begin or resume in this process, or show both in processes of their own."""
    workflows = WorkflowsPG(connection_string=url)
    if arguments[:1] == ["begin"]:
        await begin(workflows, arguments[1])
    elif arguments[:1] == ["resume"]:
        print(await resume(workflows, arguments[1]))
    else:
        await show(workflows, uuid7())
    await workflows.close()


async def show(workflows: WorkflowsPG, run: str) -> None:
    """Kill the process that began, then let another one end the run."""
    me = [sys.executable, __file__]
    with subprocess.Popen([*me, "begin", run], stdout=subprocess.PIPE, text=True) as first:  # noqa: ASYNC220, S603
        assert first.stdout is not None
        said = first.stdout.readline().strip()
        first.kill()
    print(f"  process {first.pid}  began, {said}; killed with code {first.wait()}")
    found = await workflows.get_workflow_run_by_id(run, workflow_name=NAME)
    assert found is not None
    print(
        f"  PostgreSQL       status {found.snapshot['status']}, steps {sorted(found.snapshot['context'])}"
    )
    for _ in range(2):
        second = subprocess.run([*me, "resume", run], capture_output=True, text=True, check=True)  # noqa: ASYNC221, S603
        print(f"  another process  resumed: {second.stdout.strip()}")
    snapshot = await workflows.load_workflow_snapshot(workflow_name=NAME, run_id=run)
    assert snapshot is not None
    print(f"  PostgreSQL       status {snapshot['status']}, result {snapshot['result']}")


if __name__ == "__main__":
    database = os.environ.get("DATABASE_URL")
    if not database:
        sys.exit(
            "DATABASE_URL names no PostgreSQL database; set it, as in\nDATABASE_URL="
            "postgresql://user:password@localhost/mastra python examples/durable_workflow.py"
        )
    asyncio.run(main(database, sys.argv[1:]))
