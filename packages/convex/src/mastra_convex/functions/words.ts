/** The words between the Python client and these functions: shapes of tables, queries and changes. */

import { v, type Infer } from "convex/values";

/** A value of a row: JSON columns are their text, times ISO text, null is the absent value. */
export const value = v.union(v.string(), v.null(), v.number(), v.int64(), v.boolean());

export const condition = v.object({
  column: v.string(),
  op: v.union(
    v.literal("eq"),
    v.literal("ne"),
    v.literal("lt"),
    v.literal("lte"),
    v.literal("gt"),
    v.literal("gte"),
    v.literal("in"),
  ),
  value: v.union(value, v.array(value)),
  path: v.optional(v.array(v.string())),
});

export const order = v.object({ column: v.string(), desc: v.boolean() });

/** How far a read has come that one call could not finish. */
export const progress = v.object({
  prefix: v.number(),
  seen: v.union(v.null(), v.array(value)),
  skipped: v.number(),
});

export const query = v.object({
  table: v.string(),
  columns: v.array(v.string()),
  where: v.array(condition),
  order: v.array(order),
  limit: v.number(),
  offset: v.number(),
  after: v.optional(v.array(value)),
  from: v.optional(progress),
});

export const counting = v.object({
  table: v.string(),
  where: v.array(condition),
  from: v.optional(progress),
});

export const merge = v.union(
  v.literal("keep"),
  v.literal("coalesce"),
  v.literal("advance"),
  v.literal("match"),
);

const put = v.object({
  kind: v.literal("put"),
  table: v.string(),
  rows: v.array(v.array(value)),
  conflict: v.union(v.literal("replace"), v.literal("fail"), v.literal("skip")),
  merge: v.array(v.object({ column: v.string(), rule: merge })),
});

const update = v.object({
  kind: v.literal("update"),
  table: v.string(),
  where: v.array(condition),
  set: v.array(v.object({ column: v.string(), value, advance: v.boolean() })),
  expect: v.union(v.null(), v.number()),
});

const remove = v.object({
  kind: v.literal("delete"),
  table: v.string(),
  where: v.array(condition),
  expect: v.union(v.null(), v.number()),
});

export const change = v.union(put, update, remove);

/** Rows and whether they are in the order asked for; `next` is null where there are no more. */
export const found = v.object({
  rows: v.array(v.array(value)),
  sorted: v.boolean(),
  next: v.union(v.null(), progress),
});

export type Value = Infer<typeof value>;
export type Condition = Infer<typeof condition>;
export type Order = Infer<typeof order>;
export type Progress = Infer<typeof progress>;
export type Query = Infer<typeof query>;
export type Found = Infer<typeof found>;
export type Put = Infer<typeof put>;
export type Update = Infer<typeof update>;
export type Delete = Infer<typeof remove>;
export type Document = Record<string, unknown>;

/** How a column stands in a document. */
export type Kind =
  | "text"
  | "timestamp"
  | "boolean"
  | "float" // a number
  | "integer" // an int64
  | "number" // an integer that the TypeScript framework writes as a number
  | "json" // JSON text
  | "object" // a value of Convex, or JSON text where Convex has none for it
  | "any"; // the same, and a text is a text: JSON text stands in an object of its own

export interface Column {
  name: string;
  kind: Kind;
  required: boolean;
  /** Whether documents may hold null in place of nothing. */
  nulls: boolean;
}

export interface Index {
  name: string;
  columns: string[];
}

export interface Shape {
  /** The table's name in the deployment. */
  stored: string;
  key: string[];
  columns: Column[];
  /** The index over the key. */
  unique: Index;
  /** The indexes that reads rely on, each complete with the key. */
  indexes: Index[];
  /** The indexes that only the TypeScript framework uses. */
  others: Index[];
  /** The field that is made of these columns, as the TypeScript framework finds rows by it. */
  joined: null | { field: string; index: string; of: string[] };
}
