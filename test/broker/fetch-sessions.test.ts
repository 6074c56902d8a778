/** Incremental fetch sessions: through Fetch, as clients use them, and the bounds of their cache. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { errorName } from '../../protocol/errors.ts'
import { batchOf, produceOne, valuesOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { type FakeClient, type Host, startHost } from './host.ts'

async function withHost(
  run: (host: Host, client: FakeClient, topicId: string) => Promise<void>,
  overrides: readonly string[] = [],
): Promise<void> {
  const host = await startHost({ overrides })
  const topicId = await host.createTopic('t', 4)
  try {
    await run(host, host.connect(), topicId)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
  assert.equal(host.broker.budget.used, 0)
}

interface Ask {
  readonly sessionId?: number
  readonly sessionEpoch?: number
  /** Partition and offset. */
  readonly partitions?: readonly (readonly [number, number])[]
  readonly forget?: readonly number[]
  readonly maxWaitMs?: number
  readonly topicId?: string
  readonly version?: number
}

async function fetch(client: FakeClient, ask: Ask) {
  const { sessionId = 0, sessionEpoch = 0, partitions = [], forget = [], topicId } = ask
  const named = topicId === undefined ? { topic: 't' } : { topicId }
  const request: RequestInput<'Fetch'> = {
    maxWaitMs: ask.maxWaitMs ?? 0,
    minBytes: 1,
    sessionId,
    sessionEpoch,
    topics:
      partitions.length === 0
        ? []
        : [
            {
              ...named,
              partitions: partitions.map(([partition, fetchOffset]) => ({
                partition,
                fetchOffset,
                partitionMaxBytes: 100_000,
              })),
            },
          ],
    forgottenTopicsData: forget.length === 0 ? [] : [{ ...named, partitions: forget }],
  }
  const version = ask.version ?? (topicId === undefined ? 12 : 13)
  const response = await client.call('Fetch', version, request)
  const told = new Map<number, string[]>()
  for (const topic of response.responses) {
    for (const { partitionIndex, records } of topic.partitions) {
      told.set(partitionIndex, await valuesOf(records))
    }
  }
  return {
    error: errorName(response.errorCode),
    sessionId: response.sessionId,
    told: Object.fromEntries(told),
    order: [...told.keys()],
  }
}

async function write(client: FakeClient, index: number, value: string): Promise<void> {
  await client.call('Produce', 9, produceOne('t', index, await batchOf([value])))
}

test('a session asks for partitions once and is told only what is new', () =>
  withHost(async (host, client) => {
    const first = await fetch(client, {
      partitions: [
        [0, 0],
        [1, 0],
      ],
    })
    assert.ok(first.sessionId > 0)
    assert.deepEqual(first.told, { 0: [], 1: [] }, 'the first answer names all')
    const { sessionId } = first
    assert.deepEqual((await fetch(client, { sessionId, sessionEpoch: 1 })).told, {})
    await write(client, 1, 'a')
    const third = await fetch(client, { sessionId, sessionEpoch: 2 })
    assert.deepEqual(third.told, { 1: ['a'] })
    assert.equal(third.sessionId, sessionId)
    const fourth = await fetch(client, { sessionId, sessionEpoch: 3, partitions: [[1, 1]] })
    assert.deepEqual(fourth.told, {})
    assert.equal(host.broker.fetchSessions.count, 1)
    assert.equal(host.broker.fetchSessions.partitionCount, 2)
  }))

test('partitions are added, changed and forgotten by naming them', () =>
  withHost(async (host, client) => {
    const { sessionId } = await fetch(client, { partitions: [[0, 0]] })
    await write(client, 2, 'c')
    const added = await fetch(client, { sessionId, sessionEpoch: 1, partitions: [[2, 0]] })
    assert.deepEqual(added.told, { 2: ['c'] })
    const changed = await fetch(client, { sessionId, sessionEpoch: 2, partitions: [[2, 1]] })
    assert.deepEqual(changed.told, {})
    const forgotten = await fetch(client, { sessionId, sessionEpoch: 3, forget: [2] })
    assert.deepEqual(forgotten.told, {})
    await write(client, 2, 'd')
    assert.deepEqual((await fetch(client, { sessionId, sessionEpoch: 4 })).told, {})
    assert.equal(host.broker.fetchSessions.partitionCount, 1)
  }))

