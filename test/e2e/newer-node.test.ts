/** What `npm test` runs, on a newer Node than this one: its differences are seen here before users see them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { clientFolder } from './foreign-clients.ts'

/** Enough of what a run prints to hold its list of failures. */
const LAST_CHARACTERS = 20_000

const { node, skip } = clientFolder('platformatic')

test('the unit tests on Node 24', { skip, timeout: 600_000 }, () => {
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout
  assert.match(version, /^v24\./)
  const env = { ...process.env }
  // A run inside a run reports to the outer one.
  delete env['NODE_TEST_CONTEXT']
  const options = { encoding: 'utf8', env, maxBuffer: 64 << 20 } as const
  const { status, stdout, stderr } = spawnSync(node, ['test/run.mjs', 'unit'], options)
  assert.equal(status, 0, stdout.slice(-LAST_CHARACTERS) + stderr)
  assert.match(stdout, /pass [1-9]\d{3}/)
})
