/** The way to the rows of a query: which index, which ranges of it, in which order. */

import { compare } from "./conditions";
import { columnOf, toField } from "./documents";
import type { Condition, Index, Order, Shape, Value } from "./words";

/** A range of an index: some fields equal, the next one between two bounds. */
export interface Range {
  equal: { field: string; value: unknown }[];
  lower?: { field: string; value: unknown; open: boolean };
  upper?: { field: string; value: unknown; open: boolean };
}

export interface Plan {
  shape: Shape;
  index: Index;
  /** How many columns of the index are given. */
  bound: number;
  /** The values of these columns, in all combinations. */
  prefixes: Value[][];
  /** The columns behind them, and values of those that have one. */
  rest: string[];
  single: Map<string, Value>;
  /** Whether the index has the order asked for. */
  ordered: boolean;
  desc: boolean;
  within: Condition[];
}

const RANGES = new Set(["lt", "lte", "gt", "gte"]);

export function planned(shape: Shape, where: Condition[], order: Order[], after?: Value[]): Plan {
  const given = new Map<string, Value[]>();
  for (const one of where) {
    if (one.path?.length || (one.op !== "eq" && one.op !== "in") || given.has(one.column)) continue;
    const values = (one.op === "in" ? one.value : [one.value]) as Value[];
    given.set(one.column, [...new Set(values)]);
  }
  const single = new Map<string, Value>();
  for (const [column, values] of given) if (values.length === 1) single.set(column, values[0]!);
  const byKey = shape.key.every((column) => given.has(column));
  let best: Plan | undefined;
  for (const index of byKey ? [shape.unique] : [shape.unique, ...shape.indexes]) {
    const plan = along(shape, index, given, single, where, order, after);
    if (!best || plan.bound > best.bound || (plan.bound === best.bound && better(plan, best))) {
      best = plan;
    }
  }
  return best!;
}

function better(plan: Plan, than: Plan): boolean {
  if (plan.ordered !== than.ordered) return plan.ordered;
  return plan.within.length > than.within.length;
}

function along(
  shape: Shape,
  index: Index,
  given: Map<string, Value[]>,
  single: Map<string, Value>,
  where: Condition[],
  order: Order[],
  after?: Value[],
): Plan {
  let bound = 0;
  while (bound < index.columns.length && given.has(index.columns[bound]!)) bound++;
  const head = index.columns.slice(0, bound);
  const rest = index.columns.slice(bound);
  const next = rest[0];
  return {
    shape,
    index,
    bound,
    prefixes: combined(head.map((column) => given.get(column)!)),
    rest,
    single,
    ordered: isOrdered(shape, head, rest, single, order, after),
    desc: order[0]?.desc ?? false,
    within: where.filter(
      (one) => one.column === next && !one.path?.length && RANGES.has(one.op) && one.value !== null,
    ),
  };
}

function combined(choices: Value[][]): Value[][] {
  let found: Value[][] = [[]];
  for (const values of choices) {
    found = found.flatMap((head) => values.map((value) => [...head, value]));
  }
  return found;
}

/** Whether an index has an order: absent values come first in Convex, and last in ours. */
function isOrdered(
  shape: Shape,
  head: string[],
  rest: string[],
  single: Map<string, Value>,
  order: Order[],
  after?: Value[],
): boolean {
  if (!head.every((column) => single.has(column))) return false;
  if (order.some(({ desc }) => desc !== order[0]!.desc)) return false;
  const seen = (i: number) => (after ? after[i]! : null);
  if (after && order.some((o, i) => single.has(o.column) && single.get(o.column) !== seen(i))) {
    return false; // A place that no row has: each is compared with it by itself.
  }
  const wanted = order.map((o) => o.column).filter((column) => !single.has(column));
  const open = rest.filter((column) => !single.has(column));
  if (wanted.some((column, i) => open[i] !== column)) return false;
  const behind = rest.slice(1, wanted.length ? rest.indexOf(wanted.at(-1)!) + 1 : 0);
  return behind.every((column) => single.has(column) || columnOf(shape, column).required);
}