test('a moved log start and an error are news, the error each time', () =>
  withHost(async (host, client) => {
    await write(client, 0, 'a')
    const { sessionId } = await fetch(client, {
      partitions: [
        [0, 1],
        [1, 7],
      ],
    })
    assert.deepEqual((await fetch(client, { sessionId, sessionEpoch: 1 })).told, { 1: [] })
    await host.broker.replicas.partition('t', 0).log.advanceLogStartTo(1)
    assert.deepEqual((await fetch(client, { sessionId, sessionEpoch: 2 })).told, { 0: [], 1: [] })
  }))

test('the partition that had data goes behind the others', () =>
  withHost(async (_host, client) => {
    for (const index of [0, 1, 2]) await write(client, index, `${index}`)
    const all = [0, 1, 2].map(index => [index, 1] as const)
    const { sessionId } = await fetch(client, { partitions: all })
    await write(client, 0, 'again')
    const once = await fetch(client, { sessionId, sessionEpoch: 1 })
    assert.deepEqual(once.order, [0])
    for (const index of [1, 2]) await write(client, index, 'again')
    const twice = await fetch(client, { sessionId, sessionEpoch: 2 })
    assert.deepEqual(twice.order, [1, 2, 0])
  }))

test('an unknown session and an epoch that is not the next are refused, without an answer', () =>
  withHost(async (_host, client) => {
    const { sessionId } = await fetch(client, { partitions: [[0, 0]] })
    const unknown = await fetch(client, { sessionId: sessionId + 1, sessionEpoch: 1 })
    assert.equal(unknown.error, 'FETCH_SESSION_ID_NOT_FOUND')
    for (const sessionEpoch of [2, 7]) {
      const { error, told } = await fetch(client, { sessionId, sessionEpoch })
      assert.equal(error, 'INVALID_FETCH_SESSION_EPOCH')
      assert.deepEqual(told, {})
    }
    assert.equal((await fetch(client, { sessionId, sessionEpoch: 1 })).error, 'NONE')
    const again = await fetch(client, { sessionId, sessionEpoch: 1 })
    assert.equal(again.error, 'INVALID_FETCH_SESSION_EPOCH', 'an epoch counts once')
  }))

test('after the greatest epoch comes 1', () =>
  withHost(async (host, client) => {
    const { sessionId } = await fetch(client, { partitions: [[0, 0]] })
    const { session } = host.broker.fetchSessions.contextFor(
      { sessionId, sessionEpoch: 1, topics: [], forgottenTopicsData: [] } as never,
      false,
    )
    session!.epoch = 0x7fffffff
    assert.equal((await fetch(client, { sessionId, sessionEpoch: 0x7fffffff })).error, 'NONE')
    assert.equal((await fetch(client, { sessionId, sessionEpoch: 1 })).error, 'NONE')
  }))

test('epoch -1 ends a session and gives none; epoch 0 with an id replaces it', () =>
  withHost(async (host, client) => {
    const { sessionId } = await fetch(client, { partitions: [[0, 0]] })
    const replaced = await fetch(client, { sessionId, sessionEpoch: 0, partitions: [[1, 0]] })
    assert.notEqual(replaced.sessionId, sessionId)
    assert.equal(host.broker.fetchSessions.count, 1)
    const ended = await fetch(client, {
      sessionId: replaced.sessionId,
      sessionEpoch: -1,
      partitions: [[1, 0]],
    })
    assert.equal(ended.sessionId, 0)
    assert.deepEqual(ended.told, { 1: [] })
    assert.equal(host.broker.fetchSessions.count, 0)
  }))

