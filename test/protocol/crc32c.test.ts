/** CRC-32C: known sums, and agreement of the two ways to compute it on both sides of the length where they change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c, slicedCrc32c } from '../../protocol/crc32c.ts'
import { chooseSeed, seededRandom } from '../tiers.ts'

/** The definition, bit by bit. */
function slowCrc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

const sum = (bytes: Buffer) => crc32c(bytes, 0, bytes.length)

test('known sums (RFC 3720 and the usual check value)', () => {
  assert.equal(sum(Buffer.alloc(0)), 0)
  assert.equal(sum(Buffer.from('123456789')), 0xe3069283)
  assert.equal(sum(Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(sum(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  assert.equal(sum(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e)
})

test('every length up to 70 and around the change to native code sums as defined', t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const bytes = Buffer.from(Array.from({ length: 3000 }, () => Math.floor(random() * 256)))
  const lengths = [...Array(70).keys(), 199, 200, 201, 398, 399, 400, 401, 402, 511, 512, 2999]
  for (const length of lengths) {
    const part = bytes.subarray(1, 1 + length)
    assert.equal(crc32c(bytes, 1, 1 + length), slowCrc32c(part), `length ${length}`)
    assert.equal(slicedCrc32c(bytes, 1, 1 + length), slowCrc32c(part), `length ${length}, sliced`)
  }
})

test('a sum can be continued at any place', () => {
  const bytes = Buffer.from(Array.from({ length: 1200 }, (_, i) => (i * 7) & 0xff))
  const whole = sum(bytes)
  for (const cut of [0, 1, 7, 8, 9, 399, 400, 401, 800, 1199, 1200]) {
    assert.equal(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut)), whole, `cut at ${cut}`)
  }
})
