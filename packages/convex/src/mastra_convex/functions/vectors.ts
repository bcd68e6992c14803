/** The functions of `ConvexVector`: indexes, and vectors stored and searched; internal as all of ours. */

import {
  internalActionGeneric,
  internalMutationGeneric,
  internalQueryGeneric,
  makeFunctionReference,
} from "convex/server";
import { v } from "convex/values";
import { dimensions } from "./dimensions";
import {
  along,
  BYTES,
  checkIndex,
  DOCUMENTS,
  filterOf,
  fromBytes,
  indexOf,
  INDEXES,
  looking,
  row,
  Search,
  VECTORS,
  weightOf,
  weightOfRow,
  type Reader,
  type Row,
} from "./nearest";
import { vectorIndexOf } from "./tables";
import { fieldsOf, Work } from "./vectorWriting";
import type { Document } from "./words";

const next = v.union(v.null(), v.string());
// What a search of Convex finds at most.
const FOUND = 256;

export const find = internalQueryGeneric({
  args: { index: v.string() },
  returns: v.union(v.null(), v.object({ dimension: v.number() })),
  handler: async ({ db }, args) => {
    const found = await indexOf(db, args.index);
    return found && { dimension: found.dimension as number };
  },
});

export const list = internalQueryGeneric({
  args: { from: next },
  returns: v.object({ names: v.array(v.string()), next }),
  handler: async ({ db }, { from }) => {
    const rest = along(db, INDEXES, "by_record_id", (q) => (from === null ? q : q.gt("id", from)));
    const names = (await rest.take(DOCUMENTS)).map((one) => one.id as string);
    return { names, next: names.length < DOCUMENTS ? null : names.at(-1)! };
  },
});

export const create = internalMutationGeneric({
  args: { index: v.string(), dimension: v.number() },
  returns: v.null(),
  handler: async ({ db }, { index, dimension }) => {
    if (await indexOf(db, index)) return null;
    const createdAt = new Date().toISOString();
    await db.insert(INDEXES, { id: index, indexName: index, dimension, metric: "cosine", createdAt });
    return null;
  },
});

/** Gives documents to `visit`; the id from behind which to go on, if there are more. */
async function walk(
  db: Reader,
  index: string,
  from: string | null,
  most: number,
  visit: (document: Document) => unknown,
): Promise<string | null> {
  let [documents, bytes] = [Math.min(most, DOCUMENTS), BYTES];
  let last: string | null = null;
  const rest = along(db, VECTORS, "by_index_id", (q) => {
    const all = q.eq("indexName", index);
    return from === null ? all : all.gt("id", from);
  });
  for await (const document of rest) {
    if (documents <= 0 || bytes <= 0) return last;
    visit(document);
    last = document.id as string;
    documents -= 1;
    bytes -= weightOf(document);
  }
  return null;
}

export const count = internalQueryGeneric({
  args: { index: v.string(), dimension: v.number(), from: next },
  returns: v.object({ count: v.number(), next }),
  handler: async ({ db }, args) => {
    await checkIndex(db, args.index, args.dimension);
    let count = 0;
    const more = await walk(db, args.index, args.from, DOCUMENTS, () => (count += 1));
    return { count, next: more };
  },
});

/** Looks at every vector, a part of them in each call: in the first of them no more than `first`. */
export const scan = internalQueryGeneric({
  args: { asked: looking, from: next, first: v.number() },
  returns: v.object({ rows: v.array(row), next, searchable: v.boolean() }),
  handler: async ({ db }, { asked, from, first }) => {
    await checkIndex(db, asked.index, asked.dimension);
    const search = new Search(asked);
    const most = from === null ? first : DOCUMENTS;
    const more = await walk(db, asked.index, from, most, (document) => search.take(document));
    return { rows: search.rows(), next: more, searchable: dimensions.includes(asked.dimension) };
  },
});

