/** Which epoch assigned what, where an epoch ends, and the file that says so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError } from '../../protocol/buffer.ts'
import { LeaderEpochs } from '../../segment-store/leader-epochs.ts'

function epochs(): LeaderEpochs {
  const list = new LeaderEpochs()
  list.assign(2, 10)
  list.assign(4, 20)
  list.assign(7, 30)
  return list
}

test('an offset belongs to the last epoch that began at or below it', () => {
  const list = epochs()
  assert.deepEqual(
    [9, 10, 19, 20, 30, 99].map(offset => list.epochAt(offset)),
    [-1, 2, 2, 4, 7, 7],
  )
  assert.equal(list.latest, 7)
})

test('the end of an epoch is the start of the next, or of the log', () => {
  const end = (epoch: number) => {
    const { leaderEpoch, endOffset } = epochs().endOffsetFor(epoch, 44)
    return [leaderEpoch, endOffset]
  }
  assert.deepEqual(end(-1), [-1, -1])
  assert.deepEqual(end(1), [1, 10])
  assert.deepEqual(end(2), [2, 20])
  assert.deepEqual(end(3), [2, 20])
  assert.deepEqual(end(6), [4, 30])
  assert.deepEqual(end(7), [7, 44])
  assert.deepEqual(end(8), [-1, -1])
  const none = new LeaderEpochs().endOffsetFor(0, 5)
  assert.deepEqual(none, { leaderEpoch: -1, endOffset: -1 })
})

test('truncation keeps the epoch in force at the new start', () => {
  const list = epochs()
  assert.equal(list.truncateFromEnd(30), true)
  assert.equal(list.latest, 4)
  assert.equal(list.truncateFromStart(25), true)
  assert.deepEqual(list.entries, [{ epoch: 4, startOffset: 25 }])
  assert.equal(list.truncateFromStart(25), false)
  assert.equal(list.truncateFromEnd(26), false)
})

test('the file is read back, an empty one means nothing, a lying one is refused', () => {
  const list = epochs()
  assert.equal(list.encode().toString(), '0\n3\n2 10\n4 20\n7 30\n')
  assert.deepEqual(LeaderEpochs.parse(list.encode()).entries, list.entries)
  assert.deepEqual(LeaderEpochs.parse(Buffer.alloc(0)).entries, [])
  for (const text of ['1\n0\n', '0\n2\n0 0\n', '0\n1\n0\n', '0\n1\nx y\n']) {
    assert.throws(() => LeaderEpochs.parse(Buffer.from(text)), MalformedError, text)
  }
})
