/**
 * A power cut at every byte of a recorded run of at most 64 KiB: each time the logs open again with everything that was
 * synced, and a prefix of the rest, of which compaction may only have taken what a later record supersedes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseSeed, tier } from '../tiers.ts'
import { unitsOf } from './every-byte.ts'
import { MAX_BYTES, Recording } from './recording.ts'
import { inThreads } from './thread.ts'

test('the recorded run is not longer than what is asked for, and everything is in it', async context => {
  const { journal } = await new Recording().make()
  const bytes = journal.reduce((sum, each) => sum + unitsOf(each), 0)
  context.diagnostic(`${bytes} bytes and operations`)
  assert(bytes > MAX_BYTES / 2 && bytes <= MAX_BYTES, `${bytes} bytes and operations`)
  const renames = journal.flatMap(each => (each.kind === 'rename' ? [each.to] : []))
  const expected = {
    compaction: /changes-0\/\d+\.log\.swap$/,
    retention: /orders-0\/\d+\.log\.deleted$/,
    deletion: /passing-0\.\w+-delete$/,
    snapshot: /-0\/\d+\.snapshot$/,
    epochs: /-0\/leader-epoch-checkpoint$/,
    checkpoint: /recovery-point-offset-checkpoint$/,
    'cleaned offsets': /cleaner-offset-checkpoint$/,
  }
  for (const [what, name] of Object.entries(expected)) {
    const count = renames.filter(to => name.test(to)).length
    assert(count >= 3, `${what}: ${count} times`)
  }
})

test('after a power cut at any byte a log has what was synced, and a prefix of the rest', async context => {
  const seed = chooseSeed()
  const stride = tier.crashStride
  const counts = await inThreads((thread, threads) => ({
    kind: 'cuts',
    first: thread * stride,
    stride: threads * stride,
    seed,
  }))
  const cuts = counts.reduce((sum, count) => sum + count, 0)
  context.diagnostic(`${cuts} power cuts; seed ${seed} (OTTLA_SEED=${seed} repeats them)`)
})
