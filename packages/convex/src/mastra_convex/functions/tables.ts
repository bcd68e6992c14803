/** The tables for `convex/schema.ts`: `defineSchema({ ...mastraTables })`. */

import { defineTable, type TableDefinition } from "convex/server";
import { v, type GenericValidator } from "convex/values";
import { dimensions } from "./dimensions";
import { INDEXES, VECTORS } from "./nearest";
import { shapes } from "./shapes";
import type { Column, Shape } from "./words";

function validator(column: Column): GenericValidator {
  const plain = bare(column);
  if (column.nulls) return v.optional(v.union(plain as ReturnType<typeof v.string>, v.null()));
  return column.required ? plain : v.optional(plain as ReturnType<typeof v.string>);
}

function bare(column: Column): GenericValidator {
  switch (column.kind) {
    case "boolean":
      return v.boolean();
    case "float":
    case "number":
      return v.number();
    case "integer":
      return v.int64();
    case "object":
    case "any":
    case "json":
      return v.any();
    default:
      return v.string();
  }
}

function table(shape: Shape): TableDefinition {
  const fields: Record<string, any> = {};
  for (const column of shape.columns) fields[column.name] = validator(column);
  if (shape.joined) fields[shape.joined.field] = v.optional(v.string());
  let made: any = defineTable(fields);
  const named = new Map([shape.unique, ...shape.indexes, ...shape.others].map((i) => [i.name, i]));
  for (const index of named.values()) made = made.index(index.name, index.columns);
  return made;
}

/** The index by which vectors of this length are searched. */
export function vectorIndexOf(dimension: number): string {
  return `py_by_${dimension}_numbers`;
}

function vectorTables(): Record<string, TableDefinition> {
  const indexes = defineTable({
    id: v.string(),
    indexName: v.string(),
    dimension: v.number(),
    metric: v.string(),
    createdAt: v.string(),
  });
  const fields = {
    id: v.string(),
    indexName: v.string(),
    embedding: v.array(v.float64()),
    metadata: v.optional(v.any()),
    document: v.optional(v.string()),
  };
  let vectors: any = defineTable(fields)
    .index("by_index_id", ["indexName", "id"])
    .index("by_index", ["indexName"]);
  for (const numbers of dimensions) {
    vectors = vectors.vectorIndex(vectorIndexOf(numbers), {
      vectorField: "embedding",
      dimensions: numbers,
      filterFields: ["indexName"],
    });
  }
  return {
    [INDEXES]: indexes.index("by_record_id", ["id"]).index("by_name", ["indexName"]) as any,
    [VECTORS]: vectors,
  };
}

export const mastraTables: Record<string, TableDefinition> = {
  ...Object.fromEntries(Object.values(shapes).map((shape) => [shape.stored, table(shape)])),
  ...vectorTables(),
};
