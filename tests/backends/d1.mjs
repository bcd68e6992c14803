// Cloudflare's D1 in workerd, behind the shape of its REST API: node d1.mjs PORT FOLDER WRITER READER
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

const [port, folder, writer, reader] = process.argv.slice(2);
// workerd takes no script that lies above the folder it runs in.
process.chdir(fileURLToPath(new URL(".", import.meta.url)));
const runtime = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  modules: true,
  scriptPath: "d1_worker.mjs",
  compatibilityDate: "2026-04-01",
  cf: false,
  telemetry: { enabled: false },
  bindings: { WRITER: writer, READER: reader, DATABASE: "database", ACCOUNT: "account" },
  d1Databases: { DB: "database" },
  d1Persist: folder,
});
for (const sign of ["SIGTERM", "SIGINT"]) {
  process.on(sign, async () => {
    await runtime.dispose();
    process.exit(0);
  });
}
await runtime.ready;
