import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConsumerEvent, type ConsumerStory, faultsOf } from './consumer-stories.ts'

const assigned = (timestamp: number, ...partitions: number[]): ConsumerEvent => ({
  timestamp,
  name: 'partitions_assigned',
  partitions: partitions.map(partition => ({ partition })),
})
const revoked = (timestamp: number, ...partitions: number[]): ConsumerEvent => ({
  ...assigned(timestamp, ...partitions),
  name: 'partitions_revoked',
})
const read = (timestamp: number, minOffset: number, maxOffset: number): ConsumerEvent => ({
  timestamp,
  name: 'records_consumed',
  partitions: [{ partition: 0, minOffset, maxOffset }],
})
const committed = (timestamp: number, offset: number, success = true): ConsumerEvent => ({
  timestamp,
  name: 'offsets_committed',
  success,
  offsets: [{ partition: 0, offset }],
})
const story = (
  name: string,
  events: readonly ConsumerEvent[],
  killedMs: number | null = null,
): ConsumerStory => ({ name, events, killedMs })

test('what members of a group may say is no fault', () => {
  const a = [assigned(1, 0), read(2, 0, 9), committed(3, 10), read(4, 10, 19)]
  assert.deepEqual(faultsOf([story('a', a)], [20]), [])
  const b = [assigned(5, 0), read(6, 10, 29), revoked(7, 0)]
  assert.deepEqual(
    faultsOf([story('a', a, 5), story('b', b)], [30]),
    [],
    'read again, not committed',
  )
  const c = [assigned(7, 0), read(8, 30, 30)]
  assert.deepEqual(faultsOf([story('a', a, 5), story('b', b), story('c', c)], [31]), [])
  const failed = [assigned(1, 0), read(2, 0, 9), committed(3, 10, false), revoked(4, 0)]
  assert.deepEqual(
    faultsOf([story('a', failed), story('b', [assigned(4, 0), read(5, 0, 9)])], [10]),
    [],
  )
})

test('what members of a group cannot say is a fault', () => {
  const faults = (stories: ConsumerStory[], end: number) => faultsOf(stories, [end]).join('\n')
  const a = [assigned(1, 0), read(2, 0, 9), committed(3, 10)]
  assert.match(faults([story('a', a)], 11), /nobody read 10 to 10/)
  assert.match(faults([story('a', [])], 3), /nobody read 0 to 2/)
  const b = [assigned(5, 0), read(6, 10, 11)]
  assert.match(faults([story('a', a), story('b', b)], 12), /b has it from 5, but a had it from 1/)
  assert.match(faults([story('a', [...a, revoked(6, 0)]), story('b', b)], 12), /b has it from 5/)
  assert.match(faults([story('a', a, 7), story('b', b)], 12), /from 1 to 7/)
  assert.match(faults([story('a', [...a, read(4, 12, 13)])], 14), /a reads 12 after 9/)
  assert.match(faults([story('a', [...a, read(4, 9, 9)])], 10), /a reads 9 after 9/)
  const again = [assigned(5, 0), read(6, 9, 11)]
  assert.match(faults([story('a', a, 4), story('b', again)], 12), /begins at 9, 10 was committed/)
  assert.match(faults([story('a', [read(2, 0, 9)])], 0), /without having it/)
  assert.match(
    faults([story('a', [...a, revoked(4, 0), read(5, 10, 10)])], 11),
    /without having it/,
  )
  assert.match(faults([story('a', [...a, assigned(4, 0)])], 10), /twice/)
})
