/** The small text files: Kafka's are read, ours are Kafka's, lying ones are refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError } from '../../protocol/buffer.ts'
import {
  encodeMetaProperties,
  encodeOffsets,
  encodePartitionMetadata,
  parseMetaProperties,
  parseOffsets,
  parsePartitionMetadata,
} from '../../segment-store/checkpoint.ts'

test('offsets are kept by topic and partition, also of topics with dashes', () => {
  const offsets = new Map([
    ['a-b-0', 5],
    ['a-12', 0],
  ])
  assert.equal(encodeOffsets(offsets).toString(), '0\n2\na-b 0 5\na 12 0\n')
  assert.deepEqual(parseOffsets(encodeOffsets(offsets)), offsets)
  assert.equal(parseOffsets(Buffer.alloc(0)).size, 0)
  for (const text of ['1\n0\n', '0\n1\n', '0\n1\na 0\n', '0\n1\na x 5\n', '0\n0\na 0 5\n']) {
    assert.throws(() => parseOffsets(Buffer.from(text)), MalformedError, text)
  }
})

test('meta.properties of Kafka is read, with remarks and in any order', () => {
  const text = '#\n#Sat Nov 21\nnode.id=1\ndirectory.id=GY\nversion=1\ncluster.id=Mk\n'
  const properties = { clusterId: 'Mk', nodeId: 1, directoryId: 'GY' }
  assert.deepEqual(parseMetaProperties(Buffer.from(text)), properties)
  assert.deepEqual(parseMetaProperties(encodeMetaProperties(properties)), properties)
  for (const wrong of [
    '',
    'version=2\ncluster.id=a\nnode.id=1',
    'version=1\ncluster.id=a',
    'version=1\nnode.id=1',
  ]) {
    assert.throws(() => parseMetaProperties(Buffer.from(wrong)), MalformedError, wrong)
  }
})

test('partition.metadata holds a topic id', () => {
  const id = 'QcBKM9xeQDGytqaz_D2Q_g'
  assert.equal(encodePartitionMetadata(id).toString(), `version: 0\ntopic_id: ${id}`)
  assert.equal(parsePartitionMetadata(encodePartitionMetadata(id)), id)
  assert.throws(
    () => parsePartitionMetadata(Buffer.from('version: 0\ntopic_id: x')),
    MalformedError,
  )
})