const part = v.object({ rows: v.array(row), rest: v.array(v.string()) });

/**
 * For each vector the best of what Convex's search finds: scored anew, since it compares rounded
 * numbers. `rest` are documents that did not fit in, for `among`. `functions` is our folder.
 */
export const search = internalActionGeneric({
  args: { asked: looking, functions: v.string() },
  returns: v.array(part),
  handler: async (ctx, { asked, functions }) => {
    const inQuery = makeFunctionReference<"query">(`${functions}/vectors:among`);
    const parts: { rows: Row[]; rest: string[] }[] = [];
    let left = BYTES;
    for (const bytes of asked.vectors) {
      const found = await ctx.vectorSearch(VECTORS, vectorIndexOf(asked.dimension), {
        vector: fromBytes(bytes),
        limit: FOUND,
        filter: (q: any) => q.eq("indexName", asked.index),
      });
      const ids = found.map(({ _id }) => _id as string);
      const one = { asked: { ...asked, vectors: [bytes] }, ids };
      const best = left > 0 ? await ctx.runQuery(inQuery, one) : { rows: [], rest: ids };
      for (const row of best.rows) left -= weightOfRow(row);
      parts.push(best);
    }
    return parts;
  },
});

/** The nearest among these documents, or among as many of them as one call may read. */
export const among = internalQueryGeneric({
  args: { asked: looking, ids: v.array(v.string()) },
  returns: part,
  handler: async ({ db }, { asked, ids }) => {
    await checkIndex(db, asked.index, asked.dimension);
    const search = new Search(asked);
    let [bytes, seen] = [BYTES, 0];
    for (; seen < ids.length && bytes > 0; seen++) {
      const document = await db.get(ids[seen] as any);
      if (document?.indexName !== asked.index) continue;
      search.take(document);
      bytes -= weightOf(document);
    }
    return { rows: search.rows(), rest: ids.slice(seen) };
  },
});

const changes = v.array(
  v.union(
    v.object({ kind: v.literal("delete"), id: v.string() }),
    v.object({ kind: v.literal("update"), id: v.string() }),
    v.object({
      kind: v.literal("put"),
      id: v.string(),
      vector: v.bytes(),
      metadata: v.string(),
      document: v.union(v.null(), v.string()),
    }),
  ),
);

/**
 * Changes vectors in turn, all of them or as many as one call may: how many. Those that are deleted
 * or updated are left alone where they do not match `where` (any more); `vector` and `metadata` are
 * what updates give.
 */
export const write = internalMutationGeneric({
  args: {
    index: v.string(),
    dimension: v.number(),
    changes,
    where: v.union(v.null(), v.string()),
    vector: v.union(v.null(), v.bytes()),
    metadata: v.union(v.null(), v.string()),
  },
  returns: v.number(),
  handler: async ({ db }, args) => {
    await checkIndex(db, args.index, args.dimension);
    const work = new Work(db, args.index);
    const matches = filterOf(args.where);
    for (const [position, change] of args.changes.entries()) {
      if (work.spent) return position;
      const old = await work.read(change.id);
      if (change.kind === "put") await work.put(old, change.id, fieldsOf(change));
      else if (old && matches(old)) {
        if (change.kind === "delete") await db.delete(old._id as any);
        else await work.put(old, change.id, fieldsOf({ vector: args.vector, metadata: args.metadata }));
      }
    }
    return args.changes.length;
  },
});

/** Deletes as many vectors of an index as one call may, and with the last of them the index. */
export const drop = internalMutationGeneric({
  args: { index: v.string() },
  returns: v.boolean(),
  handler: async ({ db }, { index }) => {
    const documents: Document[] = [];
    const more = await walk(db, index, null, 1000, (document) => documents.push(document));
    for (const document of documents) await db.delete(document._id as any);
    const there = more === null ? await indexOf(db, index) : null;
    if (there) await db.delete(there._id as any);
    return more === null;
  },
});
