/** What a Fetch brought, as records: checksums, transactions, offsets before the wanted one, values that cannot be read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AnswerError } from '../../client/errors.ts'
import { FetchedRecords, type Reading } from '../../client/fetched-records.ts'
import { type BatchOptions, encodeBatch } from '../../protocol/records.ts'

const reading: Reading<string, string> = {
  topic: 't',
  partition: 3,
  checkCrcs: true,
  isWhole: false,
  maxBatchBytes: 1e6,
  raws: null,
  key: bytes => bytes.toString(),
  value(bytes) {
    if (bytes.toString() === 'poison') throw new Error('cannot be read')
    return bytes.toString()
  },
}

function batch(baseOffset: number, values: string[], options: BatchOptions = {}): Buffer {
  const records = values.map(value => ({ timestamp: 1, value: Buffer.from(value) }))
  return encodeBatch(records, 'none', { baseOffset, ...options }) as Buffer
}

/** A transaction's marker: version 0, then 0 to abort and 1 to commit. */
function marker(baseOffset: number, producerId: number, type: 0 | 1): Buffer {
  const records = [{ timestamp: 1, key: Buffer.from([0, 0, 0, type]), value: Buffer.alloc(6) }]
  const options = {
    baseOffset,
    producerId,
    producerEpoch: 0,
    isTransactional: true,
    isControl: true,
  }
  return encodeBatch(records, 'none', options) as Buffer
}

const inTransaction = (producerId: number) => ({
  producerId,
  producerEpoch: 0,
  baseSequence: 0,
  isTransactional: true,
})

function all(fetched: FetchedRecords<string, string>, from = 0): (string | null)[] {
  const values: (string | null)[] = []
  for (let b = fetched.nextBatch(from); b !== null; b = fetched.nextBatch(from)) {
    values.push(...(b as { value: string | null }[]).map(({ value }) => value))
  }
  return values
}

test('batches come one by one, from the wanted offset on; a cut one at the end waits for the next Fetch', () => {
  const whole = Buffer.concat([batch(10, ['a', 'b', 'c']), batch(13, ['d'])])
  const bytes = Buffer.concat([whole, batch(14, ['e']).subarray(0, -1)])
  const fetched = new FetchedRecords(reading, bytes, 11, null)
  assert.equal(fetched.endOffset, 14)
  assert.deepEqual(all(fetched, 11), ['b', 'c', 'd'])
  assert.equal(fetched.bytesLeft, 0)
})

test('a wrong checksum is named with its place, and not given', () => {
  const bytes = batch(10, ['a'])
  bytes[bytes.length - 2]! ^= 1
  const fetched = new FetchedRecords(reading, bytes, 10, null)
  assert.throws(
    () => fetched.nextBatch(10),
    (error: AnswerError) =>
      error.error === 'CORRUPT_MESSAGE' &&
      /'t' partition 3.*offset 10.*checksum/.test(error.message),
  )
})

test('of aborted transactions nothing is shown, whatever is written in between', () => {
  const bytes = Buffer.concat([
    batch(0, ['plain']),
    batch(1, ['aborted'], inTransaction(7)),
    batch(2, ['committed'], inTransaction(8)),
    marker(3, 8, 1),
    batch(4, ['aborted too'], inTransaction(7)),
    marker(5, 7, 0),
    batch(6, ['later'], inTransaction(7)),
    marker(7, 7, 1),
  ])
  const aborted = [{ producerId: 7, firstOffset: 1 }]
  assert.deepEqual(all(new FetchedRecords(reading, bytes, 0, aborted)), [
    'plain',
    'committed',
    'later',
  ])
  assert.equal(all(new FetchedRecords(reading, bytes, 0, null)).length, 5, 'read_uncommitted')
})

test('a value that cannot be read comes after those before it, and again as long as it is asked for', () => {
  const fetched = new FetchedRecords(reading, batch(0, ['a', 'poison', 'b']), 0, null)
  assert.equal((fetched.nextBatch(0) as unknown[]).length, 1)
  assert.throws(() => fetched.nextBatch(1), /cannot be read/)
})
