/** Changes of rows, in the order given; what does not hold throws, which undoes the whole mutation. */

import type { AnyDataModel, GenericDatabaseWriter } from "convex/server";
import { ConvexError } from "convex/values";
import { matches } from "./conditions";
import { advanced, columnOf, fromField, shapeOf, sizeOf, toField } from "./documents";
import { asStored, planned } from "./plans";
import { rangeOf } from "./reading";
import type { Delete, Document, Put, Shape, Update, Value } from "./words";

export type Writer = GenericDatabaseWriter<AnyDataModel>;

function conflict(change: number, message: string): never {
  throw new ConvexError({ code: "conflict", change, message });
}

// What a document may have at most.
const DOCUMENT = 1024 * 1024;

/** Refuses what Convex would, in words that say what it is. */
export function checkSize(what: string, size: number): void {
  if (size <= DOCUMENT) return;
  const message = `${what} has about ${size} bytes, a document at most ${DOCUMENT}`;
  throw new ConvexError({ code: "limit", message });
}

/** The document of a key, if there is one. */
async function stored(db: Writer, shape: Shape, key: Value[]): Promise<Document | null> {
  return await db
    .query(shape.stored)
    .withIndex(shape.unique.name as any, (start) => {
      let q: any = start;
      shape.key.forEach((column, i) => {
        q = q.eq(column, toField(columnOf(shape, column), key[i]!));
      });
      return q;
    })
    .first();
}

export async function put(db: Writer, change: Put, position: number): Promise<number> {
  const shape = shapeOf(change.table);
  const at = shape.key.map((name) => shape.columns.findIndex((column) => column.name === name));
  let count = 0;
  for (const row of change.rows) {
    const key = at.map((i) => row[i] ?? null);
    const old = await stored(db, shape, key);
    if (old && change.conflict === "skip") continue;
    if (old && change.conflict === "fail") {
      conflict(position, `${change.table} has a row with the key ${key.join(", ")} already`);
    }
    const fields = old ? merged(shape, change, row, old, position) : fieldsOf(shape, row);
    checkSize(`a row of ${shape.stored}`, sizeOf({ ...old, ...fields }));
    if (old) await db.patch(old._id as any, fields);
    else await db.insert(shape.stored, await joined(db, shape, fields));
    count += 1;
  }
  return count;
}

function fieldsOf(shape: Shape, row: Value[]): Document {
  const fields: Document = {};
  shape.columns.forEach((column, i) => {
    fields[column.name] = toField(column, row[i] ?? null);
  });
  return fields;
}

function merged(shape: Shape, change: Put, row: Value[], old: Document, position: number) {
  const fields = fieldsOf(shape, row);
  for (const { column: name, rule } of change.merge) {
    const column = columnOf(shape, name);
    const given = fromField(column, fields[name]);
    const kept = fromField(column, old[name]);
    if (rule === "match" && !matches(shape, old, [{ column: name, op: "eq", value: given }])) {
      conflict(position, `${change.table} has a row with this key and another ${name}`);
    }
    if (rule === "keep" || (rule === "coalesce" && given === null)) fields[name] = old[name];
    if (rule === "advance") fields[name] = toField(column, advanced(given, kept));
  }
  return fields;
}

/**
 * With the field by which the TypeScript framework finds the row. What it is made of may be two
 * rows' alike; the second has none, since one field of two rows would stop the framework.
 */
async function joined(db: Writer, shape: Shape, fields: Document): Promise<Document> {
  if (!shape.joined) return fields;
  const { field, index, of } = shape.joined;
  const value = of.map((name) => fields[name]).join("-");
  const taken = await db
    .query(shape.stored)
    .withIndex(index as any, (q: any) => q.eq(field, value))
    .first();
  return taken ? fields : { ...fields, [field]: value };
}

async function matching(db: Writer, change: Update | Delete, position: number) {
  const shape = shapeOf(change.table);
  const plan = planned(shape, change.where, []);
  const documents: Document[] = [];
  for (const prefix of plan.prefixes) {
    for (const range of asStored(plan, prefix, null)) {
      for await (const document of rangeOf(db, plan, range, false)) {
        if (matches(shape, document, change.where)) documents.push(document);
      }
    }
  }
  if (change.expect !== null && documents.length !== change.expect) {
    const message = `${documents.length} rows of ${change.table} matched, ${change.expect} should`;
    conflict(position, message);
  }
  return { shape, documents };
}

export async function update(db: Writer, change: Update, position: number): Promise<number> {
  const { shape, documents } = await matching(db, change, position);
  for (const document of documents) {
    const fields: Document = {};
    for (const { column: name, value, advance } of change.set) {
      const column = columnOf(shape, name);
      const before = fromField(column, document[name]);
      fields[name] = toField(column, advance ? advanced(value, before) : value);
    }
    checkSize(`a row of ${shape.stored}`, sizeOf({ ...document, ...fields }));
    await db.patch(document._id as any, fields);
  }
  return documents.length;
}

export async function remove(db: Writer, change: Delete, position: number): Promise<number> {
  const { documents } = await matching(db, change, position);
  for (const document of documents) await db.delete(document._id as any);
  return documents.length;
}
