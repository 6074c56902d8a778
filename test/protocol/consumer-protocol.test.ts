/** What consumers say inside the classic protocol, against Kafka's own bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAssignment, readSubscription } from '../../protocol/messages/consumer-protocol.ts'
import { goldenLines, type Value, withoutGolden } from '../wire/golden.ts'

interface Line {
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly value: Value
}

const linesOf = (message: string) =>
  goldenLines<Line>('golden-messages.jsonl').filter(line => line.message === message)

const withVersion = ({ version, hex }: Line) =>
  Buffer.concat([Buffer.from([0, version]), Buffer.from(hex, 'hex')])

test("Kafka's subscriptions and assignments of all versions are read", {
  skip: withoutGolden,
}, () => {
  const subscriptions = linesOf('ConsumerProtocolSubscription')
  assert.equal(subscriptions.length, 8)
  for (const line of subscriptions) {
    assert.deepEqual(readSubscription(withVersion(line)), line.value['topics'])
  }
  const assignments = linesOf('ConsumerProtocolAssignment')
  assert.equal(assignments.length, 8)
  for (const line of assignments) {
    assert.deepEqual(readAssignment(withVersion(line)), line.value['assignedPartitions'])
  }
})

test('bytes of another make are nothing, not a failure', () => {
  for (const hex of [
    '',
    '00',
    'ffff00000000',
    '0000000000ff',
    '00007fffffff',
    '000000000001ffff',
  ]) {
    assert.equal(readSubscription(Buffer.from(hex, 'hex')), null, hex)
    assert.equal(readAssignment(Buffer.from(hex, 'hex')), null, hex)
  }
})
