/** Filters of vector stores over metadata, exactly as the reference in Python. */

import { at, inOrder } from "./conditions";

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
  if (typeof value !== typeof wanted) return false;
  if (typeof value !== "string" && typeof value !== "number") return false;
  return inOrder(op, value, wanted as Scalar);
}

/** Only letters of ASCII have two cases here. */
function lower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
