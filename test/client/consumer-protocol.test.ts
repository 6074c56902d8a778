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
  const userData = Buffer.from([7])
  const subscription = { topics: ['ab'], userData, owned, generation: 5, rackId: 'r' }
  const bytes = encodeSubscription(subscription)
  const topics = '00000001 0002 6162'
  const partitions = '00000001 0002 6162 00000002 00000001 00000002'
  const hex = `0003 ${topics} 00000001 07 ${partitions} 00000005 0001 72`
  assert.equal(bytes.toString('hex'), hex.replaceAll(' ', ''))
  assert.deepEqual(decodeSubscription(bytes), subscription)
  const nothing = { topics: [], userData: null, owned: [], generation: -1, rackId: null }
  const bare = encodeSubscription(nothing)
  assert.deepEqual(decodeSubscription(bare), nothing)
  assert.equal(
    bare.toString('hex'),
    '0003 00000000 ffffffff 00000000 ffffffff ffff'.replaceAll(' ', ''),
  )
})

test('older versions have less, newer ones more behind it', () => {
  const old = Buffer.from('0000 00000001 0002 6162 00000001 07'.replaceAll(' ', ''), 'hex')
  const nothing = { owned: [], generation: -1, rackId: null }
  assert.deepEqual(decodeSubscription(old), {
    topics: ['ab'],
    userData: Buffer.from([7]),
    ...nothing,
  })
  const subscription = { topics: ['ab'], userData: null, owned, generation: 5, rackId: 'r' }
  const newer = Buffer.concat([
    encodeSubscription(subscription),
    Buffer.from('00000005ffff', 'hex'),
  ])
  newer.writeInt16BE(4, 0)
  assert.deepEqual(decodeSubscription(newer), subscription)
  newer.writeInt16BE(1, 0)
  assert.deepEqual(decodeSubscription(newer), { ...subscription, generation: -1, rackId: null })
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
