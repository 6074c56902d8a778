/** What the checks of records say, against a list of what went in and what came out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checksOf, NO_FAULTS, PartitionCheck } from '../../bench/checks.ts'
import { FINDINGS_MAX, findingsOf } from '../../bench/findings.ts'
import { HEADER_BYTES, Payloads, readStamp } from '../../bench/payload.ts'
import { countBelow, NONE_MET, Ranges, unionOf } from '../../bench/ranges.ts'
import { seededRandom, tier } from '../tiers.ts'

const stream = { topic: 0, partition: 0, producer: 0, sent: 0, failed: NONE_MET }

/** One reader of one producer, whose records lie in the log in this order. */
function check(sequences: readonly number[], sent: number, failed: readonly number[] = []) {
  const partition = new PartitionCheck()
  for (const [offset, sequence] of sequences.entries()) {
    if (partition.isNew(offset)) partition.saw(0, sequence, offset)
  }
  const seen = [partition.seen(0, 't', 0)]
  const unknown = { ranges: failed, givenUp: 0 }
  return checksOf([{ ...stream, sent, failed: unknown }], ['t'], 1, seen)
}

test('lost, twice, out of order, and each alone', () => {
  assert.deepEqual(check([0, 1, 2], 3), NO_FAULTS)
  assert.deepEqual(check([], 0), NO_FAULTS)
  assert.deepEqual(check([0, 2], 3), { ...NO_FAULTS, lost: 1 })
  assert.deepEqual(check([0, 1], 3), { ...NO_FAULTS, lost: 1 })
  assert.deepEqual(check([0, 1, 1, 2], 3), { ...NO_FAULTS, duplicated: 1 })
  assert.deepEqual(check([0, 2, 1], 3), { ...NO_FAULTS, reordered: 1 })
  assert.deepEqual(check([1, 0, 0], 2), { ...NO_FAULTS, reordered: 1, duplicated: 1 })
})

test('each group that has read nothing misses everything', () => {
  assert.equal(checksOf([{ ...stream, sent: 3 }], ['t'], 2, []).lost, 6)
})

test('records that were refused may be missing, or not', () => {
  assert.equal(check([0, 2], 3, [1, 2]).lost, 0)
  assert.equal(check([0, 1, 2], 3, [1, 2]).lost, 0)
  assert.equal(check([0, 1], 4, [3, 4]).lost, 1)
})

test('gaps too many to remember are still counted', () => {
  assert.equal(check([0, 200_001], 200_002).lost, 200_000)
  const odd = Array.from({ length: 25_000 }, (_, i) => 2 * i + 1)
  assert.deepEqual(check(odd, 50_000), { ...NO_FAULTS, lost: 25_000 })
})

test('ranges hold what a set holds', () => {
  const numbers = fc.array(fc.nat(40), { maxLength: 60 })
  fc.assert(
    fc.property(numbers, numbers, fc.nat(45), (some, others, end) => {
      const rangesOf = (list: readonly number[]) => {
        const [ranges, set] = [new Ranges(), new Set<number>()]
        for (const one of list) {
          assert.equal(ranges.add(one), !set.has(one))
          set.add(one)
          assert.equal(ranges.end, Math.max(...set) + 1)
        }
        return [ranges.met.ranges, set] as const
      }
      const [[a, inA], [b, inB]] = [rangesOf(some), rangesOf(others)]
      const { ranges, repeated } = unionOf([a, b])
      const all = [...new Set([...inA, ...inB])]
      assert.equal(repeated, inA.size + inB.size - all.length)
      assert.equal(countBelow(ranges, end), all.filter(one => one < end).length)
      for (const list of [a, b, ranges]) {
        const isInOrder = list.every((bound, i) => i === 0 || bound > list[i - 1]!)
        assert(isInOrder, `ranges that touch are one: ${list}`)
      }
    }),
    { numRuns: tier.propertyRuns },
  )
})

