/** Fetch sessions: a request names only what has changed since the one before it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FetchSession } from '../../client/fetch-session.ts'

const ID = 'AAAAAAAAAAAAAAAAAAAABQ'
const place = (partition: number, fetchOffset: number) => ({
  partition,
  fetchOffset,
  leaderEpoch: 0,
})
const asked = (session: FetchSession, wanted: [number, number][]) => {
  const places = wanted.map(([p, offset]) => place(p, offset))
  const part = session.next([{ topic: 't', topicId: ID, places }])
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

test('a topic that was made anew is another one', () => {
  const session = new FetchSession(1024)
  const places = [place(0, 5)]
  session.next([{ topic: 't', topicId: ID, places }])
  session.answered(42)
  const topicId = 'AAAAAAAAAAAAAAAAAAAABg'
  const { topics, forgottenTopicsData } = session.next([{ topic: 't', topicId, places }])
  assert.deepEqual(
    topics.map(t => t.topicId),
    [topicId],
  )
  assert.deepEqual(forgottenTopicsData, [{ topic: 't', topicId: ID, partitions: [0] }])
  session.answered(42)
  assert.deepEqual(session.next([]).forgottenTopicsData, [{ topic: 't', topicId, partitions: [0] }])
})