test('a session that began with names cannot go on with ids, nor the reverse', () =>
  withHost(async (_host, client, topicId) => {
    const named = await fetch(client, { partitions: [[0, 0]] })
    const withId = await fetch(client, {
      sessionId: named.sessionId,
      sessionEpoch: 1,
      partitions: [[1, 0]],
      topicId,
    })
    assert.equal(withId.error, 'FETCH_SESSION_TOPIC_ID_ERROR')
    const byId = await fetch(client, { partitions: [[0, 0]], topicId })
    const { error } = await fetch(client, { sessionId: byId.sessionId, sessionEpoch: 1 })
    assert.equal(error, 'FETCH_SESSION_TOPIC_ID_ERROR')
  }))

test('sessions with ids forget by id, and learn of a topic that was deleted', () =>
  withHost(async (host, client, topicId) => {
    const { sessionId } = await fetch(client, {
      partitions: [
        [0, 0],
        [1, 0],
      ],
      topicId,
    })
    await fetch(client, { sessionId, sessionEpoch: 1, forget: [1], topicId })
    assert.equal(host.broker.fetchSessions.partitionCount, 1)
    await client.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
    const response = await client.call('Fetch', 13, {
      maxWaitMs: 10_000,
      minBytes: 1,
      sessionId,
      sessionEpoch: 2,
      topics: [],
    })
    const partition = response.responses[0]!.partitions[0]!
    assert.equal(errorName(partition.errorCode), 'UNKNOWN_TOPIC_ID')
    assert.notEqual(response.responses[0]!.topicId, ZERO_UUID)
  }))

test('a session’s long poll is answered by an append to any of its partitions', () =>
  withHost(async (host, client) => {
    const { sessionId } = await fetch(client, { partitions: [0, 1, 2, 3].map(i => [i, 0]) })
    const polled = fetch(client, { sessionId, sessionEpoch: 1, maxWaitMs: 10_000 })
    await idle()
    await write(host.connect(), 3, 'x')
    assert.deepEqual((await polled).told, { 3: ['x'] })
  }))

test('a request without partitions gets no session', () =>
  withHost(async (host, client) => {
    assert.equal((await fetch(client, {})).sessionId, 0)
    assert.equal(host.broker.fetchSessions.count, 0)
  }))

test('when the cache is full there is no session, until the oldest was unused for two minutes', () =>
  withHost(
    async (host, client) => {
      const open = () => fetch(client, { partitions: [[0, 0]] })
      const [first, second] = [await open(), await open()]
      assert.equal((await open()).sessionId, 0, 'a full request is answered all the same')
      await host.io.advance(60_000)
      await fetch(client, { sessionId: first.sessionId, sessionEpoch: 1 })
      await host.io.advance(59_999)
      assert.equal((await open()).sessionId, 0)
      await host.io.advance(1)
      const third = await open()
      assert.ok(third.sessionId > 0)
      assert.equal(host.broker.fetchSessions.evictions, 1)
      const gone = await fetch(client, { sessionId: second.sessionId, sessionEpoch: 1 })
      assert.equal(gone.error, 'FETCH_SESSION_ID_NOT_FOUND', 'the one unused longest gave way')
      const kept = await fetch(client, { sessionId: first.sessionId, sessionEpoch: 2 })
      assert.equal(kept.error, 'NONE')
    },
    ['max.incremental.fetch.session.cache.slots=2'],
  ))

test('a session that nobody used for two minutes is dropped when another is opened, also from a cache with room', () =>
  withHost(async (host, client) => {
    const open = () => fetch(client, { partitions: [0, 1, 2, 3].map(i => [i, 0]) })
    await open()
    const used = await open()
    await host.io.advance(119_999)
    await fetch(client, { sessionId: used.sessionId, sessionEpoch: 1 })
    await open()
    assert.equal(host.broker.fetchSessions.count, 3)
    await host.io.advance(1)
    await open()
    const { count, partitionCount, evictions } = host.broker.fetchSessions
    assert.deepEqual([count, partitionCount, evictions], [3, 12, 1])
    assert.equal(
      (await fetch(client, { sessionId: used.sessionId, sessionEpoch: 2 })).error,
      'NONE',
    )
  }))

test('no slots: no sessions', () =>
  withHost(
    async (_host, client) => {
      assert.equal((await fetch(client, { partitions: [[0, 0]] })).sessionId, 0)
    },
    ['max.incremental.fetch.session.cache.slots=0'],
  ))