test('whatever is dropped, repeated and delayed is counted as that', () => {
  const plan = fc.array(fc.constantFrom('keep', 'drop', 'twice', 'delay'), { maxLength: 60 })
  fc.assert(
    fc.property(plan, fates => {
      const { order, late } = orderOf(fates)
      const last = order.at(-1) ?? -1
      const counted = (wanted: string) => fates.filter(fate => fate === wanted).length
      const found = check([...order, ...late], fates.length)
      assert.equal(found.lost, counted('drop'))
      assert.equal(found.duplicated, counted('twice'))
      // In turn after all, if nothing that is younger came first.
      const behind = (one: number) => one > last
      assert.equal(found.reordered, late.filter(one => !behind(one)).length)
    }),
    { numRuns: tier.propertyRuns },
  )
})

function orderOf(fates: readonly string[]) {
  const order: number[] = []
  const late: number[] = []
  for (const [sequence, fate] of fates.entries()) {
    if (fate === 'delay') late.push(sequence)
    else if (fate !== 'drop') order.push(sequence)
    if (fate === 'twice') order.push(sequence)
  }
  return { order, late }
}

/**
 * A partition goes to and fro between two processes; each turn begins a few records back at most, where the last offset
 * was committed, which never goes back itself. What is in the log is in the counts as if one had read it; what is read again is counted by itself.
 */
test('members in several processes together see what is in the log', () => {
  const plan = fc.array(fc.constantFrom('keep', 'keep', 'drop', 'twice'), { maxLength: 80 })
  const turn = fc.record({ process: fc.nat(1), back: fc.nat(5), records: fc.nat(30) })
  fc.assert(
    fc.property(plan, fc.array(turn, { maxLength: 12 }), (fates, turns) => {
      const { order } = orderOf(fates)
      const processes = [new PartitionCheck(), new PartitionCheck()]
      let [at, committed, reads] = [0, 0, 0]
      for (const { process, back, records } of [
        ...turns,
        { process: 0, back: 0, records: order.length },
      ]) {
        const from = Math.max(committed, at - back)
        const to = Math.min(order.length, Math.max(at, from + records))
        for (let offset = from; offset < to; offset++) {
          reads++
          const one = processes[process]!
          if (one.isNew(offset)) one.saw(0, order[offset]!, offset)
        }
        ;[at, committed] = [to, from]
      }
      const seen = processes.map(one => one.seen(0, 't', 0))
      const found = checksOf([{ ...stream, sent: fates.length }], ['t'], 1, seen)
      const counted = (wanted: string) => fates.filter(fate => fate === wanted).length
      assert.deepEqual(found, {
        lost: counted('drop'),
        duplicated: counted('twice'),
        reordered: 0,
        corrupt: 0,
        reread: reads - order.length,
      })
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

test('where faults are: what came next, and which records; the first of them', () => {
  const partition = new PartitionCheck()
  const order = [0, 4, 4, 2, 6]
  for (const [offset, sequence] of order.entries()) {
    if (partition.isNew(offset)) partition.saw(0, sequence, offset)
  }
  partition.isNew(1)
  partition.isNew(5)
  partition.isCorrupt(5)
  const found = findingsOf([{ ...stream, sent: 9 }], ['t'], 1, [partition.seen(0, 't', 0)])
  const shown = found.map(({ kind, offset, sequence, records }) => [
    kind,
    offset,
    sequence,
    records,
  ])
  assert.deepEqual(shown, [
    ['lost', 3, 1, 1],
    ['lost', 1, 3, 1],
    ['lost', 4, 5, 1],
    ['lost', null, 7, 2],
    ['duplicated', 2, 4, 1],
    ['reordered', 3, 2, 1],
    ['reread', 1, null, 1],
    ['corrupt', 5, null, 1],
  ])
  const nothing = findingsOf([{ ...stream, sent: 1_000 }], ['t'], 30, [])
  assert.equal(nothing.length, FINDINGS_MAX)
  assert.deepEqual(nothing[1], {
    ...{ kind: 'lost', group: 1, topic: 't', partition: 0 },
    ...{ offset: null, producer: 0, sequence: 0, records: 1_000 },
  })
})
