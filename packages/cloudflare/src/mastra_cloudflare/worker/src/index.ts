// Mastra's storage in Durable Objects: each name is an object with a SQLite database of its own.
//
// POST /v1/objects/NAME/batch with {"batch": [{"sql": "…", "params": […]}]} applies all statements or
// none, and answers {"results": [{"rows": […], "changes": n}]}. The secret MASTRA_TOKEN is asked for.
import { DurableObject } from "cloudflare:workers";

interface Env {
  STORE: DurableObjectNamespace<MastraStore>;
  MASTRA_TOKEN?: string;
}

interface Query {
  sql: string;
  params?: (string | number)[];
}

interface Result {
  rows: SqlStorageValue[][];
  changes: number;
}

const ROUTE = /^\/v1\/objects\/([^/]+)\/batch$/;
const utf8 = new TextEncoder();

/** One database. What a batch throws undoes all of it, so that a refusal (400) means: nothing was done. */
export class MastraStore extends DurableObject<Env> {
  override async fetch(request: Request): Promise<Response> {
    let queries: Query[];
    try {
      ({ batch: queries } = (await request.json()) as { batch: Query[] });
      if (!Array.isArray(queries)) throw new TypeError("a request is {batch: […]}");
    } catch (error) {
      return refuse(400, `the request is malformed: ${text(error)}`);
    }
    try {
      const results = this.ctx.storage.transactionSync(() => queries.map((query) => this.run(query)));
      return Response.json({ results });
    } catch (error) {
      return refuse(400, text(error));
    }
  }

  private run({ sql, params = [] }: Query): Result {
    const rows = [...this.ctx.storage.sql.exec(sql, ...params).raw()];
    // The cursor counts entries of indexes as well; what is asked for is rows.
    const changes = /^\s*SELECT\b/i.test(sql)
      ? 0
      : this.ctx.storage.sql.exec<{ n: number }>("SELECT changes() AS n").one().n;
    return { rows, changes };
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return Response.json({ service: "mastra-storage" });
    if (!env.MASTRA_TOKEN) return refuse(500, "the secret MASTRA_TOKEN is not set: wrangler secret put MASTRA_TOKEN");
    if (!(await authorized(request, env.MASTRA_TOKEN))) return refuse(401, "the token is not the secret MASTRA_TOKEN");
    const name = ROUTE.exec(pathname)?.[1];
    if (name === undefined) return refuse(404, `there is nothing at ${pathname}`);
    if (request.method !== "POST") return refuse(405, "batches are posted");
    try {
      return await env.STORE.getByName(decodeURIComponent(name)).fetch(request);
    } catch (error) {
      // An overloaded object did not begin; of other failures nobody knows.
      const overloaded = (error as { overloaded?: boolean }).overloaded === true;
      return refuse(overloaded ? 429 : 503, text(error));
    }
  },
} satisfies ExportedHandler<Env>;

/** Whether the token is the secret; equal digests are compared in a time that tells nothing. */
async function authorized(request: Request, secret: string): Promise<boolean> {
  const given = (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
  const [a, b] = await Promise.all([digest(given), digest(secret)]);
  return crypto.subtle.timingSafeEqual(a, b);
}

function digest(value: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", utf8.encode(value));
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refuse(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
