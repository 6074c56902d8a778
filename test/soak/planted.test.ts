/** Each bug that test/sim/planted.mjs plants into a copy of the build is noticed by the tests of test/sim. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

test('planted bugs are noticed', context => {
  const run = spawnSync(process.execPath, ['test/sim/planted.mjs'], { encoding: 'utf8' })
  context.diagnostic(run.stdout)
  assert.equal(run.status, 0, run.stdout + run.stderr)
})
