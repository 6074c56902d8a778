/** What group members tell each other: the bytes of Kafka's own serializer, and those of other versions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../client/consumer-protocol.ts'
import { MalformedError } from '../../protocol/buffer.ts'

const owned = [
  { topic: 'ab', partition: 1 },
  { topic: 'ab', partition: 2 },
]

test('a subscription, byte by byte', () => {
  const bytes = encodeSubscription({ topics: ['ab'], owned })
  const topics = '00000001 0002 6162'
  const partitions = '00000001 0002 6162 00000002 00000001 00000002'
  assert.equal(bytes.toString('hex'), `0001 ${topics} ffffffff ${partitions}`.replaceAll(' ', ''))
  assert.deepEqual(decodeSubscription(bytes), { topics: ['ab'], owned })
})

test('older versions have less, newer ones more behind it', () => {
  const old = Buffer.from('0000 00000001 0002 6162 00000001 07'.replaceAll(' ', ''), 'hex')
  assert.deepEqual(decodeSubscription(old), { topics: ['ab'], owned: [] })
  const bytes = encodeSubscription({ topics: ['ab'], owned })
  const newer = Buffer.concat([bytes, Buffer.from('00000005ffff', 'hex')])
  newer.writeInt16BE(3, 0)
  assert.deepEqual(decodeSubscription(newer), { topics: ['ab'], owned })
})

test('an assignment comes back; nothing is no partitions; cut bytes are refused', () => {
  const bytes = encodeAssignment(owned)
  assert.deepEqual(decodeAssignment(bytes), owned)
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), [])
  for (let size = 1; size < bytes.length - 4; size++) {
    assert.throws(() => decodeAssignment(bytes.subarray(0, size)), MalformedError)
  }
  const lying = Buffer.from('00017fffffff', 'hex')
  assert.throws(() => decodeAssignment(lying), MalformedError)
})
