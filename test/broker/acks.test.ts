/** What `ottla topic describe` says that an ack means, on both sides of each setting that decides it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackSentences, durabilityOf } from '../../broker/acks.ts'

const NEVER = '9223372036854775807'
const DEFAULTS = { 'min.insync.replicas': '1', 'flush.messages': NEVER, 'flush.ms': NEVER }

function sentences(replicas: number, inSync: number, changed: Record<string, string> = {}): string {
  const nodes = Array.from({ length: replicas }, (_, i) => i)
  const partitions = [{ replicaNodes: nodes, isrNodes: nodes.slice(0, inSync) }]
  const configs = new Map(Object.entries({ ...DEFAULTS, ...changed }))
  return ackSentences(durabilityOf(configs, partitions)).join('\n')
}

test('by default an ack means memory, and a power cut is named', () => {
  const text = sentences(1, 1)
  assert.match(text, /acks=1: the leader has the record in its machine's memory \(page cache\)\./)
  assert.match(text, /acks=all: the same, as there is only one replica\./)
  assert.match(text, /not a power cut before the system has written it out; flush\.messages=1/)
})

test('with flush.messages=1 an ack means disk; with 2 it does not', () => {
  const text = sentences(1, 1, { 'flush.messages': '1' })
  assert.match(text, /has the record on disk\./)
  assert.match(text, /survives a power cut/)
  const more = sentences(1, 1, { 'flush.messages': '2', 'flush.ms': '1000' })
  assert.match(more, /page cache/)
  assert.match(more, /at the latest after 2 records \(flush\.messages\) or 1000 ms \(flush\.ms\)/)
})

test('with replicas it says how many have the record', () => {
  const text = sentences(3, 3, { 'min.insync.replicas': '2' })
  assert.match(text, /lost if the leader fails before another has copied it/)
  assert.match(text, /every replica in sync, at least 2 of 3, has the record in memory/)
  assert.match(text, /not a power cut on every machine that has it/)
})

test('it warns of acks=all that is refused, for ever or for now, and of unclean elections', () => {
  assert.doesNotMatch(sentences(3, 2, { 'min.insync.replicas': '2' }), /refused/)
  assert.match(sentences(3, 1, { 'min.insync.replicas': '2' }), /refused now where 1 partition has/)
  assert.match(sentences(1, 1, { 'min.insync.replicas': '2' }), /min\.insync\.replicas is 2, repl/)
  const unclean = { 'unclean.leader.election.enable': 'true' }
  assert.match(sentences(2, 2, unclean), /A replica that lags may become leader/)
  assert.doesNotMatch(sentences(1, 1, unclean), /lags/)
})
