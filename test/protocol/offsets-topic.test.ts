/** The records of `__consumer_offsets`, against the bytes that Kafka's own serializer wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError } from '../../protocol/buffer.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsBatch,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
  type OffsetsRecordName,
  offsetsTopicRecords,
} from '../../protocol/messages/offsets-topic.ts'
import { encodeBatch } from '../../protocol/records.ts'
import {
  type FieldDefinition,
  fromSample,
  goldenJson,
  goldenLines,
  type Value,
  withoutGolden,
} from '../wire/golden.ts'

interface Line {
  readonly message: string
  readonly version: number
  readonly sample: string
  readonly hex: string
  readonly value: Value
}

interface Definition {
  readonly fields: readonly FieldDefinition[]
  readonly commonStructs?: readonly { name: string; fields: readonly FieldDefinition[] }[]
}

const names = Object.keys(offsetsTopicRecords) as OffsetsRecordName[]
const prefixed = (number: number, hex: string) =>
  Buffer.concat([Buffer.from([number >> 8, number & 255]), Buffer.from(hex, 'hex')])

function typed({ message, value }: Line): Value {
  const { fields, commonStructs = [] } = goldenJson<Definition>(`records/${message}.json`)
  const named = (field: FieldDefinition): FieldDefinition => {
    const struct = commonStructs.find(({ name }) => field.type.endsWith(name))
    return struct === undefined ? field : { ...field, fields: struct.fields }
  }
  return fromSample(fields.map(named), value)
}

function linesOf(name: OffsetsRecordName, side: 'Key' | 'Value'): Line[] {
  return goldenLines<Line>('golden-records.jsonl').filter(line => line.message === name + side)
}

for (const name of names) {
  test(`${name}: Kafka's bytes and ours are the same, both ways`, { skip: withoutGolden }, () => {
    const { type, lastVersion } = offsetsTopicRecords[name]
    const keys = linesOf(name, 'Key')
    const values = linesOf(name, 'Value')
    assert.equal(keys.length, 2)
    assert.equal(values.length, 2 * (lastVersion + 1))
    for (const key of keys) {
      for (const value of values) {
        const keyBytes = prefixed(type, key.hex)
        const valueBytes = prefixed(value.version, value.hex)
        const label = `${name} v${value.version} ${key.sample} ${value.sample}`
        const record = decodeOffsetsRecord(keyBytes, valueBytes)
        assert.ok(record !== null && record.name === name, label)
        const { version } = value
        const again = encodeOffsetsRecord({ ...record, version } as OffsetsRecordInput)
        assert.equal(again.key.toString('hex'), keyBytes.toString('hex'), label)
        assert.equal(again.value?.toString('hex'), valueBytes.toString('hex'), label)
        const fromValues = { name, version, key: typed(key), value: typed(value) }
        const made = encodeOffsetsRecord(fromValues as unknown as OffsetsRecordInput)
        assert.equal(made.key.toString('hex'), keyBytes.toString('hex'), label)
        assert.equal(made.value?.toString('hex'), valueBytes.toString('hex'), label)
      }
    }
  })
}

test('a tombstone is a key without a value, in both directions', () => {
  for (const name of names) {
    const zero = offsetsTopicRecords[name].key.zero
    const made = encodeOffsetsRecord({ name, key: zero, value: null } as OffsetsRecordInput)
    assert.equal(made.value, null)
    assert.deepEqual(decodeOffsetsRecord(made.key, null), { name, key: { ...zero }, value: null })
  }
})

test('a member of the consumer protocol has no classic part: Kafka writes that, where nothing would be an empty one', () => {
  // As Kafka 4.3.1 wrote it: tag 0 of one byte, 0 for null.
  const key = Buffer.from('00050002673100026d31', 'hex')
  const value = Buffer.from('000000000106616c6963650101003d090c0001000100', 'hex')
  const record = decodeOffsetsRecord(key, value)
  assert.ok(record?.name === 'ConsumerGroupMemberMetadata')
  assert.equal(record.value!.clientHost, 'alice')
  assert.equal(record.value!.classicMemberMetadata, null)
  const { key: keyBytes, value: bytes } = encodeOffsetsRecord(record)
  assert.equal(keyBytes.toString('hex'), key.toString('hex'))
  assert.equal(bytes!.toString('hex'), value.toString('hex'))
})

test('the key of an old broker (type 0) is that of an offset commit', () => {
  const key = { group: 'g', topic: 't', partition: 3 }
  const made = encodeOffsetsRecord({ name: 'OffsetCommit', key, value: null })
  made.key.writeInt16BE(0, 0)
  assert.deepEqual(decodeOffsetsRecord(made.key, null), { name: 'OffsetCommit', key, value: null })
})

test('an unknown type is nothing to us, an unknown version or a cut value is malformed', () => {
  assert.equal(decodeOffsetsRecord(Buffer.from([0, 99, 1, 2, 3]), null), null)
  const { key, value } = encodeOffsetsRecord({
    name: 'OffsetCommit',
    key: { group: 'g', topic: 't', partition: 0 },
    value: { offset: 5, metadata: '', commitTimestamp: 7 },
  })
  assert.equal(value!.readInt16BE(0), 3)
  for (const version of [-1, 5]) {
    const other = Buffer.from(value!)
    other.writeInt16BE(version, 0)
    assert.throws(() => decodeOffsetsRecord(key, other), MalformedError)
  }
  for (let end = 0; end < value!.length; end++) {
    assert.throws(() => decodeOffsetsRecord(key, value!.subarray(0, end)), MalformedError)
  }
  for (let end = 0; end < key.length; end++) {
    assert.throws(() => decodeOffsetsRecord(key.subarray(0, end), null), MalformedError)
  }
})

test('a batch of records is what a batch of their bytes is, also after one that was too large to keep', () => {
  const commit = (partition: number, metadata: string): OffsetsRecordInput => ({
    name: 'OffsetCommit',
    key: { group: 'g', topic: 't', partition },
    value: { offset: 5, metadata, commitTimestamp: 7 },
  })
  const gone: OffsetsRecordInput = { name: 'GroupMetadata', key: { group: 'g' }, value: null }
  for (const records of [
    [commit(0, '')],
    Array.from({ length: 50 }, (_, i) => commit(i, 'x'.repeat(30_000))),
    [commit(1, 'y'), gone, commit(2, 'zz')],
    [gone],
  ]) {
    const expected = encodeBatch(
      records.map(one => ({ timestamp: 99, ...encodeOffsetsRecord(one) })),
    )
    assert.deepEqual(encodeOffsetsBatch(records, 99), expected)
  }
})
