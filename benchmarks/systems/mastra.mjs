// Mastra for TypeScript on a file or, where the folder says so, a server: speaks the protocol of host.py,
// and times inside Node.
//
// Arguments: the folder of the database, the folder that holds node_modules, the workload as JSON, and
// options: `{"total": false}` lists without a total, where the original can.

import { createRequire } from 'node:module';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

const [folder, modules] = [process.argv[2], process.argv[3]];
const [work, { total = true }] = [JSON.parse(process.argv[4]), JSON.parse(process.argv[5] ?? '{}')];
// Standard output belongs to the answers.
for (const level of ['debug', 'info', 'log', 'warn']) console[level] = console.error;

const require = createRequire(join(modules, 'package.json'));
const server = join(folder, 'url');
const onServer = existsSync(server);
const name = onServer ? '@mastra/pg' : '@mastra/libsql';
const provider = await import(pathToFileURL(require.resolve(name)).href);
const { version } = JSON.parse(readFileSync(join(modules, 'node_modules', name, 'package.json'), 'utf8'));

let store, memory, workflows;
let made = 0;

function messages(thread, count) {
  return Array.from({ length: count }, () => {
    made += 1;
    return {
      id: `message-${String(made).padStart(28, '0')}`,
      threadId: thread,
      resourceId: work.owner,
      role: made % 2 ? 'user' : 'assistant',
      type: 'v2',
      content: { format: 2, parts: [{ type: 'text', text: work.text }] },
      createdAt: new Date(work.start + made),
    };
  });
}

async function connect() {
  store = onServer
    ? new provider.PostgresStore({ id: 'bench', connectionString: readFileSync(server, 'utf8') })
    : new provider.LibSQLStore({ id: 'bench', url: `file:${join(folder, 'mastra.db')}` });
  await store.init();
  memory = await store.getStore('memory');
  workflows = await store.getStore('workflows');
}

function thread(id, owner, at) {
  const when = new Date(at);
  return {
    thread: {
      id, resourceId: owner, title: `Title of ${id}`, metadata: { pinned: false }, createdAt: when, updatedAt: when,
    },
  };
}

let saved = 0;

// Another one of the same length: SQLite does not write what has not changed.
function snapshot() {
  const steps = Object.entries(work.snapshot.context);
  const startedAt = steps[0][1].startedAt + saved;
  saved += 1;
  return { ...work.snapshot, context: Object.fromEntries(steps.map(([id, step]) => [id, { ...step, startedAt }])) };
}

const key = { workflowName: 'workflow', runId: 'run' };
const last = size => () =>
  memory.listMessages({
    threadId: size, perPage: work.last, page: 0, orderBy: { field: 'createdAt', direction: 'DESC' }, includeTotal: total,
  });

// What a cell needs is made by the first function, unmeasured; the second one is measured.
const cells = {
  append_one: [() => messages(work.appended, 1), batch => memory.saveMessages({ messages: batch })],
  append_many: [() => messages(work.appended, work.batch), batch => memory.saveMessages({ messages: batch })],
  newest_threads: [
    () => undefined,
    () =>
      memory.listThreads({
        filter: { resourceId: work.user }, perPage: work.newest, page: 0, orderBy: { field: 'updatedAt', direction: 'DESC' },
      }),
  ],
  save_snapshot: [snapshot, value => workflows.persistWorkflowSnapshot({ ...key, snapshot: value })],
  load_snapshot: [() => undefined, () => workflows.loadWorkflowSnapshot(key)],
};
for (const size of Object.keys(work.sizes)) cells[`last_${size}`] = [() => undefined, last(size)];

// Only lists of messages do without a total.
const WITHOUT_LISTS = Object.keys(cells).filter(cell => !cell.startsWith('last_'));

function expect(found, wanted, what) {
  if (!isDeepStrictEqual(found, wanted)) throw new Error(`${what}: ${String(found).slice(0, 200)}`);
}

const actions = {
  async seed({ sizes }) {
    await connect();
    for (const [id, size] of Object.entries(sizes ?? { ...work.sizes, [work.appended]: work.appended_size })) {
      await memory.saveThread(thread(id, work.owner, work.start));
      for (let done = 0; done < size; done += 1000) await memory.saveMessages({ messages: messages(id, Math.min(1000, size - done)) });
    }
    for (let i = 0; i < (sizes ? 0 : work.threads); i += 1) {
      await memory.saveThread(thread(`thread-${String(i).padStart(6, '0')}`, work.user, work.start + i));
    }
    return {};
  },
  async open() {
    made = Date.now() - work.start;
    await connect();
    const found = {};
    for (const [cell, [input, run]] of Object.entries(cells)) found[cell] = await run(await input());
    for (const size of Object.keys(work.sizes)) expect(found[`last_${size}`].messages.length, work.last, `messages of ${size}`);
    expect(found.newest_threads.threads.length, work.newest, 'threads');
    expect(found.load_snapshot, work.snapshot, 'snapshot');
    return { package: name, version, runtime: `Node ${process.versions.node}`, absent: total ? [] : WITHOUT_LISTS };
  },
  async measure({ cell, times, budget }) {
    const [input, run] = cells[cell];
    const ms = [];
    let spent = 0;
    for (let i = 0; i <= times && spent <= budget * 1000; i += 1) {
      const given = input();
      const start = performance.now();
      await run(given);
      ms.push(performance.now() - start);
      spent += ms.at(-1);
    }
    return { ms: ms.length > 1 ? ms.slice(1) : ms };
  },
  async load({ threads, seconds }) {
    made = Date.now() - work.start;
    await connect();
    const [ms, errors, start] = [[], {}, performance.now()];
    const agent = async thread => {
      for (let at = performance.now(); at < start + seconds * 1000; at = performance.now()) {
        try {
          await last(thread)();
          await memory.saveMessages({ messages: messages(thread, 2) });
          ms.push(performance.now() - at);
        } catch (error) {
          const text = `${error.name}: ${error.message}`.slice(0, 200);
          errors[text] = (errors[text] ?? 0) + 1;
        }
      }
    };
    await Promise.all(threads.map(agent));
    return { ms, errors, seconds: (performance.now() - start) / 1000 };
  },
  async close() {
    return {};
  },
};

console.error = () => {};
process.stdout.write('{}\n');
const requests = createInterface({ input: process.stdin, crlfDelay: Infinity });
for await (const line of requests) {
  const { do: action, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await actions[action](rest);
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
// An open store would keep the process alive.
process.exit(0);
