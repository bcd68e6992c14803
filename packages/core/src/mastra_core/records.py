"""The records that storage keeps and gives back: immutable, checked when read, JSON as the original.

``msgspec.json.encode(record)`` gives the original's JSON (camel-case keys, ISO times). Times are
aware UTC datetimes with millisecond precision. ``UNSET`` is "never given", which for free JSON
values is not the same as a stored ``null`` (``None``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, field

from mastra_core.clock import instant, now, uuid7

Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]
Role: TypeAlias = Literal["user", "assistant", "system", "tool", "signal"]


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What all records share: frozen, keyword-only, camel-case in JSON."""


class Thread(Record, frozen=True, kw_only=True):
    """A conversation, owned by one resource (a user, an organisation)."""

    id: str = field(default_factory=uuid7)
    resource_id: str
    title: str = ""
    metadata: JsonObject | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class Message(Record, frozen=True, kw_only=True):
    """One message; ``content`` is the original's V2 format: ``{"format": 2, "parts": [...]}``.

    Parts and keys that this version does not know are kept as they are.
    """

    id: str = field(default_factory=uuid7)
    thread_id: str
    resource_id: str | None
    role: str
    content: JsonObject
    type: str = "v2"
    created_at: datetime = field(default_factory=instant)

    @property
    def parts(self) -> list[JsonObject]:
        """The parts of the content, in order."""
        parts: list[JsonObject] = self.content.get("parts") or []
        return parts

    @property
    def text(self) -> str:
        """All text parts, joined by line ends."""
        texts = [str(part.get("text") or "") for part in self.parts if part.get("type") == "text"]
        return "\n".join(texts) if texts else str(self.content.get("content") or "")


class Resource(Record, frozen=True, kw_only=True):
    """What is kept of the owner of threads across all of them."""

    id: str
    working_memory: str | None = None
    metadata: JsonObject | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class WorkflowRun(Record, frozen=True, kw_only=True):
    """One run of a workflow with its latest snapshot."""

    workflow_name: str
    run_id: str
    resource_id: str | None = None
    snapshot: Json
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class Score(Record, frozen=True, kw_only=True):
    """One judgement of one scorer about one run."""

    id: str = field(default_factory=uuid7)
    scorer_id: str
    run_id: str
    entity_id: str
    scorer: JsonObject
    entity: JsonObject
    output: Json
    score: float
    source: str
    input: Json = UNSET
    trace_id: str | None = None
    span_id: str | None = None
    preprocess_step_result: Json = None
    extract_step_result: Json = None
    analyze_step_result: Json = None
    reason: str | None = None
    metadata: JsonObject | None = None
    preprocess_prompt: str | None = None
    extract_prompt: str | None = None
    generate_score_prompt: str | None = None
    generate_reason_prompt: str | None = None
    analyze_prompt: str | None = None
    reason_prompt: str | None = None
    additional_context: Json = None
    request_context: Json = None
    entity_type: str | None = None
    resource_id: str | None = None
    thread_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    batch_id: str | None = None
    dataset_id: str | None = None
    dataset_item_id: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class Span(Record, frozen=True, kw_only=True):
    """One span of a trace; a root span has no ``parent_span_id``, a running one no ``ended_at``."""

    trace_id: str
    span_id: str
    name: str
    span_type: str
    is_event: bool = False
    started_at: datetime
    ended_at: datetime | None = None
    parent_span_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    entity_name: str | None = None
    parent_entity_type: str | None = None
    parent_entity_id: str | None = None
    parent_entity_name: str | None = None
    root_entity_type: str | None = None
    root_entity_id: str | None = None
    root_entity_name: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    resource_id: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    thread_id: str | None = None
    request_id: str | None = None
    environment: str | None = None
    service_name: str | None = None
    scope: JsonObject | None = None
    entity_version_id: str | None = None
    parent_entity_version_id: str | None = None
    root_entity_version_id: str | None = None
    experiment_id: str | None = None
    source: str | None = None
    metadata: JsonObject | None = None
    tags: list[str] | None = None
    attributes: JsonObject | None = None
    links: Json = None
    input: Json = UNSET
    output: Json = UNSET
    error: Json = None
    request_context: JsonObject | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime | None = None

    @property
    def status(self) -> Literal["error", "running", "success"]:
        """``error`` where there is one, else ``running`` until it has ended, else ``success``."""
        if self.error is not None:
            return "error"
        return "running" if self.ended_at is None else "success"


