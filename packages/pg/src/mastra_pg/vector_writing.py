"""Changes of vectors as statements: many rows in one, of which each stands over the one with its id."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from mastra_core.errors import SchemaError
from mastra_core.storage.sql import Statement
from mastra_core.vector.filters import Node
from mastra_core.vector.schema import Item
from mastra_pg.values import literal
from mastra_pg.vector_backend import sparse, vector, vectors
from mastra_pg.vector_filters import Params, translated
from mastra_pg.vector_schema import Shape
from mastra_pg.vector_search import within


def storing(table: str, shape: Shape, items: Sequence[Item]) -> Statement:
    """The statement that stores items, whose ids differ."""
    if not shape.key:
        raise SchemaError(
            f"the table {shape.index.name!r} has no unique index of its ids; create one on "
            "(namespace, vector_id), or on (vector_id) if it has no namespaces"
        )
    embeddings: Any
    if shape.kind == "sparsevec":
        embeddings, kind = literal([sparse(item.vector) for item in items]), "text"
    else:
        embeddings, kind = (
            vectors([item.vector for item in items], shape.oid),
            shape.named("vector"),
        )
    new = "new.v" if shape.kind == "vector" else f"new.v::{shape.type_name()}"
    columns = ("embedding", "metadata", "document")
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    return Statement(
        f"INSERT INTO {table} (vector_id, {', '.join(columns)}) "
        f"SELECT new.i, {new}, new.m::jsonb, new.d "
        f"FROM unnest($1::text[], $2::{kind}[], $3::text[], $4::text[]) AS new(i, v, m, d) "
        f"ON CONFLICT ({', '.join(shape.key)}) DO UPDATE SET {sets}",
        [
            literal([item.id for item in items]),
            embeddings,
            literal([item.metadata_json for item in items]),
            literal([item.document for item in items]),
        ],
        table=shape.index.name,
    )


def updating(
    table: str,
    shape: Shape,
    chosen: Node | list[str],
    numbers: array[float] | None,
    metadata_json: str | None,
) -> Statement:
    """The statement that gives chosen vectors other values, other metadata, or both."""
    params = Params()
    sets: list[str] = []
    if numbers is not None:
        sparsely = shape.kind == "sparsevec"
        given = (
            params.add(sparse(numbers))
            if sparsely
            else params.add(vector(numbers), shape.named("vector"))
        )
        sets.append(f"embedding = {given}::{shape.type_name()}")
    if metadata_json is not None:
        sets.append(f"metadata = {params.add(metadata_json, 'jsonb')}")
    where = _chosen(shape, chosen, params)
    sql = f"UPDATE {table} SET {', '.join(sets)} WHERE {where}"
    return Statement(sql, params.values, table=shape.index.name)


def deleting(table: str, shape: Shape, chosen: Node | list[str]) -> Statement:
    """The statement that deletes chosen vectors."""
    params = Params()
    where = _chosen(shape, chosen, params)
    return Statement(f"DELETE FROM {table} WHERE {where}", params.values, table=shape.index.name)


def _chosen(shape: Shape, chosen: Node | list[str], params: Params) -> str:
    if isinstance(chosen, list):
        condition = f"vector_id = ANY({params.add(literal(chosen), 'text[]')})"
    else:
        condition = translated(chosen, params, shape.indexed)
    return f"{within(shape)} AND {condition}"
