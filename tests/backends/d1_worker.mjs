// POST …/d1/database/ID/query with {sql, params} or {batch: […]}, as the API's description has it.
const VALUE_BYTES = 2_000_000;
const BODY_BYTES = 100_000_000;
const utf8 = new TextEncoder();

const answer = (status, body) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
const refuse = (status, code, message) =>
  answer(status, { success: false, errors: [{ code, message }], messages: [], result: [] });

function complaint({ sql, params = [] }) {
  if (typeof sql !== "string" || !Array.isArray(params)) return "a query is sql and params";
  if (!params.every((param) => ["string", "number"].includes(typeof param) || param === null)) return "params are texts and numbers";
  // The engine that runs here takes a little more than production says it does.
  const long = params.some((param) => String(param).length * 3 > VALUE_BYTES && utf8.encode(param).length > VALUE_BYTES);
  return long ? "string or blob too big: SQLITE_TOOBIG" : null;
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return answer(200, {});
    const token = (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
    if (token !== env.WRITER && token !== env.READER) return refuse(401, 10000, "Authentication error");
    const wanted = `/client/v4/accounts/${env.ACCOUNT}/d1/database/`;
    if (!pathname.startsWith(wanted)) return refuse(403, 10000, "Authentication error");
    const [id, method, ...more] = pathname.slice(wanted.length).split("/");
    if (method !== "query" || more.length || request.method !== "POST") return refuse(404, 7000, "No route for that URI");
    if (id !== env.DATABASE) return refuse(404, 7404, `The database ${id} could not be found`);
    const body = await request.text();
    if (body.length > BODY_BYTES) return refuse(413, 7400, "The request is too large");
    let queries;
    try {
      const parsed = JSON.parse(body);
      queries = parsed.batch ?? [parsed];
    } catch {
      return refuse(400, 7400, "The request is malformed");
    }
    const wrong = queries.map(complaint).find(Boolean);
    if (wrong) return refuse(400, 7400, wrong);
    if (token === env.READER && !queries.every(({ sql }) => /^(SELECT|PRAGMA)\b/.test(sql)))
      return refuse(403, 10000, "The token may not write");
    try {
      const prepared = queries.map(({ sql, params = [] }) => env.DB.prepare(sql).bind(...params));
      const results = await env.DB.batch(prepared);
      const result = results.map(({ results, meta }) => ({ results, success: true, meta }));
      return answer(200, { success: true, errors: [], messages: [], result });
    } catch (error) {
      return refuse(400, 7500, String(error.message).replace(/^D1_ERROR: /, ""));
    }
  },
};
