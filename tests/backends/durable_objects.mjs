// A project as `mastra-cloudflare init` writes it, in workerd: node durable_objects.mjs PORT FOLDER PROJECT TOKEN
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

const [port, folder, project, token] = process.argv.slice(2);
const config = JSON.parse(readFileSync(join(project, "wrangler.json"), "utf8"));
const made = config.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []);
const bindings = config.durable_objects.bindings.map(({ name, class_name }) => [
  name,
  { className: class_name, useSQLite: made.includes(class_name) },
]);
const { outputFiles } = await build({
  entryPoints: [join(project, config.main)],
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["cloudflare:*"],
  write: false,
});
const runtime = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  modules: true,
  script: outputFiles[0].text,
  compatibilityDate: config.compatibility_date,
  cf: false,
  telemetry: { enabled: false },
  bindings: { MASTRA_TOKEN: token },
  durableObjects: Object.fromEntries(bindings),
  durableObjectsPersist: folder,
});
for (const sign of ["SIGTERM", "SIGINT"]) {
  process.on(sign, async () => {
    await runtime.dispose();
    process.exit(0);
  });
}
await runtime.ready;
