/** Reads along a plan, of no more than one function may read. */

import type { AnyDataModel, GenericDatabaseReader } from "convex/server";
import { compareInOrder, matches, placeOf } from "./conditions";
import { columnOf, fromField, shapeOf, sizeOf } from "./documents";
import { asStored, inOrder, planned, type Plan, type Range } from "./plans";
import type { Condition, Document, Found, Order, Progress, Query, Shape, Value } from "./words";

export type Reader = GenericDatabaseReader<AnyDataModel>;

// Half of what a function may read, and of what it may give back; the rest is for what these
// numbers do not count.
const DOCUMENTS = 8000;
const BYTES = 6 * 1024 * 1024;
const LOOKS = 2000;

/** What one call may still read. */
export class Budget {
  documents = DOCUMENTS;
  bytes = BYTES;
  looks = LOOKS;

  get spent(): boolean {
    return this.documents <= 0 || this.bytes <= 0 || this.looks <= 0;
  }

  take(document: Document): void {
    this.documents -= 1;
    this.bytes -= sizeOf(document);
  }
}

/** The documents of a range. */
export function rangeOf(db: Reader, plan: Plan, range: Range, desc: boolean) {
  const query = db.query(plan.shape.stored).withIndex(plan.index.name as any, (start) => {
    let q: any = start;
    for (const { field, value } of range.equal) q = q.eq(field, value);
    const { lower, upper } = range;
    if (lower) q = lower.open ? q.gt(lower.field, lower.value) : q.gte(lower.field, lower.value);
    if (upper) q = upper.open ? q.lt(upper.field, upper.value) : q.lte(upper.field, upper.value);
    return q;
  });
  return query.order(desc ? "desc" : "asc");
}

/** Where a document stands in what comes behind the prefix of an index. */
function restOf(plan: Plan, document: Document): Value[] {
  return plan.rest.map((column) => fromField(columnOf(plan.shape, column), document[column]));
}

/** Gives each document to `visit` until that says no; how far it came if the budget ends first. */
async function walk(
  db: Reader,
  plan: Plan,
  budget: Budget,
  from: Progress | undefined,
  rangesOf: (prefix: Value[], seen: Value[] | null) => Range[],
  desc: boolean,
  visit: (document: Document) => boolean,
): Promise<Omit<Progress, "skipped"> | null> {
  let seen = from?.seen ?? null;
  for (let i = from?.prefix ?? 0; i < plan.prefixes.length; i++) {
    for (const range of rangesOf(plan.prefixes[i]!, seen)) {
      if (budget.spent) return { prefix: i, seen };
      budget.looks -= 1;
      for await (const document of rangeOf(db, plan, range, desc)) {
        budget.take(document);
        seen = restOf(plan, document);
        if (!visit(document)) return null;
        if (budget.spent) return { prefix: i, seen };
      }
    }
    seen = null;
  }
  return null;
}

/** The rows of a query, or as many of them as one call can read. */
export async function found(db: Reader, query: Query, budget: Budget): Promise<Found> {
  const shape = shapeOf(query.table);
  const plan = planned(shape, query.where, query.order, query.after);
  return plan.ordered ? inTurn(db, plan, query, budget) : best(db, plan, query, budget);
}

async function inTurn(db: Reader, plan: Plan, query: Query, budget: Budget): Promise<Found> {
  const names = query.order.map((one) => one.column);
  const places = (seen: Value[] | null) => {
    if (seen) return new Map(plan.rest.map((column, i) => [column, seen[i]!]));
    if (query.after) return new Map(names.map((name, i) => [name, query.after![i]!]));
    return undefined;
  };
  let skipped = query.from?.skipped ?? 0;
  const documents: Document[] = [];
  const next = await walk(
    db,
    plan,
    budget,
    query.from,
    (prefix, seen) => inOrder(plan, prefix, places(seen)),
    plan.desc,
    (document) => {
      if (!matches(plan.shape, document, query.where)) return true;
      if (skipped < query.offset) skipped += 1;
      else documents.push(document);
      return documents.length < query.limit;
    },
  );
  const rows = documents.map((document) => rowOf(plan.shape, document, query.columns));
  return { rows, sorted: true, next: next && { ...next, skipped } };
}

/** The first of all rows in an order that no index has. */
async function best(db: Reader, plan: Plan, query: Query, budget: Budget): Promise<Found> {
  const wanted = query.offset + query.limit;
  let documents: Document[] = [];
  const next = await walk(
    db,
    plan,
    budget,
    query.from,
    (prefix, seen) => asStored(plan, prefix, seen),
    false,
    (document) => {
      if (matches(plan.shape, document, query.where) && isBehind(plan, query, document)) {
        documents.push(document);
        if (documents.length > 2 * wanted + 1000) {
          documents = first(plan.shape, documents, query.order, wanted);
        }
      }
      return true;
    },
  );
  documents = first(plan.shape, documents, query.order, wanted);
  const rows = documents.map((document) => rowOf(plan.shape, document, query.columns));
  return { rows, sorted: false, next: next && { ...next, skipped: 0 } };
}

function isBehind(plan: Plan, query: Query, document: Document): boolean {
  if (!query.after) return true;
  const place = placeOf(plan.shape, document, query.order);
  return compareInOrder(place, query.after, query.order) > 0;
}

function first(shape: Shape, documents: Document[], order: Order[], count: number): Document[] {
  const placed = documents.map((one) => ({ one, place: placeOf(shape, one, order) }));
  placed.sort((a, b) => compareInOrder(a.place, b.place, order));
  return placed.slice(0, count).map(({ one }) => one);
}

export function rowOf(shape: Shape, document: Document, columns: string[]): Value[] {
  return columns.map((column) => fromField(columnOf(shape, column), document[column]));
}

/** How many rows match, or how many of those that one call can read. */
export async function counted(
  db: Reader,
  table: string,
  where: Condition[],
  from: Progress | undefined,
): Promise<{ count: number; next: Progress | null }> {
  const plan = planned(shapeOf(table), where, []);
  let count = 0;
  const next = await walk(
    db,
    plan,
    new Budget(),
    from,
    (prefix, seen) => asStored(plan, prefix, seen),
    false,
    (document) => {
      if (matches(plan.shape, document, where)) count += 1;
      return true;
    },
  );
  return { count, next: next && { ...next, skipped: 0 } };
}
