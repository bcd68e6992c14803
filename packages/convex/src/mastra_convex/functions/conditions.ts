/** What conditions and orders mean, exactly as in the reference in Python. */

import { columnOf, fromField } from "./documents";
import type { Condition, Document, Kind, Order, Shape, Value } from "./words";

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Less than, equal or greater, of two values of one kind; by code points where they are texts. */
export function compare(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return place(x) - place(y);
  }
  return a.length - b.length;
}

/** Halves of pairs stand for code points behind all that are one unit. */
function place(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x2800 : unit;
}

function kindOf(value: unknown): string {
  return typeof value === "bigint" ? "number" : typeof value;
}

function same(a: unknown, b: unknown): boolean {
  return kindOf(a) === kindOf(b) && (a === b || a == b);
}

/** A time as the client spells it, however another writer spelt it. */
function respelt(kind: Kind, value: Value): Value {
  if (kind !== "timestamp" || typeof value !== "string" || ISO.test(value)) return value;
  const at = Date.parse(value);
  return Number.isNaN(at) ? value : new Date(at).toISOString();
}

function inside(text: Value, path: string[]): unknown {
  if (typeof text !== "string") return undefined;
  try {
    return at(JSON.parse(text), path);
  } catch {
    return undefined;
  }
}

/** What stands at a path in objects; undefined is nothing. */
export function at(whole: unknown, path: string[]): unknown {
  let value = whole;
  for (const key of path) {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isObject || !Object.hasOwn(value as object, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function holds(shape: Shape, document: Document, where: Condition): boolean {
  const column = columnOf(shape, where.column);
  const stored = respelt(column.kind, fromField(column, document[column.name]));
  const wanted = where.value;
  const value: unknown = where.path?.length ? inside(stored, where.path) : stored;
  switch (where.op) {
    case "eq":
      return value !== undefined && same(value, wanted);
    case "ne":
      return value !== undefined && !same(value, wanted);
    case "in":
      return (wanted as Value[]).some((one) => value !== undefined && same(value, one));
  }
  if (value === null || value === undefined || wanted === null) return false;
  return kindOf(value) === kindOf(wanted) && inOrder(where.op, value as Value, wanted as Value);
}

/** Whether two values of one kind stand as `lt`, `lte`, `gt` or `gte` says. */
export function inOrder(op: string, value: Value, wanted: Value): boolean {
  const order = compare(value, wanted);
  if (op === "lt") return order < 0;
  if (op === "lte") return order <= 0;
  return op === "gt" ? order > 0 : order >= 0;
}

/** Whether a document meets all conditions. */
export function matches(shape: Shape, document: Document, where: Condition[]): boolean {
  return where.every((one) => holds(shape, document, one));
}

/** The values of a document that an order goes by. */
export function placeOf(shape: Shape, document: Document, order: Order[]): Value[] {
  return order.map(({ column }) => fromField(columnOf(shape, column), document[column]));
}

/** The order of two places; absent values are the greatest. */
export function compareInOrder(a: Value[], b: Value[], order: Order[]): number {
  for (let i = 0; i < order.length; i++) {
    const found = compare(a[i] ?? null, b[i] ?? null);
    if (found !== 0) return order[i]!.desc ? -found : found;
  }
  return 0;
}
