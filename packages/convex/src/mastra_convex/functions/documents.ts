/** Values of rows as fields of documents, and back. */

import { ConvexError } from "convex/values";
import { shapes } from "./shapes";
import type { Column, Document, Shape, Value } from "./words";

// JSON text that Convex has no value for stands in this field, where a text is a text.
const TEXT = "mastraJson";
// What an object of Convex takes, with room for the levels of a document around it.
const DEPTH = 12;
const KEYS = 1000;
const MEMBERS = 8000;
const KEY = /^[ -#%-^`-~][ -~]{0,255}$/;

export function shapeOf(table: string): Shape {
  const shape = shapes[table];
  if (!shape) throw new ConvexError({ code: "schema", message: `there is no table ${table}` });
  return shape;
}

export function columnOf(shape: Shape, name: string): Column {
  const column = shape.columns.find((one) => one.name === name);
  if (column) return column;
  throw new ConvexError({ code: "schema", message: `${shape.stored} has no column ${name}` });
}

/** Whether Convex keeps this value of JSON exactly as it is. */
function native(value: unknown, depth = 0): boolean {
  if (depth > DEPTH) return false;
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value);
  if (Array.isArray(value)) {
    return value.length <= MEMBERS && value.every((member) => native(member, depth + 1));
  }
  if (typeof value !== "object" || value === null) return true;
  const pairs = Object.entries(value);
  return pairs.length <= KEYS && pairs.every(([k, m]) => KEY.test(k) && native(m, depth + 1));
}

/** A field of a document; undefined is no field. */
export function toField(column: Column, value: Value): unknown {
  if (value === null) return undefined;
  switch (column.kind) {
    case "float":
    case "number":
      return Number(value);
    case "integer":
      return BigInt(value as bigint);
    case "object":
    case "any":
      return toObject(column.kind, value as string);
    default:
      return value;
  }
}

function toObject(kind: "object" | "any", text: string): unknown {
  const value: unknown = JSON.parse(text);
  const bare = kind === "any" && typeof value === "string";
  if (value !== null && (bare || typeof value === "object") && native(value)) return value;
  if (kind === "any" && value !== null && native(value)) return value;
  return kind === "object" ? text : { [TEXT]: text };
}

/** The value of a row. */
export function fromField(column: Column, field: unknown): Value {
  if (field === undefined || field === null) return null;
  switch (column.kind) {
    case "object":
    case "any":
      return fromObject(column.kind, field);
    case "json":
      return typeof field === "string" ? field : JSON.stringify(field);
    default:
      return field as Value;
  }
}

function fromObject(kind: "object" | "any", field: unknown): string {
  if (kind === "object" && typeof field === "string") return field;
  if (kind === "any" && typeof field === "object" && field !== null && TEXT in field) {
    const keys = Object.keys(field);
    const text = (field as Record<string, unknown>)[TEXT];
    if (keys.length === 1 && typeof text === "string") return text;
  }
  return JSON.stringify(field);
}

/** The later of a time and the stored one plus a millisecond. */
export function advanced(at: Value, stored: unknown): Value {
  if (typeof at !== "string" || typeof stored !== "string") return at;
  const [a, b] = [Date.parse(at), Date.parse(stored)];
  return Number.isNaN(b) || a > b ? at : new Date(b + 1).toISOString();
}

const encoder = new TextEncoder();

/** About how many bytes a document has. */
export function sizeOf(document: Document): number {
  let size = 64;
  for (const [name, field] of Object.entries(document)) {
    const text = typeof field === "string" ? field : (JSON.stringify(plain(field)) ?? "");
    size += name.length + 2 + encoder.encode(text).length;
  }
  return size;
}

function plain(field: unknown): unknown {
  return typeof field === "bigint" ? Number(field) : field;
}
