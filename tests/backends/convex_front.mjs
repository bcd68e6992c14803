// The HTTP API of Convex before its own test runtime: node convex_front.mjs PORT KEY PROJECT
//
// Runs the functions of PROJECT/convex with convex-test, which enforces the limits of a function; checks
// the admin key, the sizes of requests, answers and documents; prints numbers as Convex does. A path before
// `/api` names a deployment of its own, which is empty at first. Loopback and tests only.

import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { convexTest } from "convex-test";
import { makeFunctionReference } from "convex/server";
import { compareValues, convexToJson, jsonToConvex } from "convex/values";
import esbuild from "esbuild";

const MIB = 1024 * 1024;
const ARGUMENT_BYTES = 16 * MIB;
const ANSWER_BYTES = 16 * MIB;
const ARRAY_MEMBERS = 8192;

const [port, key, project] = process.argv.slice(2);

// Modules are found from where they lie, so that what is built stands beside convex and convex-test.
const built = fs.mkdtempSync(path.join(import.meta.dirname, "node_modules", ".convex-"));
process.on("exit", () => fs.rmSync(built, { recursive: true, force: true }));

const source = path.join(project, "convex");
const entries = fs
  .readdirSync(source, { recursive: true })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => path.join(source, name));
await esbuild.build({
  entryPoints: entries,
  outdir: built,
  outbase: source,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  packages: "external",
  logLevel: "error",
});
const modules = { "./_generated/api.js": async () => ({}) };
for (const entry of entries) {
  const name = path.relative(source, entry).replace(/\.ts$/, "");
  const url = pathToFileURL(path.join(built, `${name}.mjs`));
  modules[`./${name}.ts`] = () => import(url);
}
const schema = (await modules["./schema.ts"]()).default;

// The runtime looks at every document of a table in each read, and sorts what it finds. Here each index
// is kept sorted, and a range of it cut out; all else is the runtime's own.
function indexed(db) {
  const indexes = new Map();
  for (const [table, { indexes: declared }] of Object.entries(schema.tables)) {
    const made = declared.map(({ indexDescriptor, fields }) => {
      const index = { fields: [...fields, "_creationTime", "_id"], ids: [] };
      indexes.set(`${table}.${indexDescriptor}`, index);
      return index;
    });
    indexes.set(table, made);
  }
  const compare = (fields, a, b) => {
    for (const field of fields) {
      const order = compareValues(a[field], b[field]);
      if (order !== 0) return order;
    }
    return 0;
  };
  // The first place of an index whose document is not before what is looked for.
  const bisected = (ids, before) => {
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(db._documents[ids[middle]])) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const place = ({ fields, ids }, document) =>
    bisected(ids, (other) => compare(fields, other, document) < 0);

  const commit = db.commit;
  db.commit = function (...args) {
    const ids = this._writes.length === 1 ? Object.keys(this._writes[0]) : [];
    for (const id of ids) {
      const old = this._documents[id];
      if (!old) continue;
      for (const index of indexes.get(tableOf(id)) ?? []) index.ids.splice(place(index, old), 1);
    }
    commit.apply(this, args);
    for (const id of ids) {
      const now = this._documents[id];
      if (!now) continue;
      for (const index of indexes.get(tableOf(id)) ?? []) index.ids.splice(place(index, now), 0, id);
    }
  };

  // Whether a document stands before a range (-1), in it (0) or behind it (1).
  const relation = (range, document) => {
    for (const { type, fieldPath, value } of range) {
      const order = compareValues(document[fieldPath], value);
      if (type === "Eq" && order !== 0) return order;
      if ((type === "Gt" && order <= 0) || (type === "Gte" && order < 0)) return -1;
      if ((type === "Lt" && order >= 0) || (type === "Lte" && order > 0)) return 1;
    }
    return 0;
  };
  const cut = (index, table, range) => {
    const start = bisected(index.ids, (document) => relation(range, document) < 0);
    const end = bisected(index.ids, (document) => relation(range, document) <= 0);
    const ids = index.ids.slice(start, end);
    const pending = new Set();
    for (const writes of db._writes) {
      for (const id of Object.keys(writes)) if (tableOf(id) === table) pending.add(id);
    }
    if (!pending.size) return ids.map((id) => db._documents[id]);
    const kept = ids.filter((id) => !pending.has(id)).map((id) => db._documents[id]);
    const changed = [...pending].map((id) => db.get(table, id));
    const come = changed.filter((document) => document && relation(range, document) === 0);
    if (!come.length) return kept;
    return [...kept, ...come].sort((a, b) => compare(index.fields, a, b));
  };

  const iterate = db._iterateDocs;
  let known = false;
  db._iterateDocs = function (...args) {
    if (!known) iterate.apply(this, args);
  };
  const resolve = db._resolveQuerySource;
  db._resolveQuerySource = function (query) {
    const { type, indexName, range } = query.source;
    const index = type === "IndexRange" ? indexes.get(indexName) : undefined;
    if (!index) return resolve.call(this, query);
    known = true;
    try {
      const resolved = resolve.call(this, query);
      const bounds = range.map((one) => ({ ...one, value: valueOf(one.value) }));
      const documents = cut(index, indexName.split(".")[0], bounds);
      return { ...resolved, sortedDocs: resolved.order === "desc" ? documents.reverse() : documents };
    } finally {
      known = false;
    }
  };
}

