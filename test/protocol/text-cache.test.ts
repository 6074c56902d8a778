/** The text cache is never seen but in time: every text is what decoding it would give. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { putUuid, textAt, uuidAt } from '../../protocol/text-cache.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'

test('text is what decoding gives, first time and again, whatever came between', t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const text = fc.string({ unit: 'grapheme', maxLength: 50 })
  const property = fc.property(fc.array(text), texts => {
    for (const expected of [...texts, ...texts]) {
      const bytes = Buffer.from(`<${expected}>`)
      assert.equal(textAt(bytes, 1, bytes.length - 1), expected)
    }
  })
  fc.assert(property, { seed, numRuns: tier.propertyRuns })
})

test('more texts than there are places push each other out and stay right', () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 5000; i++) {
      const bytes = Buffer.from(`topic-${i}`)
      assert.equal(textAt(bytes, 0, bytes.length), `topic-${i}`)
    }
  }
})

test('a text that comes again is the same text after its bytes have changed', () => {
  const bytes = Buffer.from('orders')
  const text = textAt(bytes, 0, 6)
  bytes.fill('x')
  assert.equal(text, 'orders')
  assert.equal(textAt(bytes, 0, 6), 'xxxxxx')
  assert.equal(textAt(Buffer.from('orders'), 0, 6), 'orders')
})

test('the longest cached text and one byte more decode alike', () => {
  for (const length of [0, 1, 39, 40, 41, 1000]) {
    for (const unit of ['a', 'é', '\u0000', '\u007f', '\u0080']) {
      const expected = unit.repeat(length / Buffer.byteLength(unit))
      const bytes = Buffer.from(expected)
      assert.equal(textAt(bytes, 0, bytes.length), expected)
      assert.equal(textAt(bytes, 0, bytes.length), expected)
    }
  }
})

test('bytes that are no UTF-8 decode as Node decodes them', () => {
  const bytes = Buffer.from('ff41c3', 'hex')
  assert.equal(textAt(bytes, 0, 3), bytes.toString('utf8'))
})

test('UUIDs keep their 16 bytes, both ways, whatever came between', t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const ids = Array.from({ length: 3000 }, () =>
    Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256))),
  )
  ids.push(Buffer.alloc(16), Buffer.alloc(16, 255))
  const target = Buffer.alloc(18)
  for (const id of [...ids, ...ids.reverse(), ...ids.slice(0, 10), ...ids.slice(0, 10)]) {
    const text = uuidAt(id, 0)
    assert.equal(text, id.toString('base64url'))
    assert.equal(putUuid(target, 1, text), true)
    assert.ok(target.subarray(1, 17).equals(id))
  }
})

test('what is no UUID is refused, first time and again', () => {
  const target = Buffer.alloc(16)
  for (const text of ['', 'short', 'short', '!'.repeat(22)]) {
    assert.equal(putUuid(target, 0, text), false)
  }
})
