/**
 * One connection, byte by byte: in which order requests start and answers leave, what is bounded, and what happens to
 * everything that was under way when the connection ends.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorCode } from '../../protocol/errors.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { type FakeClient, type Host, requestFrame, startHost } from './host.ts'

/** Runs with a broker that has topic `t` of two partitions; afterwards nothing may be left in its budget or its log. */
async function withHost(
  run: (host: Host) => Promise<void>,
  overrides: readonly string[] = [],
): Promise<void> {
  const host = await startHost({ overrides })
  await host.createTopic('t', 2)
  try {
    await run(host)
  } finally {
    await host.stop()
  }
  assert.equal(host.broker.budget.used, 0, 'bytes left in the memory budget')
  assert.deepEqual(host.loggedErrors, [])
}

/** Holds back what a partition says is written, so that acknowledgements wait until the returned function is called. */
function holdAcknowledgements(host: Host, index: number): () => void {
  const partition = host.broker.replicas.partition('t', index)
  const { written } = partition
  let upTo = 0
  partition.written = offset => {
    upTo = offset
  }
  return () => {
    partition.written = written
    partition.written(upTo)
  }
}

const logEnd = (host: Host, index: number) =>
  host.broker.replicas.partition('t', index).log.logEndOffset

const latest = (index: number) => ({
  replicaId: -1,
  topics: [{ name: 't', partitions: [{ partitionIndex: index, timestamp: -1 }] }],
})

function produceFrames(client: FakeClient, records: Buffer, count: number, from = 1): Buffer {
  const frames: Buffer[] = []
  for (let i = 0; i < count; i++) {
    client.expect(from + i)
    frames.push(requestFrame('Produce', 7, produceOne('t', 0, records, -1), from + i))
  }
  return Buffer.concat(frames)
}

test('answers leave in the order of the requests, although a later one was done first', () =>
  withHost(async host => {
    const client = host.connect()
    const release = holdAcknowledgements(host, 0)
    const records = await batchOf(['a'])
    const first = client.call('Produce', 7, produceOne('t', 0, records, -1))
    const second = client.call('Produce', 7, produceOne('t', 1, records, -1))
    await idle()
    assert.equal(logEnd(host, 1), 1, 'the second started while the first waits')
    assert.deepEqual(client.answered, [], 'and its answer is kept back')
    release()
    await Promise.all([first, second])
    assert.deepEqual(client.answered, [1, 2])
  }))

test('the answers of a turn leave in one write', () =>
  withHost(async host => {
    const client = host.connect()
    const records = await batchOf(['a'])
    const all = Array.from({ length: 20 }, () => produceOne('t', 0, records))
    await client.callAll('Produce', 7, all)
    assert.equal(client.socket.writes, 1)
  }))

