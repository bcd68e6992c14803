/**
 * The functions that `mastra-convex` (Python) calls. They are internal: only a request with the
 * admin key of the deployment reaches them, no browser does.
 */

import { internalMutationGeneric, internalQueryGeneric } from "convex/server";
import { v } from "convex/values";
import { Budget, counted, found } from "./reading";
import { shapes } from "./shapes";
import * as words from "./words";
import { put, remove, update } from "./writing";

/** What is deployed: columns and indexes of each table. */
export const describe = internalQueryGeneric({
  args: {},
  returns: v.array(
    v.object({ table: v.string(), columns: v.array(v.string()), indexes: v.array(v.string()) }),
  ),
  handler: async () =>
    Object.entries(shapes).map(([table, shape]) => ({
      table,
      columns: shape.columns.map((column) => column.name),
      indexes: shape.indexes.map((index) => index.name),
    })),
});

/** The rows of several queries, in one snapshot. */
export const find = internalQueryGeneric({
  args: { queries: v.array(words.query) },
  returns: v.array(words.found),
  handler: async (ctx, args) => {
    const budget = new Budget();
    const answers: words.Found[] = [];
    for (const query of args.queries) answers.push(await found(ctx.db, query, budget));
    return answers;
  },
});

/** How many rows match. */
export const count = internalQueryGeneric({
  args: words.counting,
  returns: v.object({ count: v.number(), next: v.union(v.null(), words.progress) }),
  handler: async (ctx, args) => await counted(ctx.db, args.table, args.where, args.from),
});

/** All changes or none: how many rows each of them affected. */
export const write = internalMutationGeneric({
  args: { changes: v.array(words.change) },
  returns: v.array(v.number()),
  handler: async (ctx, args) => {
    const counts: number[] = [];
    for (const [position, change] of args.changes.entries()) {
      if (change.kind === "put") counts.push(await put(ctx.db, change, position));
      else if (change.kind === "update") counts.push(await update(ctx.db, change, position));
      else counts.push(await remove(ctx.db, change, position));
    }
    return counts;
  },
});
