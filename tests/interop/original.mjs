// The original's stores behind standard input and output: JSON lines, one request each.
//
// Request: {"id": 1, "url": "file:/x.db", "domain": "memory", "method": "getThreadById",
//           "args": [{"threadId": "t"}]}
// Answer:  {"id": 1, "result": …}  or  {"id": 1, "error": {"id", "message"}}
//
// The URL says which database it is: file:… is libSQL's, postgresql://… PostgreSQL's, where a fragment
// (#name) is the schema. A request without a domain goes to the store itself ("init", "close"); the domain
// "vector" is the original's vector store on the same database, "recall" its Memory over both, which embeds
// texts by their letters. Requests run side by side, so answers may come in another order. What JSON has no
// word for travels tagged: a Date, both ways, as {"$date": ISO text}; bytes, outwards only, as {"$bytes":
// hexadecimal text}. Properties that are undefined are left out.

import { createInterface } from 'node:readline';
import { LibSQLStore, LibSQLVector } from '@mastra/libsql';
import { Memory } from '@mastra/memory';
import { PgVector, PostgresStore } from '@mastra/pg';

// Standard output belongs to the answers.
for (const level of ['debug', 'info', 'log', 'warn']) console[level] = console.error;

const DATABASES = {
  file: { store: LibSQLStore, vector: LibSQLVector, closing: 'close', options: url => ({ url }) },
  postgresql: { store: PostgresStore, vector: PgVector, closing: 'disconnect', options: inSchema },
};

function inSchema(url) {
  const [connectionString, schemaName] = url.split('#');
  return schemaName ? { connectionString, schemaName } : { connectionString };
}

function databaseOf(url) {
  return DATABASES[url.slice(0, url.indexOf(':'))];
}

function open(kind, url) {
  const database = databaseOf(url);
  return new database[kind]({ id: 'original', ...database.options(url) });
}

const stores = new Map();

function storeAt(url) {
  if (!stores.has(url)) stores.set(url, open('store', url));
  return stores.get(url);
}

const vectors = new Map();

function vectorsAt(url) {
  if (!vectors.has(url)) vectors.set(url, open('vector', url));
  return vectors.get(url);
}

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

const embedder = {
  specificationVersion: 'v2',
  provider: 'interop',
  modelId: 'letters',
  maxEmbeddingsPerCall: 100,
  supportsParallelCalls: true,
  async doEmbed({ values }) {
    const counted = text => LETTERS.map(letter => text.toLowerCase().split(letter).length - 1);
    return { embeddings: values.map(counted) };
  },
};

const memories = new Map();

function memoryAt(url) {
  if (!memories.has(url)) {
    const semanticRecall = { topK: 1, messageRange: 1, scope: 'resource' };
    const options = { lastMessages: false, semanticRecall };
    const stores = { storage: storeAt(url), vector: vectorsAt(url) };
    memories.set(url, new Memory({ ...stores, embedder, options }));
  }
  return memories.get(url);
}

async function close(url) {
  memories.delete(url);
  await vectors.get(url)?.[databaseOf(url).closing]();
  vectors.delete(url);
  const store = stores.get(url);
  stores.delete(url);
  return store?.close();
}

function revive(_key, value) {
  const tagged = value !== null && typeof value === 'object' && typeof value.$date === 'string';
  return tagged ? new Date(value.$date) : value;
}

// The argument is what toJSON made of a Date already; the Date itself is still in its place.
function tag(key, value) {
  const held = this[key];
  if (held instanceof Date) {
    return { $date: Number.isNaN(held.getTime()) ? null : held.toISOString() };
  }
  if (held instanceof ArrayBuffer) return { $bytes: Buffer.from(held).toString('hex') };
  if (typeof held === 'bigint') return Number(held);
  return value;
}

async function answer({ url, domain, method, args }) {
  if (domain === 'vector') return vectorsAt(url)[method](...args);
  if (domain === 'recall') return memoryAt(url)[method](...args);
  if (domain) return (await storeAt(url).getStore(domain))[method](...args);
  if (method === 'close') return close(url);
  return storeAt(url)[method](...args);
}

function send(message) {
  process.stdout.write(JSON.stringify(message, tag) + '\n');
}

const requests = createInterface({ input: process.stdin, crlfDelay: Infinity });
requests.on('line', async line => {
  const request = JSON.parse(line, revive);
  try {
    send({ id: request.id, result: await answer(request) });
  } catch (error) {
    send({ id: request.id, error: { id: error.id, message: error.message } });
  }
});
// An open store would keep the process alive after its last request.
requests.on('close', () => process.exit(0));
