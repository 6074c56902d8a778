// Runs one tier of tests: node test/run.mjs unit|tidy|e2e|soak [substring of a file name]...
//
//   unit  everything that needs nothing but Node; `npm test`
//   tidy  the rules of the house (sizes, imports, tables in documents)
//   e2e   test/sim in full, and test/e2e: other people's clients and tools; says what this machine lacks and skips it
//   soak  test/sim, test/e2e and test/soak with the counts that acceptance asks for; an hour or more
//
// How much each tier does stands in test/tiers.ts, which reads OTTLA_TIER. OTTLA_SEED repeats a seeded run.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const [tier = 'unit', ...only] = process.argv.slice(2)
const root = join('dist', 'test')
const all = existsSync(root)
  ? readdirSync(root, { recursive: true })
      .filter(path => path.endsWith('.test.js'))
      .map(path => join(root, path))
      // A build leaves behind what has been renamed or removed since.
      .filter(path => existsSync(path.replace(/^dist./, '').replace(/\.js$/, '.ts')))
      .sort()
  : []
const isIn = (path, ...folders) => folders.some(folder => path.startsWith(join(root, folder)))
const tiers = {
  unit: path => !isIn(path, 'e2e', 'soak'),
  tidy: path => path.endsWith('tidy.test.js'),
  e2e: path => isIn(path, 'e2e', 'sim'),
  soak: path => isIn(path, 'e2e', 'sim', 'soak') || path.endsWith('fuzz.test.js'),
}
if (!Object.hasOwn(tiers, tier)) {
  console.error(`there is no tier '${tier}': ${Object.keys(tiers).join(', ')}`)
  process.exit(2)
}
const chosen = all
  .filter(tiers[tier])
  .filter(path => only.length === 0 || only.some(part => path.includes(part)))
if (chosen.length === 0) {
  console.error(`no tests for '${[tier, ...only].join(' ')}'; has 'npm run build' run?`)
  process.exit(2)
}
const args = ['--test', '--test-reporter=spec']
// One file for each processor; by itself node leaves one of them idle.
if (tier === 'unit') args.push(`--test-concurrency=${availableParallelism()}`)
// Brokers and JVMs share the machine: one file at a time, and no process left waiting for one that hangs.
if (tier === 'e2e' || tier === 'soak') args.push('--test-concurrency=1', '--test-force-exit')
const env = { ...process.env, OTTLA_TIER: tier }
const { status } = spawnSync(process.execPath, [...args, ...chosen], { stdio: 'inherit', env })
process.exit(status ?? 1)
