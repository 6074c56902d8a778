/** What the checks of records say, against a list of what went in and what came out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamCheck } from '../../bench/checks.ts'
import { HEADER_BYTES, Payloads, readStamp } from '../../bench/payload.ts'
import { seededRandom, tier } from '../tiers.ts'

function check(sequences: readonly number[], sent: number, failed: readonly number[] = []) {
  const stream = new StreamCheck()
  for (const sequence of sequences) stream.saw(sequence)
  const { duplicated, reordered } = stream
  const lost = stream.lost(sent, failed)
  return { lost, duplicated, reordered, isComplete: stream.isComplete(sent) }
}

test('lost, twice, out of order, and each alone', () => {
  const well = { lost: 0, duplicated: 0, reordered: 0, isComplete: true }
  assert.deepEqual(check([0, 1, 2], 3), well)
  assert.deepEqual(check([], 0), well)
  assert.deepEqual(check([0, 2], 3), { ...well, lost: 1, isComplete: false })
  assert.deepEqual(check([0, 1], 3), { ...well, lost: 1, isComplete: false })
  assert.deepEqual(check([0, 1, 1, 2], 3), { ...well, duplicated: 1 })
  assert.deepEqual(check([0, 2, 1], 3), { ...well, reordered: 1 })
  assert.deepEqual(check([1, 0, 0], 2), { ...well, reordered: 1, duplicated: 1 })
})

test('records that were refused may be missing, or not', () => {
  assert.equal(check([0, 2], 3, [1]).lost, 0)
  assert.equal(check([0, 1, 2], 3, [1]).lost, 0)
  assert.equal(check([0, 1], 4, [3]).lost, 1)
})

test('a gap too large to remember is still counted', () => {
  assert.equal(check([0, 200_001], 200_002).lost, 200_000)
})

test('whatever is dropped, repeated and delayed is counted as that', () => {
  const plan = fc.array(fc.constantFrom('keep', 'drop', 'twice', 'delay'), { maxLength: 60 })
  fc.assert(
    fc.property(plan, fates => {
      const order: number[] = []
      const late: number[] = []
      for (const [sequence, fate] of fates.entries()) {
        if (fate === 'delay') late.push(sequence)
        else if (fate !== 'drop') order.push(sequence)
        if (fate === 'twice') order.push(sequence)
      }
      const last = order.at(-1) ?? -1
      const counted = (wanted: string) => fates.filter(fate => fate === wanted).length
      const found = check([...order, ...late], fates.length)
      assert.equal(found.lost, counted('drop'))
      assert.equal(found.duplicated, counted('twice'))
      // In turn after all, if nothing that is younger came first.
      const behind = (one: number) => one > last
      assert.equal(found.reordered, late.filter(one => !behind(one)).length)
      assert.equal(found.isComplete, counted('drop') === 0)
    }),
    { numRuns: tier.propertyRuns },
  )
})

test('a value says who sent it and when; a damaged one says nothing', () => {
  const payloads = new Payloads(0.5, 2_000, seededRandom(1))
  const stamp = { runId: 0xfedcba98, producer: 65_535, sequence: 2 ** 47, intendedUs: 2 ** 46 + 1 }
  for (const bytes of [HEADER_BYTES, HEADER_BYTES + 1, 2_000]) {
    const value = payloads.make(stamp, bytes)
    assert.equal(value.length, bytes)
    assert.deepEqual(readStamp(value), stamp)
    for (let at = 0; at < bytes; at += 1 + Math.floor(bytes / 50)) {
      const damaged = Buffer.from(value)
      damaged[at] = damaged[at]! ^ 1
      assert.equal(readStamp(damaged), null, `byte ${at} of ${bytes}`)
    }
    assert.equal(readStamp(value.subarray(0, bytes - 1)), null)
  }
  assert.equal(readStamp(null), null)
})

test('values can be compressed as far as the workload says', async () => {
  const { gzipSync } = await import('node:zlib')
  const ratio = (compressibility: number) => {
    const payloads = new Payloads(compressibility, 1_000, seededRandom(2))
    const values = Array.from({ length: 50 }, (_, sequence) =>
      payloads.make({ runId: 1, producer: 0, sequence, intendedUs: 0 }, 1_000),
    )
    const plain = Buffer.concat(values)
    return gzipSync(plain).length / plain.length
  }
  assert(ratio(0) > 0.95)
  assert(Math.abs(ratio(0.5) - 0.55) < 0.15, String(ratio(0.5)))
  assert(ratio(1) < 0.1)
})
