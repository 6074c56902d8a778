/** The quick look at records: it may say that it cannot tell, but what it says is what the cursor says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RecordScan, scanRecords } from '../../protocol/record-scan.ts'
import { encodeRecords, RecordCursor, type RecordInput } from '../../protocol/records.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'

const fresh = (): RecordScan => ({ minDelta: 0, maxDelta: 0, indexOfMax: 0, hasNullKey: false })

/** What the cursor finds; throws for what is no section of records in order. */
function walked(bytes: Buffer, start: number, end: number, count: number): RecordScan {
  const scan = { ...fresh(), minDelta: Number.POSITIVE_INFINITY, maxDelta: -1 }
  const cursor = new RecordCursor()
  cursor.reset(bytes, start, end, count)
  for (let index = 0; cursor.next(); index++) {
    assert.equal(cursor.offsetDelta, index)
    if (cursor.timestampDelta > scan.maxDelta) {
      scan.maxDelta = cursor.timestampDelta
      scan.indexOfMax = index
    }
    scan.minDelta = Math.min(scan.minDelta, cursor.timestampDelta)
    if (cursor.keyLength < 0) scan.hasNullKey = true
  }
  return scan
}

function someRecords(random: () => number): RecordInput[] {
  const bytes = (most: number) => Buffer.alloc(Math.floor(random() ** 4 * most), 'x')
  return Array.from({ length: 1 + Math.floor(random() * 200) }, () => ({
    timestamp: 1000 + Math.floor(random() ** 3 * 1_000_000),
    key: random() < 0.3 ? null : bytes(60),
    value: random() < 0.1 ? null : bytes(8000),
    headers: [],
  }))
}

test('plain records are recognised and described as the cursor describes them', () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < tier.seeds * 5; round++) {
    const records = someRecords(random)
    const section = Buffer.concat([Buffer.alloc(5), encodeRecords(records, 1000), Buffer.alloc(5)])
    const scan = fresh()
    const [start, end] = [5, section.length - 5]
    assert.equal(scanRecords(section, start, end, records.length, scan), true)
    assert.deepEqual(scan, walked(section, start, end, records.length), `round ${round}`)
  }
})

test('headers, one record more or less, and bytes behind the last are left to the cursor', () => {
  const record = { timestamp: 1, key: Buffer.from('k'), value: Buffer.from('v') }
  const plain = encodeRecords([record, record], 1)
  assert.equal(scanRecords(plain, 0, plain.length, 2, fresh()), true)
  assert.equal(scanRecords(plain, 0, plain.length, 1, fresh()), false)
  assert.equal(scanRecords(plain, 0, plain.length, 3, fresh()), false)
  assert.equal(scanRecords(plain, 0, plain.length - 1, 2, fresh()), false)
  const headed = encodeRecords([{ ...record, headers: [{ key: 'h', value: null }] }], 1)
  assert.equal(scanRecords(headed, 0, headed.length, 1, fresh()), false)
})

test('damaged records are never taken for good ones', () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const records = someRecords(random).slice(0, 20)
  const section = encodeRecords(records, 1000)
  for (let round = 0; round < tier.seeds * 100; round++) {
    const damaged = Buffer.from(section)
    damaged[Math.floor(random() * damaged.length)] = random() * 256
    const scan = fresh()
    if (!scanRecords(damaged, 0, damaged.length, records.length, scan)) continue
    assert.deepEqual(scan, walked(damaged, 0, damaged.length, records.length), `round ${round}`)
  }
})
