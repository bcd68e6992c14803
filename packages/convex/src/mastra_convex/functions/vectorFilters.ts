/** Filters of vector stores over metadata, exactly as the reference in Python. */

import { compare } from "./conditions";

type Scalar = string | number | boolean;

/** A filter as the client sends it: a comparison, or several joined. */
export type Node =
  | { path: string[]; op: string; value: Scalar | Scalar[]; negated: boolean }
  | { all: Node[] }
  | { any: Node[] };

/** Whether a vector with these metadata matches. */
export function holds(node: Node, metadata: unknown): boolean {
  if ("all" in node) return node.all.every((inner) => holds(inner, metadata));
  if ("any" in node) return node.any.some((inner) => holds(inner, metadata));
  return compares(node.op, node.value, at(metadata, node.path)) !== node.negated;
}

function at(metadata: unknown, path: string[]): unknown {
  let value = metadata;
  for (const key of path) {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isObject || !Object.hasOwn(value as object, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function compares(op: string, wanted: Scalar | Scalar[], value: unknown): boolean {
  if (value === undefined || value === null) return false;
  const elements: unknown[] = Array.isArray(value) ? value : [value];
  const all = Array.isArray(wanted) ? wanted : [wanted];
  switch (op) {
    case "exists":
      return true;
    case "eq":
    case "in":
      return all.some((one) => elements.includes(one));
    case "contains":
      if (typeof value === "string" && typeof wanted === "string") {
        return lower(value).includes(lower(wanted));
      }
      return Array.isArray(value) && all.every((one) => elements.includes(one));
  }
  return inOrder(op, value, wanted);
}

function inOrder(op: string, value: unknown, wanted: unknown): boolean {
  if (typeof value !== typeof wanted) return false;
  if (typeof value !== "string" && typeof value !== "number") return false;
  const order = compare(value, wanted as string | number);
  if (op === "lt") return order < 0;
  if (op === "lte") return order <= 0;
  return op === "gt" ? order > 0 : order >= 0;
}

/** Only letters of ASCII have two cases here. */
function lower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
