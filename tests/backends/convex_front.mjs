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

// The runtime tries the members of a union by what they throw; nobody reads where that was.
Error.stackTraceLimit = 0;

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

// Whether texts have the order of their units, which is faster to find than that of their code points.
const HALVES = /[\ud800-\udfff]/;

function order(a, b) {
  if (a === b) return 0;
  if (typeof a === "string" && typeof b === "string" && !HALVES.test(a) && !HALVES.test(b)) {
    return a < b ? -1 : 1;
  }
  return compareValues(a, b);
}

function compare(fields, a, b) {
  for (const field of fields) {
    const found = order(a[field], b[field]);
    if (found !== 0) return found;
  }
  return 0;
}

// The first place among sorted documents whose document is not before what is looked for.
function bisected(documents, before) {
  let [low, high] = [0, documents.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(documents[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}

function place({ fields }, documents, document) {
  return bisected(documents, (other) => compare(fields, other, document) < 0);
}

function take(index, documents, document) {
  documents.splice(place(index, documents, document), 1);
}

function insert(index, documents, document) {
  documents.splice(place(index, documents, document), 0, document);
}

// Whether a document stands before a range (-1), in it (0) or behind it (1).
function relation(range, document) {
  for (const { type, fieldPath, value } of range) {
    const found = order(document[fieldPath], value);
    if (type === "Eq" && found !== 0) return found;
    if ((type === "Gt" && found <= 0) || (type === "Gte" && found < 0)) return -1;
    if ((type === "Lt" && found >= 0) || (type === "Lte" && found > 0)) return 1;
  }
  return 0;
}

function between(documents, range) {
  const start = bisected(documents, (document) => relation(range, document) < 0);
  const end = bisected(documents, (document) => relation(range, document) <= 0);
  return documents.slice(start, end);
}

// The runtime looks at every document of a table in each read, and sorts what it finds. Here each index
// is kept sorted, and a range of it cut out, as is what the running mutation has written; all else is the
// runtime's own.
function indexed(db) {
  const indexes = new Map();
  for (const [table, { indexes: declared }] of Object.entries(schema.tables)) {
    const made = declared.map(({ indexDescriptor, fields }) => {
      const index = { fields: [...fields, "_creationTime", "_id"], stored: [], written: [] };
      indexes.set(`${table}.${indexDescriptor}`, index);
      return index;
    });
    indexes.set(table, made);
  }
  const of = (id) => indexes.get(tableOf(id)) ?? [];

  const addWrite = db._addWrite;
  let written = new Map();
  const note = (id, document) => {
    const old = written.get(id);
    if (old) for (const index of of(id)) take(index, index.written, old);
    written.set(id, document);
    if (document) for (const index of of(id)) insert(index, index.written, document);
  };
  const forget = () => {
    for (const index of [...written.keys()].flatMap(of)) index.written = [];
    written = new Map();
  };
  db._addWrite = function (id, document) {
    addWrite.call(this, id, document);
    note(id, document);
  };
  const commit = db.commit;
  db.commit = function (...args) {
    if (this._writes.length !== 1) return commit.apply(this, args);
    const ids = Object.keys(this._writes[0]);
    const before = ids.map((id) => this._documents[id]);
    commit.apply(this, args);
    ids.forEach((id, i) => {
      for (const index of of(id)) {
        if (before[i]) take(index, index.stored, before[i]);
        if (this._documents[id]) insert(index, index.stored, this._documents[id]);
      }
    });
    forget();
  };
  const rollback = db.rollbackWrites;
  db.rollbackWrites = function () {
    rollback.call(this);
    forget();
    for (const writes of this._writes) {
      for (const [id, document] of Object.entries(writes)) note(id, document);
    }
  };

  const cut = (index, range) => {
    const stored = between(index.stored, range);
    const own = db._writes.length ? between(index.written, range) : [];
    const kept = written.size && db._writes.length ? stored.filter(({ _id }) => !written.has(_id)) : stored;
    if (!own.length || !kept.length) return own.length ? own : kept;
    return [...kept, ...own].sort((a, b) => compare(index.fields, a, b));
  };

  const iterate = db._iterateDocs;
  let known = false;
  let inIndex = () => true;
  db._iterateDocs = function (table, visit) {
    if (!known) iterate.call(this, table, (document) => inIndex(document) && visit(document));
  };
  const search = db.vectorSearch;
  db.vectorSearch = function (name, vector, expressions, limit = 10) {
    const [table, called] = name.split(".");
    const { vectorIndexes = [] } = this._schema.tables.get(table) ?? {};
    const index = vectorIndexes.find(({ indexDescriptor }) => indexDescriptor === called);
    if (index) checkSearch(index, vector, limit);
    // The service has in an index what is as long as that says; the runtime looks at everything.
    if (index) inIndex = (document) => document[index.vectorField]?.length === index.dimensions;
    try {
      return search.call(this, name, vector, expressions, limit);
    } finally {
      inIndex = () => true;
    }
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
      const documents = cut(index, bounds);
      return { ...resolved, sortedDocs: resolved.order === "desc" ? documents.reverse() : documents };
    } finally {
      known = false;
    }
  };
}

// What the service refuses, and the runtime does not.
function checkSearch({ dimensions }, vector, limit) {
  if (vector.length !== dimensions) {
    throw new Error(`The vector has ${vector.length} dimensions, and those of the index have ${dimensions}`);
  }
  if (!(limit >= 1 && limit <= 256)) throw new Error(`Vector queries can fetch at most 256 results, not ${limit}`);
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
