/** Records encoded straight into a batch are what the decoder of the protocol reads, for any record. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchSizeOf, ProduceBatch } from '../../client/produce-batch.ts'
import { computeCrc, crc } from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import { chooseSeed, tier } from '../tiers.ts'

const PLACE = { topic: 't', partition: 0 }
const bytes = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map(b => Buffer.from(b)),
    fc.string({ unit: 'grapheme', maxLength: 100 }),
  ),
)
const record = fc.record({
  timestampMs: fc.oneof(fc.maxSafeNat(), fc.integer({ min: 0, max: 100_000 })),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string().map(k => Buffer.from(k)), value: bytes }), {
    maxLength: 3,
  }),
})

const plain = (b: Buffer | string | null) => (typeof b === 'string' ? Buffer.from(b) : b)

test('what is appended is what is read', async () => {
  const seed = chooseSeed()
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 1, maxLength: 20 }),
      fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
      async (records, codec) => {
        const batch = new ProduceBatch(PLACE, Buffer.alloc(100_000), 0, 1)
        for (const { timestampMs, key, value, headers } of records) {
          assert.ok(batch.append(timestampMs, key, value, headers))
        }
        await batch.pack(codec, undefined)
        batch.sequence = { producerId: 7, producerEpoch: 1, baseSequence: 5 }
        const sealed = batch.seal(false)
        assert.equal(computeCrc(sealed, 0), crc(sealed, 0))
        const read = await decodeBatch(sealed, 0, 1_000_000)
        assert.deepEqual(
          read.map(({ offset: _, ...rest }) => rest),
          records.map(({ timestampMs, key, value, headers }) => ({
            timestamp: timestampMs,
            key: plain(key),
            value: plain(value),
            headers: headers.map(h => ({ key: h.key.toString(), value: plain(h.value) })),
          })),
        )
      },
    ),
    { seed, numRuns: tier.propertyRuns },
  )
})

test('a record that fills the buffer to the last byte fits, one more byte does not', () => {
  const value = Buffer.alloc(300)
  const size = batchSizeOf(null, value, [])
  assert.ok(new ProduceBatch(PLACE, Buffer.alloc(size), 0, 1).append(1, null, value, []))
  const small = new ProduceBatch(PLACE, Buffer.alloc(size - 1), 0, 1)
  assert.equal(small.append(1, null, value, []), false)
  assert.equal(small.count, 0)
})