class Dataset(Record, frozen=True, kw_only=True):
    """A set of versioned items to evaluate against; every change of items makes a version."""

    id: str = field(default_factory=uuid7)
    name: str
    description: str | None = None
    metadata: JsonObject | None = None
    input_schema: JsonObject | None = None
    ground_truth_schema: JsonObject | None = None
    request_context_schema: JsonObject | None = None
    tags: list[str] | None = None
    target_type: str | None = None
    target_ids: list[str] | None = None
    scorer_ids: list[str] | None = None
    organization_id: str | None = None
    project_id: str | None = None
    candidate_key: str | None = None
    candidate_id: str | None = None
    version: int = 0
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class DatasetItem(Record, frozen=True, kw_only=True):
    """One version of one item: valid from ``dataset_version`` until ``valid_to`` (open if None)."""

    id: str = field(default_factory=uuid7)
    dataset_id: str
    dataset_version: int
    external_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    valid_to: int | None = None
    is_deleted: bool = False
    input: Json
    ground_truth: Json = UNSET
    request_context: JsonObject | None = None
    metadata: JsonObject | None = None
    source: JsonObject | None = None
    expected_trajectory: Json = UNSET
    tool_mocks: Json = UNSET
    unmocked_tool_policy: str | None = None
    scorer_ids: list[str] | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class DatasetVersion(Record, frozen=True, kw_only=True):
    """That a dataset reached a version, and when."""

    id: str = field(default_factory=uuid7)
    dataset_id: str
    version: int
    created_at: datetime = field(default_factory=now)


ExperimentStatus: TypeAlias = Literal["pending", "running", "completed", "failed"]
ReviewStatus: TypeAlias = Literal["needs-review", "reviewed", "complete"]


class Experiment(Record, frozen=True, kw_only=True):
    """One run of a target over the items of a dataset (or over none)."""

    id: str = field(default_factory=uuid7)
    name: str | None = None
    description: str | None = None
    metadata: JsonObject | None = None
    provenance: Json = None
    runner_attestation: Json = None
    experiment_set_id: str | None = None
    comparison_id: str | None = None
    variant_id: str | None = None
    trial_index: int | None = None
    dataset_id: str | None = None
    dataset_version: int | None = None
    target_type: str | None = None
    target_id: str | None = None
    scorer_ids: list[str] | None = None
    status: str = "pending"
    total_items: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    skipped_count: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    agent_version: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


class ExperimentResult(Record, frozen=True, kw_only=True):
    """What one attempt at one item gave; ``status`` is ``None`` until somebody reviews it."""

    id: str = field(default_factory=uuid7)
    experiment_id: str
    item_id: str
    item_dataset_version: int | None = None
    input: Json
    output: Json = UNSET
    ground_truth: Json = UNSET
    metadata: JsonObject | None = None
    error: Json = None
    started_at: datetime
    completed_at: datetime
    retry_count: int = 0
    attempt: int | None = 0
    trace_id: str | None = None
    status: str | None = None
    tags: list[str] | None = None
    comment: str | None = None
    tool_mock_report: Json = None
    organization_id: str | None = None
    project_id: str | None = None
    created_at: datetime = field(default_factory=now)


class ReviewSummary(Record, frozen=True, kw_only=True):
    """How far the review of one experiment's results has come: numbers of results."""

    experiment_id: str
    total: int
    needs_review: int
    reviewed: int
    complete: int


class Page(Record, frozen=True, kw_only=True):
    """One page of a listing: ``per_page`` is ``False`` for all rows, ``total`` ``None`` if not asked."""

    total: int | None
    page: int
    per_page: int | Literal[False]
    has_more: bool


class ThreadPage(Page, frozen=True, kw_only=True):
    """A page of threads."""

    threads: list[Thread]


class MessagePage(Page, frozen=True, kw_only=True):
    """A page of messages, with those that ``include`` brought in."""

    messages: list[Message]


class ScorePage(Page, frozen=True, kw_only=True):
    """A page of scores."""

    scores: list[Score]


class SpanPage(Page, frozen=True, kw_only=True):
    """A page of root spans; each stands for its trace."""

    spans: list[Span]


class DatasetPage(Page, frozen=True, kw_only=True):
    """A page of datasets."""

    datasets: list[Dataset]


class DatasetItemPage(Page, frozen=True, kw_only=True):
    """A page of items as they stand at one version."""

    items: list[DatasetItem]


class DatasetVersionPage(Page, frozen=True, kw_only=True):
    """A page of a dataset's versions."""

    versions: list[DatasetVersion]


class ExperimentPage(Page, frozen=True, kw_only=True):
    """A page of experiments."""

    experiments: list[Experiment]


class ExperimentResultPage(Page, frozen=True, kw_only=True):
    """A page of an experiment's results."""

    results: list[ExperimentResult]


class WorkflowRunPage(Record, frozen=True, kw_only=True):
    """Runs of workflows; ``total`` is the number that match, not of this page."""

    runs: list[WorkflowRun]
    total: int | None


class TraceSpans(Record, frozen=True, kw_only=True):
    """The spans of one trace, in order of their start."""

    trace_id: str
    spans: list[Span]
