"""The core schema: every table of every domain, with the names and columns of the original.

Columns are written as ``name type``; ``!`` after the type is NOT NULL, ``?`` is nullable, and no
mark is what the original leaves unset. The indexes are ours: reads rely on them, and the original
neither needs nor minds them.
"""

from __future__ import annotations

from typing import cast

from mastra_core.storage.schema import Column, ColumnType, Index, Table


def _columns(text: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    for item in text.split(","):
        name, kind = item.split()
        nullable = {"!": False, "?": True}.get(kind[-1])
        columns.append(Column(name, cast(ColumnType, kind.rstrip("!?")), nullable))
    return tuple(columns)


def _table(
    name: str,
    key: str,
    columns: str,
    *,
    primary: bool = True,
    **indexes: str,
) -> Table:
    declared = tuple(Index(f"{name}_{k}", tuple(v.split())) for k, v in indexes.items())
    return Table(name, _columns(columns), tuple(key.split()), declared, primary)


THREADS = _table(
    "mastra_threads",
    "id",
    "id text!, resourceId text!, title text!, metadata json?, createdAt timestamp!,"
    "updatedAt timestamp!",
    by_created="createdAt id",
    by_resource_created="resourceId createdAt id",
    by_resource_updated="resourceId updatedAt id",
)
MESSAGES = _table(
    "mastra_messages",
    "id",
    "id text!, thread_id text!, content text!, role text!, type text!, createdAt timestamp!,"
    "resourceId text?",
    by_thread_created="thread_id createdAt id",
    by_resource_created="resourceId createdAt id",
)
RESOURCES = _table(
    "mastra_resources",
    "id",
    "id text!, workingMemory text?, metadata json?, createdAt timestamp!, updatedAt timestamp!",
)
# Written by the original only; kept here so that deleting a thread deletes what was observed in it.
OBSERVATIONAL_MEMORY = _table(
    "mastra_observational_memory",
    "id",
    "id text!, lookupKey text!, scope text!, resourceId text?, threadId text?,"
    "activeObservations text!, activeObservationsPendingUpdate text?, originType text!,"
    "config text!, generationCount integer!, lastObservedAt timestamp?,"
    "lastReflectionAt timestamp?, pendingMessageTokens integer!, totalTokensObserved integer!,"
    "observationTokenCount integer!, isObserving boolean!, isReflecting boolean!,"
    "observedMessageIds json?, observedTimezone text?, bufferedObservations text?,"
    "bufferedObservationTokens integer?, bufferedMessageIds json?, bufferedReflection text?,"
    "bufferedReflectionTokens integer?, bufferedReflectionInputTokens integer?,"
    "reflectedObservationLineCount integer?, bufferedObservationChunks json?,"
    "isBufferingObservation boolean!, isBufferingReflection boolean!,"
    "lastBufferedAtTokens integer!, lastBufferedAtTime timestamp?, metadata json?,"
    "createdAt timestamp!, updatedAt timestamp!",
    by_lookup="lookupKey generationCount id",
)
WORKFLOW_SNAPSHOT = _table(
    "mastra_workflow_snapshot",
    "workflow_name run_id",
    "workflow_name text, run_id text, resourceId text?, snapshot json, createdAt timestamp,"
    "updatedAt timestamp",
    primary=False,
    by_run="run_id createdAt workflow_name",
    by_created="createdAt workflow_name run_id",
    by_workflow_created="workflow_name createdAt run_id",
    by_resource_created="resourceId createdAt workflow_name run_id",
)
SCORERS = _table(
    "mastra_scorers",
    "id",
    "id text!, scorerId text, traceId text?, spanId text?, runId text, scorer json,"
    "preprocessStepResult json?, extractStepResult json?, analyzeStepResult json?, score float,"
    "reason text?, metadata json?, preprocessPrompt text?, extractPrompt text?,"
    "generateScorePrompt text?, generateReasonPrompt text?, analyzePrompt text?,"
    "reasonPrompt text?, input json, output json, additionalContext json?, requestContext json?,"
    "entityType text?, entity json?, entityId text?, source text, resourceId text?,"
    "threadId text?, organizationId text?, projectId text?, batchId text?, datasetId text?,"
    "datasetItemId text?, createdAt timestamp, updatedAt timestamp",
    by_created="createdAt id",
    by_scorer="scorerId createdAt id",
    by_run="runId createdAt id",
    by_entity="entityId entityType createdAt id",
    by_span="traceId spanId createdAt id",
)
SPANS = _table(
    "mastra_ai_spans",
    "traceId spanId",
    "traceId text!, spanId text!, name text!, spanType text!, isEvent boolean!,"
    "startedAt timestamp!, parentSpanId text?, entityType text?, entityId text?,"
    "entityName text?, parentEntityType text?, parentEntityId text?, parentEntityName text?,"
    "rootEntityType text?, rootEntityId text?, rootEntityName text?, userId text?,"
    "organizationId text?, resourceId text?, runId text?, sessionId text?, threadId text?,"
    "requestId text?, environment text?, serviceName text?, scope json?, entityVersionId text?,"
    "parentEntityVersionId text?, rootEntityVersionId text?, experimentId text?, source text?,"
    "metadata json?, tags json?, attributes json?, links json?, input json?, output json?,"
    "error json?, endedAt timestamp?, requestContext json?, createdAt timestamp!,"
    "updatedAt timestamp?",
    primary=False,
    by_trace="traceId startedAt spanId",
    by_started="startedAt traceId spanId",
    by_parent_started="parentSpanId startedAt traceId spanId",
    by_parent_ended="parentSpanId endedAt traceId spanId",
)
DATASETS = _table(
    "mastra_datasets",
    "id",
    "id text!, name text!, description text?, metadata json?, inputSchema json?,"
    "groundTruthSchema json?, requestContextSchema json?, tags json?, targetType text?,"
    "targetIds json?, scorerIds json?, organizationId text?, projectId text?, candidateKey text?,"
    "candidateId text?, version integer!, createdAt timestamp!, updatedAt timestamp!",
    by_created="createdAt id",
    by_tenant_created="organizationId projectId createdAt id",
)
DATASET_ITEMS = _table(
    "mastra_dataset_items",
    "id datasetVersion",
    "id text!, datasetId text!, datasetVersion integer!, externalId text?, organizationId text?,"
    "projectId text?, validTo integer?, isDeleted boolean!, input json!, groundTruth json?,"
    "requestContext json?, metadata json?, source json?, expectedTrajectory json?,"
    "toolMocks json?, unmockedToolPolicy text?, scorerIds json?, createdAt timestamp!,"
    "updatedAt timestamp!",
    primary=False,
    by_dataset_created="datasetId createdAt id datasetVersion",
    by_dataset_current="datasetId validTo isDeleted createdAt id datasetVersion",
    by_external="datasetId externalId datasetVersion id",
)
DATASET_VERSIONS = _table(
    "mastra_dataset_versions",
    "id",
    "id text!, datasetId text!, version integer!, createdAt timestamp!",
    by_dataset="datasetId version id",
)
EXPERIMENTS = _table(
    "mastra_experiments",
    "id",
    "id text!, name text?, description text?, metadata json?, provenance json?,"
    "runnerAttestation json?, experimentSetId text?, comparisonId text?, variantId text?,"
    "trialIndex integer?, datasetId text?, datasetVersion integer?, targetType text?,"
    "targetId text?, scorerIds json?, status text!, totalItems integer!,"
    "succeededCount integer!, failedCount integer!, skippedCount integer!, startedAt timestamp?,"
    "completedAt timestamp?, agentVersion text?, organizationId text?, projectId text?,"
    "createdAt timestamp!, updatedAt timestamp!",
    by_created="createdAt id",
    by_dataset_created="datasetId createdAt id",
    by_set_created="experimentSetId createdAt id",
    by_tenant_created="organizationId projectId createdAt id",
)
EXPERIMENT_RESULTS = _table(
    "mastra_experiment_results",
    "id",
    "id text!, experimentId text!, itemId text!, itemDatasetVersion integer?, input json!,"
    "output json?, groundTruth json?, metadata json?, error json?, startedAt timestamp!,"
    "completedAt timestamp!, retryCount integer!, attempt integer?, traceId text?, status text?,"
    "tags json?, comment text?, toolMockReport json?, organizationId text?, projectId text?,"
    "createdAt timestamp!",
    by_experiment_started="experimentId startedAt id",
    by_experiment_created="experimentId createdAt id",
    by_item_attempt="experimentId itemId attempt id",
    by_dataset_item="itemId experimentId id",
)

TABLES = (
    THREADS,
    MESSAGES,
    RESOURCES,
    OBSERVATIONAL_MEMORY,
    WORKFLOW_SNAPSHOT,
    SCORERS,
    SPANS,
    DATASETS,
    DATASET_ITEMS,
    DATASET_VERSIONS,
    EXPERIMENTS,
    EXPERIMENT_RESULTS,
)