test('batches with an asynchronous codec get their offsets in the order of arrival', () =>
  withHost(async host => {
    const client = host.connect()
    const codecs = ['zstd', 'none', 'gzip', 'zstd', 'none'] as const
    const requests: ReturnType<typeof produceOne>[] = []
    for (const [i, codec] of codecs.entries()) {
      requests.push(produceOne('t', 0, await batchOf([`${i}`], codec), -1))
    }
    const answers = await client.callAll('Produce', 7, requests)
    const offsets = answers.map(({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset)
    assert.deepEqual(offsets, [0, 1, 2, 3, 4])
    const fetched = await client.call('Fetch', 11, fetchOne('t', 0, 0))
    assert.deepEqual(await valuesOf(fetched.responses[0]!.partitions[0]!.records), [
      '0',
      '1',
      '2',
      '3',
      '4',
    ])
  }))

test('a request behind a Produce starts when that has taken effect', () =>
  withHost(async host => {
    const client = host.connect()
    const release = holdAcknowledgements(host, 0)
    const produced = client.call('Produce', 7, produceOne('t', 0, await batchOf(['a', 'b']), -1))
    const listed = client.call('ListOffsets', 1, latest(0))
    await idle()
    assert.deepEqual(client.answered, [])
    assert.ok(client.socket.isPaused, 'and nothing more is read')
    release()
    await produced
    assert.equal((await listed).topics[0]!.partitions[0]!.offset, 2)
  }))

test('a Produce behind another request starts when that is answered', () =>
  withHost(async host => {
    const client = host.connect()
    const polled = client.call('Fetch', 11, fetchOne('t', 1, 0, { maxWaitMs: 100 }))
    const produced = client.call('Produce', 7, produceOne('t', 1, await batchOf(['a']), -1))
    await idle()
    assert.equal(logEnd(host, 1), 0)
    await host.io.advance(100)
    assert.equal((await polled).responses[0]!.partitions[0]!.records?.length, 0)
    await produced
    assert.equal(logEnd(host, 1), 1)
  }))

test('at most one request is held, charged to the budget while it is', () =>
  withHost(async host => {
    const client = host.connect()
    const release = holdAcknowledgements(host, 0)
    const records = await batchOf(['a'])
    const before = host.broker.budget.used
    void client.call('Produce', 7, produceOne('t', 0, records, -1))
    const held = requestFrame('ListOffsets', 1, latest(0), 2)
    const answers = [client.expect(2), client.expect(3)]
    client.socket.deliver(Buffer.concat([held, requestFrame('ListOffsets', 1, latest(1), 3)]))
    await idle()
    assert.equal(host.broker.budget.used - before, held.length - 4)
    client.socket.deliver(requestFrame('ListOffsets', 1, latest(1), 4))
    assert.ok(client.socket.unreadBytes > 0, 'the fourth is left to the kernel')
    answers.push(client.expect(4))
    release()
    await Promise.all(answers)
    assert.deepEqual(client.answered, [1, 2, 3, 4])
  }))

for (const count of [127, 128, 129, 400]) {
  const what = count < 128 ? 'go on' : 'stop after 128'
  test(`${count} Produces that wait: reading must ${what}`, () =>
    withHost(async host => {
      const client = host.connect()
      const release = holdAcknowledgements(host, 0)
      client.socket.deliver(produceFrames(client, await batchOf(['a']), count))
      await idle()
      assert.equal(client.socket.isPaused, count >= 128)
      assert.equal(logEnd(host, 0), Math.min(count, 128))
      release()
      // Each further batch is acknowledged in a turn of its own.
      for (let i = 0; i < 10; i++) await idle()
      assert.equal(client.answered.length, count)
      assert.ok(!client.socket.isPaused)
    }))
}

test('frames that arrive one byte at a time are requests all the same', () =>
  withHost(async host => {
    const client = host.connect()
    const records = await batchOf(['a'.repeat(300)])
    const answers = [client.expect(1), client.expect(2)]
    const produce = requestFrame('Produce', 7, produceOne('t', 0, records), 1)
    const list = requestFrame('ListOffsets', 1, latest(0), 2)
    client.socket.deliver(Buffer.concat([produce, list]), 1)
    await Promise.all(answers)
    assert.deepEqual(client.answered, [1, 2])
  }))

test('a request larger than all that is read at a time is received and answered', () =>
  withHost(async host => {
    const client = host.connect()
    const records = await batchOf(['x'.repeat(900_000)])
    const { responses } = await client.call('Produce', 7, produceOne('t', 0, records))
    assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
  }))

test('while the budget is used up a connection does not read; it goes on when there is room', () =>
  withHost(
    async host => {
      const { budget, metrics } = host.broker
      const [first, second] = [host.connect(), host.connect()]
      const records = await batchOf(['x'.repeat(400_000)])
      const [one, two] = [
        requestFrame('Produce', 7, produceOne('t', 0, records), 1),
        requestFrame('Produce', 7, produceOne('t', 1, records), 1),
      ]
      const answers = [first.expect(1), second.expect(1)]
      first.socket.deliver(one.subarray(0, 1000))
      assert.ok(budget.used > budget.limit, 'the last taker may exceed the limit by its request')
      second.socket.deliver(two)
      await idle()
      assert.ok(second.socket.isPaused)
      assert.ok(second.socket.unreadBytes > 0, 'the kernel holds the sender back')
      assert.equal(metrics.pausedConnections, 1)
      assert.equal(budget.used, one.length - 4)
      first.socket.deliver(one.subarray(1000))
      await Promise.all(answers)
      assert.equal(metrics.pausedConnections, 0)
      assert.equal(budget.used, 0)
    },
    ['queued.max.request.bytes=100000'],
  ))

test('a connection that waits for the budget is woken by the end of another', () =>
  withHost(
    async host => {
      const [first, second] = [host.connect(), host.connect()]
      const records = await batchOf(['x'.repeat(400_000)])
      const frame = requestFrame('Produce', 7, produceOne('t', 0, records), 1)
      first.socket.deliver(frame.subarray(0, 1000))
      const answer = second.expect(1)
      second.socket.deliver(frame)
      await idle()
      first.socket.destroy()
      await answer
      assert.equal(host.broker.budget.used, 0)
    },
    ['queued.max.request.bytes=100000'],
  ))

const apiVersionsFrame = (version: number, id: number) => {
  const frame = requestFrame('ApiVersions', 0, {}, id)
  frame.writeInt16BE(version, 6)
  return frame
}

for (const version of [5, 99, -1]) {
  test(`ApiVersions ${version} is answered in version 0, with error 35 and the whole list`, () =>
    withHost(async host => {
      const client = host.connect()
      const answer = client.expect(1)
      client.socket.deliver(apiVersionsFrame(version, 1))
      const frame = await answer
      assert.equal(frame.readInt16BE(4), errorCode('UNSUPPORTED_VERSION'))
      assert.equal(frame.length, 4 + 2 + 4 + frame.readInt32BE(6) * 6, 'the body is version 0')
      assert.ok(frame.readInt32BE(6) > 20)
      await client.call('ApiVersions', 3, {
        clientSoftwareName: 'stepped',
        clientSoftwareVersion: '1',
      })
    }))
}

function header(apiKey: number, apiVersion: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const start = Buffer.alloc(14)
  start.writeInt32BE(10 + body.length, 0)
  start.writeInt16BE(apiKey, 4)
  start.writeInt16BE(apiVersion, 6)
  start.writeInt32BE(1, 8)
  start.writeInt16BE(-1, 12)
  return Buffer.concat([start, body])
}

const sized = (size: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32BE(size, 0)
  return bytes
}

const unreadable: readonly [string, Buffer, RegExp][] = [
  ['an API that nobody knows', header(999, 0), /API key 999/],
  ['an API of Kafka that is not served', header(76, 1), /API key 76/],
  ['a version below the served ones', header(0, 2), /Produce version 2.*3 to 13/],
  ['a version above the served ones', header(3, 14), /Metadata version 14.*0 to 13/],
  ['a body that ends too early', header(3, 9), /Metadata v9.*cannot be read/],
  [
    'an array longer than its frame',
    header(3, 1, Buffer.from('7fffffff', 'hex')),
    /cannot be read/,
  ],
  ['a header that ends too early', Buffer.from('00000003000300', 'hex'), /header/],
  ['a frame of no bytes', sized(0), /header/],
  ['a frame of negative size', sized(-1), /frame of -1 bytes/],
  ['a frame above socket.request.max.bytes', sized(104_857_601), /socket.request.max.bytes/],
]

for (const [what, bytes, reason] of unreadable) {
  test(`${what} ends the connection, and the log says why`, () =>
    withHost(async host => {
      const client = host.connect()
      const before = host.broker.metrics.unreadableFrames
      client.socket.deliver(bytes)
      await idle()
      assert.ok(client.isClosed)
      assert.equal(host.broker.metrics.unreadableFrames, before + 1)
      const line = host.logger.lines.find(({ event }) => event === 'connection dropped')
      assert.match(String(line?.fields['reason']), reason)
      const other = host.connect()
      await other.call('ListOffsets', 1, latest(0))
    }))
}

test('a frame of exactly socket.request.max.bytes is read', () =>
  withHost(
    async host => {
      const records = await batchOf(['x'.repeat(5000)])
      const request = produceOne('t', 0, records)
      const size = requestFrame('Produce', 7, request, 1).length - 4
      await host.connect().call('Produce', 7, produceOne('t', 0, await fit(records, 6000 - size)))
      const client = host.connect()
      const larger = produceOne('t', 0, await fit(records, 6001 - size))
      await assert.rejects(client.call('Produce', 7, larger), /closed/)
    },
    ['socket.request.max.bytes=6000'],
  ))

/** A batch that is longer by `more` bytes. */
async function fit(batch: Buffer, more: number): Promise<Buffer> {
  const longer = await batchOf(['x'.repeat(5000 + more)])
  assert.equal(longer.length, batch.length + more)
  return longer
}

test('nothing that was sent behind an unreadable request has an effect', () =>
  withHost(async host => {
    const client = host.connect()
    const produce = requestFrame('Produce', 7, produceOne('t', 0, await batchOf(['a'])), 2)
    client.socket.deliver(Buffer.concat([header(999, 0), produce]))
    await idle()
    assert.ok(client.isClosed)
    assert.equal(logEnd(host, 0), 0)
  }))

test('a peer that has closed its side gets the answers to all that it sent', () =>
  withHost(async host => {
    const client = host.connect()
    client.socket.peerFollows = false
    const release = holdAcknowledgements(host, 0)
    client.socket.deliver(produceFrames(client, await batchOf(['a']), 150))
    const listed = client.expect(151)
    client.socket.deliver(requestFrame('ListOffsets', 1, latest(0), 151))
    client.socket.peerEnds()
    await idle()
    assert.ok(!client.isClosed)
    release()
    await listed
    await idle()
    assert.equal(client.answered.length, 151)
    assert.ok(client.isClosed, 'then the connection is closed')
  }))

test('a peer that closes its side while nothing is under way is closed', () =>
  withHost(async host => {
    const client = host.connect()
    client.socket.peerEnds()
    await idle()
    assert.ok(client.isClosed)
    assert.equal(host.server.connectionCount, 0)
  }))

test('acks=0 has no answer, and what follows it is answered', () =>
  withHost(async host => {
    const client = host.connect()
    client.tell('Produce', 7, produceOne('t', 0, await batchOf(['a']), 0))
    const { topics } = await client.call('ListOffsets', 1, latest(0))
    assert.equal(topics[0]!.partitions[0]!.offset, 1)
    assert.deepEqual(client.answered, [2])
  }))

test('a failure with acks=0 ends the connection: nothing else could tell the client', () =>
  withHost(async host => {
    const client = host.connect()
    client.tell('Produce', 7, produceOne('nowhere', 0, await batchOf(['a']), 0))
    await idle()
    assert.ok(client.isClosed)
  }))

test('a Fetch that waits leaves nothing behind when its connection ends', () =>
  withHost(async host => {
    const { highWatermark } = host.broker.replicas.partition('t', 0)
    const timers = host.io.timerCount
    const client = host.connect()
    const polled = client.call('Fetch', 11, fetchOne('t', 0, 0, { maxWaitMs: 60_000 }))
    await idle()
    assert.equal(highWatermark.waiting, 1)
    assert.equal(host.io.timerCount, timers + 1)
    client.socket.destroy()
    await assert.rejects(polled, /closed/)
    assert.equal(highWatermark.waiting, 0)
    assert.equal(host.io.timerCount, timers)
  }))