const valueOf = (value) =>
  value !== null && typeof value === "object" && "$undefined" in value ? undefined : jsonToConvex(value);
const tableOf = (id) => id.replace(/^\d+/, "");
const seen = new WeakSet();
const plainRun = AsyncLocalStorage.prototype.run;
AsyncLocalStorage.prototype.run = function (store, ...rest) {
  const db = store?.components?.[""]?.db;
  if (db?._resolveQuerySource && !seen.has(db)) {
    seen.add(db);
    indexed(db);
  }
  return plainRun.call(this, store, ...rest);
};

const deployments = new Map();
function deployment(name) {
  if (!deployments.has(name)) {
    deployments.set(name, convexTest({ schema, modules, transactionLimits: true }));
  }
  return deployments.get(name);
}

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// Convex prints every number with a point, and its clients rely on it.
function printed(value) {
  if (typeof value === "number") return Number.isInteger(value) ? `${value}.0` : String(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(printed).join(",")}]`;
  const pairs = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${pairs.map(([name, m]) => `${JSON.stringify(name)}:${printed(m)}`).join(",")}}`;
}

function checkArrays(value, what) {
  if (value === null || typeof value !== "object") return;
  const members = Array.isArray(value) ? value : Object.values(value);
  if (Array.isArray(value) && value.length > ARRAY_MEMBERS) {
    throw new Error(`Array length is too long (${value.length} > maximum length ${ARRAY_MEMBERS}) in ${what}`);
  }
  for (const member of members) checkArrays(member, what);
}

function sameKey(given) {
  const [a, b] = [given, `Convex ${key}`].map((text) => crypto.createHash("sha256").update(text).digest());
  return crypto.timingSafeEqual(a, b);
}

async function answered(kind, name, request) {
  if (!sameKey(request.authorization ?? "")) {
    throw new Refused(401, "BadAdminKey", "The provided admin key was invalid for this instance");
  }
  const text = request.body.toString();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refused(400, "BadJsonBody", "The request body is no JSON");
  }
  if (body.format !== "convex_encoded_json") {
    throw new Refused(400, "BadFormat", `unknown format ${body.format}`);
  }
  if (request.body.length > ARGUMENT_BYTES) {
    throw new Refused(413, "ArgsTooLarge", `Arguments are too large (maximum size 16 MiB)`);
  }
  const args = jsonToConvex(Array.isArray(body.args) ? body.args[0] : body.args);
  checkArrays(args, "arguments");
  const value = await deployment(name)[kind](makeFunctionReference(body.path), args);
  const answer = convexToJson(value ?? null);
  checkArrays(answer, "the return value");
  const told = printed({ status: "success", value: answer, logLines: [] });
  if (Buffer.byteLength(told) > ANSWER_BYTES) {
    throw new Error("Return value is too large (maximum size 16 MiB)");
  }
  return told;
}

function failed(error) {
  if (error instanceof Refused) {
    return [error.status, printed({ code: error.code, message: error.message })];
  }
  const message = String(error?.message ?? error);
  if (/Could not find module|Expected a Convex function|No convex function/i.test(message)) {
    const told = `Could not find function: ${message}`;
    return [200, printed({ status: "error", errorMessage: told, logLines: [] })];
  }
  const answer = { status: "error", errorMessage: message, logLines: [] };
  if (error?.constructor?.name === "ConvexError") {
    answer.errorData = typeof error.data === "string" ? JSON.parse(error.data) : convexToJson(error.data);
  }
  return [200, printed(answer)];
}

const server = http.createServer(async (incoming, outgoing) => {
  const chunks = [];
  try {
    for await (const chunk of incoming) chunks.push(chunk);
  } catch {
    return; // The client went away.
  }
  const found = /^(.*)\/api\/(query|mutation|action)$/.exec(incoming.url);
  let [status, told] = [404, printed({ code: "NotFound", message: "no such route" })];
  if (incoming.url === "/instance_name") [status, told] = [200, "convex-test"];
  if (found && incoming.method === "POST") {
    const request = { authorization: incoming.headers.authorization, body: Buffer.concat(chunks) };
    try {
      [status, told] = [200, await answered(found[2], found[1], request)];
    } catch (error) {
      [status, told] = failed(error);
    }
  }
  outgoing.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(told),
  });
  outgoing.end(told);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1");
for (const sign of ["SIGTERM", "SIGINT"]) process.on(sign, () => process.exit(0));
