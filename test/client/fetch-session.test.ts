/** Fetch sessions: a request names only what has changed since the one before it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FetchSession } from '../../client/fetch-session.ts'

const ID = 'AAAAAAAAAAAAAAAAAAAABQ'
const place = (partition: number, fetchOffset: number) => ({
  topic: 't',
  topicId: ID,
  partition,
  fetchOffset,
  leaderEpoch: 0,
})
const asked = (session: FetchSession, wanted: [number, number][]) => {
  const part = session.next(wanted.map(([p, offset]) => place(p, offset)))
  const partitions = part.topics.flatMap(t => t.partitions.map(p => [p.partition, p.fetchOffset]))
  const forgotten = part.forgottenTopicsData.flatMap(t => t.partitions)
  return [part.sessionId, part.sessionEpoch, partitions, forgotten]
}

test('the first request names all, the next what moved, came or went', () => {
  const session = new FetchSession(1024)
  assert.deepEqual(
    asked(session, [
      [0, 5],
      [1, 7],
    ]),
    [
      0,
      0,
      [
        [0, 5],
        [1, 7],
      ],
      [],
    ],
  )
  session.answered(42)
  assert.deepEqual(
    asked(session, [
      [0, 6],
      [1, 7],
    ]),
    [42, 1, [[0, 6]], []],
  )
  session.answered(42)
  assert.deepEqual(
    asked(session, [
      [1, 7],
      [2, 0],
    ]),
    [42, 2, [[2, 0]], [0]],
  )
})

test('a lost session, or a broker that keeps none, is asked for everything again', () => {
  const session = new FetchSession(1024)
  asked(session, [[0, 5]])
  session.answered(42)
  session.reset()
  assert.deepEqual(asked(session, [[0, 5]]), [0, 0, [[0, 5]], []])
  session.answered(0)
  assert.deepEqual(asked(session, [[0, 5]]), [0, 0, [[0, 5]], []])
})
