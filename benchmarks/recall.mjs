// The original's LibSQLVector for recall.py: one question of several vectors a line, timed inside Node.
//
// Arguments: the database file, the folder that holds node_modules, the name of the index.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [file, modules, indexName] = process.argv.slice(2);
// Standard output belongs to the answers.
for (const level of ['debug', 'info', 'log', 'warn']) console[level] = console.error;

const require = createRequire(join(modules, 'package.json'));
const { LibSQLVector } = await import(pathToFileURL(require.resolve('@mastra/libsql')).href);
const store = new LibSQLVector({ id: 'bench', url: `file:${file}` });

const requests = createInterface({ input: process.stdin, crlfDelay: Infinity });
for await (const line of requests) {
  const { vectors, topK, filter } = JSON.parse(line);
  const ms = [];
  const ids = [];
  for (const queryVector of vectors) {
    // The first question warms up; the others are asked for a second.
    if (ms.length > 1 && ms.reduce((a, b) => a + b) > 1000) break;
    const start = performance.now();
    const found = await store.query({ indexName, queryVector, topK, ...(filter && { filter }) });
    ms.push(performance.now() - start);
    ids.push(found.map(match => match.id));
  }
  process.stdout.write(`${JSON.stringify({ ms, ids })}\n`);
}
process.exit(0);
