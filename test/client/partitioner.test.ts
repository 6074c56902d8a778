/** Which partition a record goes to: the hash against values of Kafka's own tests, stickiness, turns. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { murmur2, partitionOfKey, Rotation } from '../../client/partitioner.ts'

/** From UtilsTest of Apache Kafka's clients: every length modulo four is among them. */
const HASHES: readonly [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test('keys hash as in Kafka', () => {
  for (const [text, hash] of HASHES) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test("recorded keys hash as in Kafka's own class", () => {
  const lines = readFileSync(join('test', 'client', 'murmur2.jsonl'), 'utf8')
    .trim()
    .split('\n')
  assert.equal(lines.length, 200)
  for (const line of lines) {
    const [key, hash] = JSON.parse(line) as [string, number]
    assert.equal(murmur2(Buffer.from(key, 'hex')), hash, key)
  }
})

test('the hash becomes a partition without its sign bit', () => {
  for (const [text, hash] of HASHES) {
    for (const count of [1, 3, 7, 100]) {
      assert.equal(partitionOfKey(Buffer.from(text), count), (hash & 0x7fffffff) % count)
    }
  }
})

test('records without a key stay in one partition until a batch is full, then go to another', () => {
  const rotation = new Rotation(() => 0, 100)
  const chosen = [40, 40, 20, 10, 90, 1].map(bytes => rotation.sticky(3, [0, 1, 2], bytes))
  assert.deepEqual(chosen, [0, 0, 0, 1, 1, 0])
})

test('a partition without a leader is not chosen while another has one', () => {
  const rotation = new Rotation(() => 0.99, 1)
  for (let i = 0; i < 4; i++) assert.notEqual(rotation.sticky(3, [0, 2], 1), 1)
  assert.equal(rotation.sticky(1, [], 1), 0, 'nobody leads: any will do')
})

test('turns go through the partitions that have a leader', () => {
  const rotation = new Rotation(Math.random, 1)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => rotation.next(3, [0, 2])),
    [0, 2, 0, 2],
  )
})
