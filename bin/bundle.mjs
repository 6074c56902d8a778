// Puts the command line, with the broker in it, into a few files in dist/bundle, which `bin/ottla` starts: one process
// that opens 20 files is there in two thirds of the time of one that opens 200. Part of `npm run build`.
import { rmSync } from 'node:fs'
import { build } from 'esbuild'

const outdir = 'dist/bundle'
rmSync(outdir, { recursive: true, force: true })
// What `bin/ottla` has Node keep of the files of an earlier build.
rmSync('dist/compile-cache', { recursive: true, force: true })

/** The broker is a bundle of its own: it shares no files with the client, which would be 30 more to open. */
const brokerApart = {
  name: 'broker-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/broker\/main\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './broker-main.js', external: true } : undefined,
    )
  },
}

const options = {
  outdir,
  bundle: true,
  // Commands, and what is loaded on demand, stay files of their own.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  logLevel: 'warning',
  // Native code has files of its own; the others are seldom loaded.
  external: [
    '@mongodb-js/zstd',
    '@node-rs/crc32',
    'cli-table3',
    'lz4-napi',
    'pino-pretty',
    'prom-client',
    're2js',
    'snappy',
  ],
  // Packages in CommonJS ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
}

await build({
  ...options,
  entryPoints: { main: 'cli/main.ts', 'bench-worker': 'bench/bench-worker.ts' },
  plugins: [brokerApart],
})
await build({
  ...options,
  entryPoints: { 'broker-main': 'broker/main.ts', 'cleaner-worker': 'broker/cleaner-worker.ts' },
})