function field(plan: Plan, column: string, value: Value): { field: string; value: unknown } {
  return { field: column, value: toField(columnOf(plan.shape, column), value) };
}

function equals(plan: Plan, columns: string[], values: Value[]): Range["equal"] {
  return columns.map((column, i) => field(plan, column, values[i] ?? null));
}

/** The ranges of one prefix in the order asked for, from behind a place if one is given. */
export function inOrder(plan: Plan, prefix: Value[], last?: Map<string, Value>): Range[] {
  const head = equals(plan, plan.index.columns.slice(0, plan.bound), prefix);
  if (!last) return sides(plan, head, 0, undefined);
  const known: Value[] = [];
  for (const column of plan.rest) {
    const value = last.has(column) ? last.get(column)! : plan.single.get(column);
    if (value === undefined) break;
    known.push(value);
  }
  const found: Range[] = [];
  for (let i = known.length - 1; i >= 0; i--) {
    const equal = [...head, ...equals(plan, plan.rest.slice(0, i), known)];
    found.push(...sides(plan, equal, i, known[i]!));
  }
  return found;
}

/** What comes behind a value of the i-th open column: those that have one, and those that do not. */
function sides(
  plan: Plan,
  equal: Range["equal"],
  i: number,
  behind: Value | undefined,
): Range[] {
  const column = plan.rest[i];
  if (column === undefined) return [{ equal }];
  const present: Range = { equal };
  const absent: Range = { equal: [...equal, { field: column, value: undefined }] };
  const nullable = !columnOf(plan.shape, column).required;
  if (nullable) present.lower = { field: column, value: undefined, open: true };
  if (i === 0) narrow(plan, present);
  if (typeof behind !== "undefined" && behind !== null) {
    tighten(plan, present, column, behind, plan.desc ? "upper" : "lower", true);
  }
  const bounded = i === 0 && plan.within.length > 0;
  const found: Range[] = [];
  if (plan.desc) {
    // Absent values are the greatest, so that they come first.
    if (behind === undefined && nullable && !bounded) found.push(absent);
    found.push(present);
    return found;
  }
  if (behind !== null) found.push(present);
  if (behind !== null && nullable && !bounded) found.push(absent);
  return found;
}

function narrow(plan: Plan, range: Range): void {
  for (const one of plan.within) {
    const side = one.op === "gt" || one.op === "gte" ? "lower" : "upper";
    const open = one.op === "gt" || one.op === "lt";
    tighten(plan, range, one.column, one.value as Value, side, open);
  }
}

function tighten(
  plan: Plan,
  range: Range,
  column: string,
  value: Value,
  side: "lower" | "upper",
  open: boolean,
): void {
  const old = range[side];
  const bound = { ...field(plan, column, value), open };
  if (old && old.value !== undefined) {
    const order = compare(bound.value as Value, old.value as Value);
    if (side === "lower" ? order < 0 : order > 0) return;
    if (order === 0 && old.open) return;
  }
  range[side] = bound;
}

/** The ranges of one prefix in the index's own order, from behind a place if one is given. */
export function asStored(plan: Plan, prefix: Value[], seen: Value[] | null): Range[] {
  const head = equals(plan, plan.index.columns.slice(0, plan.bound), prefix);
  const all: Range = { equal: head };
  if (plan.rest.length > 0) narrow(plan, all);
  if (!seen) return [all];
  const found: Range[] = [];
  for (let i = seen.length - 1; i >= 0; i--) {
    const range: Range = { equal: [...head, ...equals(plan, plan.rest.slice(0, i), seen)] };
    if (i === 0) narrow(plan, range);
    const bound = { ...field(plan, plan.rest[i]!, seen[i]!), open: true };
    range.lower = bound;
    found.push(range);
  }
  return found;
}
