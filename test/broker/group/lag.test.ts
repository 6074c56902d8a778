/** Lag in seconds from notes of high watermarks, and what the series of groups are bounded by. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addNote, MAX_NOTES, NOTE_EVERY_MS, secondsBehind } from '../../../broker/group/lag.ts'
import { labelledGroups, MAX_GROUP_SERIES } from '../../../broker/group-metric-families.ts'
import type { GroupFigures, MetricsSources } from '../../../broker/metrics.ts'
import { encodeBatch } from '../../../protocol/records.ts'
import { produceOne } from '../batches.ts'
import { commit, joinAlone, withGroups } from '../group-members.ts'

type Notes = Parameters<typeof addNote>[0]

test('a record has been there since the last note without it', () => {
  const notes: Notes = []
  for (const [end, atMs] of [
    [10, 0],
    [10, 5000],
    [20, 10_000],
    [30, 15_000],
  ] as const) {
    addNote(notes, end, atMs)
  }
  assert.equal(secondsBehind(notes, 10, 20_000), 15, 'offset 10 came after 5 s')
  assert.equal(secondsBehind(notes, 19, 20_000), 15)
  assert.equal(secondsBehind(notes, 20, 20_000), 10)
  assert.equal(secondsBehind(notes, 29, 20_000), 10)
  assert.equal(secondsBehind(notes, 30, 20_000), 5)
  // Older than all notes: at least since the first of them.
  assert.equal(secondsBehind(notes, 3, 20_000), 20)
  assert.equal(secondsBehind([], 3, 20_000), 0)
})

test('notes are bounded, and the oldest ones become coarser', () => {
  const notes: Notes = []
  for (let i = 0; i < 1000; i++) {
    addNote(notes, i, i * 1000)
    assert.ok(notes.length <= MAX_NOTES)
  }
  const recent = secondsBehind(notes, 990, 1_000_000)
  assert.ok(recent >= 10 && recent < 13, `${recent}`)
  const old = secondsBehind(notes, 500, 1_000_000)
  assert.ok(old >= 500 && old < 600, `${old}`)
})

test('a group that does not read falls behind, in records and seconds, until it commits', () =>
  withGroups(async (host, client) => {
    const records = [{ timestamp: 0, value: Buffer.from('v') }]
    const produce = async () => {
      const batch = await encodeBatch(records)
      await client.call('Produce', 9, produceOne('t', 0, batch))
    }
    const lag = () => {
      const [entry] = host.broker.groups.entries()
      return [...host.broker.groups.lagOf(entry!)].map(({ records, seconds }) => [records, seconds])
    }
    await commit(client, 0)
    assert.deepEqual(lag(), [[0, 0]])
    await host.io.advance(NOTE_EVERY_MS)
    await produce()
    await produce()
    await host.io.advance(2 * NOTE_EVERY_MS)
    assert.deepEqual(lag(), [[2, (2 * NOTE_EVERY_MS) / 1000]])
    await commit(client, 2)
    assert.deepEqual(lag(), [[0, 0]])
    await commit(client, 7)
    assert.deepEqual(lag(), [[0, 0]])
    await client.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
    assert.deepEqual(lag(), [])
  }))

test('what was there before the first commit has been there since then at least, and does not become younger', () =>
  withGroups(async (host, client) => {
    const records = [{ timestamp: 0, value: Buffer.from('v') }]
    for (let i = 0; i < 3; i++) {
      await client.call('Produce', 9, produceOne('t', 0, await encodeBatch(records)))
    }
    // A member that never commits has no lag that a broker could know.
    const member = await joinAlone(client, { group: 'silent' })
    const lagOf = (groupId: string) => {
      const entry = [...host.broker.groups.entries()].find(one => one.groupId === groupId)!
      const lags = [...host.broker.groups.lagOf(entry)]
      return lags.map(({ records, seconds }) => [records, seconds])
    }
    await host.io.advance(NOTE_EVERY_MS)
    assert.deepEqual(lagOf(member.groupId), [])
    // It commits once and pauses.
    await commit(client, 1)
    assert.deepEqual(lagOf('g'), [[2, 0]])
    await host.io.advance(4 * NOTE_EVERY_MS)
    assert.deepEqual(lagOf('g'), [[2, (3 * NOTE_EVERY_MS) / 1000]])
    // What it has not read is deleted but for the last record, then altogether.
    const deleteTo = async (offset: number) => {
      const partitions = [{ partitionIndex: 0, offset }]
      const request = { topics: [{ name: 't', partitions }], timeoutMs: 1000 }
      const { topics } = await client.call('DeleteRecords', 2, request)
      assert.equal(topics[0]!.partitions[0]!.errorCode, 0)
    }
    await deleteTo(2)
    assert.deepEqual(lagOf('g'), [[2, (3 * NOTE_EVERY_MS) / 1000]])
    await deleteTo(3)
    assert.deepEqual(lagOf('g'), [[2, 0]])
    await client.call('Produce', 9, produceOne('t', 0, await encodeBatch(records)))
    await host.io.advance(NOTE_EVERY_MS)
    const [[behind, seconds]] = lagOf('g') as [[number, number]]
    assert.equal(behind, 3)
    assert.ok(seconds <= (2 * NOTE_EVERY_MS) / 1000, `${seconds}`)
  }))

test('a topic that was deleted and made anew has no past', () => {
  const notes: Notes = []
  addNote(notes, 10, 0)
  addNote(notes, 20, 5000)
  addNote(notes, 3, 10_000)
  assert.equal(secondsBehind(notes, 12, 20_000), 10)
  assert.equal(secondsBehind(notes, 1, 20_000), 10)
})

test('the series of groups are bounded; groups beyond the bound are still counted', () => {
  const figures = (count: number): readonly GroupFigures[] =>
    Array.from({ length: count }, (_, i) => ({
      groupId: `g${i}`,
      state: 'Empty',
      members: 0,
      lags: [],
    }))
  const shown = (count: number) => {
    const sources = { groups: () => figures(count) } as unknown as MetricsSources
    const groups = labelledGroups({ sources })
    return [groups.length, groups.filter(({ labels }) => labels !== null).length]
  }
  assert.deepEqual(shown(MAX_GROUP_SERIES), [MAX_GROUP_SERIES, MAX_GROUP_SERIES])
  assert.deepEqual(shown(MAX_GROUP_SERIES + 1), [MAX_GROUP_SERIES + 1, MAX_GROUP_SERIES])
})
