"""The records that the other tests send across have every field that there is."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.records import (
    Dataset,
    DatasetItem,
    Experiment,
    ExperimentResult,
    Message,
    Resource,
    Score,
    Span,
    Thread,
    WorkflowRun,
)

from .plain import fields_of
from .test_datasets import DATASET, ITEM, STORED_DATASET, STORED_ITEM
from .test_experiments import EXPERIMENT, RESULT, STORED_EXPERIMENT, STORED_RESULT
from .test_messages import MESSAGE
from .test_observability import SPAN
from .test_scores import SCORE
from .test_threads import RESOURCE, THREAD
from .test_workflows import RUN


@pytest.mark.parametrize(
    ("sample", "record"),
    [
        (THREAD, Thread),
        (RESOURCE, Resource),
        (MESSAGE, Message),
        (RUN, WorkflowRun),
        (SCORE, Score),
        (SPAN, Span),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_sample_has_every_field(sample: dict, record: type[msgspec.Struct]):
    assert sample.keys() == fields_of(record)
    assert None not in sample.values()


@pytest.mark.parametrize(
    ("given", "stored", "record"),
    [
        (DATASET, STORED_DATASET, Dataset),
        (ITEM, STORED_ITEM, DatasetItem),
        (EXPERIMENT, STORED_EXPERIMENT, Experiment),
        (RESULT, STORED_RESULT, ExperimentResult),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_sample_has_every_field_that_storage_does_not_set_itself(
    given: dict, stored: set, record: type[msgspec.Struct]
):
    assert given.keys() | stored == fields_of(record)
    assert not given.keys() & stored
    assert None not in given.values()
