// Runs one tier of tests: node test/run.mjs unit|tidy|e2e|soak [substring of a file name].
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const [tier = 'unit', only = ''] = process.argv.slice(2)
const walk = dir =>
  readdirSync(dir).flatMap(name => {
    const path = join(dir, name)
    return statSync(path).isDirectory() ? walk(path) : path.endsWith('.test.js') ? [path] : []
  })
const all = walk('dist/test')
const slow = path => path.includes(join('test', 'e2e')) || path.includes(join('test', 'soak'))
const chosen = {
  unit: all.filter(path => !slow(path)),
  tidy: all.filter(path => path.endsWith('tidy.test.js')),
  e2e: all.filter(path => path.includes(join('test', 'e2e'))),
  soak: all.filter(slow),
}[tier]?.filter(path => path.includes(only))
if (chosen === undefined || chosen.length === 0) {
  console.error(`no tests for '${tier} ${only}'`)
  process.exit(2)
}
const args = ['--test', '--test-reporter=spec']
if (tier === 'e2e' || tier === 'soak') args.push('--test-concurrency=1')
const env = { ...process.env, OTTLA_TIER: tier }
const { status } = spawnSync(process.execPath, [...args, ...chosen], { stdio: 'inherit', env })
process.exit(status ?? 1)
