/** The producer in virtual time, against brokers that answer from a script and keep what they are sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { Cluster } from '../../client/cluster.ts'
import type { ClientOptions } from '../../client/config.ts'
import {
  AnswerError,
  ClosedError,
  type OptionError,
  RecordError,
  type SerializerError,
  TimeoutError,
} from '../../client/errors.ts'
import { Producer } from '../../client/producer.ts'
import type { ProducerOptions } from '../../client/producer-config.ts'
import { int32, json } from '../../client/serializers.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { type ErrorName, errorCode } from '../../protocol/errors.ts'
import { baseSequence, producerEpoch, recordCount } from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import { idle, MemoryIo, type Misbehaviour, ScriptedBroker } from './memory-network.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAABQ'

interface Arrival {
  readonly partition: number
  readonly epoch: number
  readonly sequence: number
  readonly count: number
  readonly values: readonly string[]
}

type Verdict = ErrorName | Misbehaviour | 'NONE' | 'written, then close'

/** One broker that leads all partitions of topic t and checks sequence numbers as Kafka does. */
class World {
  readonly io = new MemoryIo()
  readonly arrivals: Arrival[] = []
  /** What the log of each partition holds. */
  readonly logs: string[][]
  /** What becomes of the next Produce requests; afterwards all is well. */
  verdicts: Verdict[] = []
  readonly broker: ScriptedBroker
  private readonly expected = new Map<string, number>()

  constructor(partitions = 1) {
    this.logs = Array.from({ length: partitions }, () => [])
    this.broker = new ScriptedBroker(this.io, 'b1', 9092, {
      Metadata: () => ({
        brokers: [{ nodeId: 1, host: 'b1', port: 9092 }],
        clusterId: 'c',
        controllerId: 1,
        topics: [
          {
            errorCode: 0,
            name: 't',
            topicId: TOPIC_ID,
            partitions: this.logs.map((_, partitionIndex) => ({
              errorCode: 0,
              partitionIndex,
              leaderId: 1,
              leaderEpoch: 0,
              replicaNodes: [1],
              isrNodes: [1],
            })),
          },
        ],
      }),
      InitProducerId: () => ({ errorCode: 0, producerId: 9, producerEpoch: 0 }),
      Produce: request => this.produce(request),
    })
  }

  producer<K = string | Uint8Array, V = string | Uint8Array>(
    options: ProducerOptions<K, V> = {},
    client: Partial<ClientOptions> = {},
  ): Producer<K, V> {
    const cluster = new Cluster(this.io, { bootstrap: 'b1:9092', ...client })
    return new Producer(this.io, cluster, options)
  }

  private produce(request: RequestOf<'Produce'>): ResponseInput<'Produce'> | Misbehaviour {
    const verdict = this.verdicts.shift() ?? 'NONE'
    const partitionResponses = request.topicData.flatMap(({ partitionData }) =>
      partitionData.map(({ index, records }) => this.append(index, records!, verdict)),
    )
    if (verdict === 'hang' || verdict === 'close') return verdict
    if (verdict === 'written, then close') return 'close'
    if (request.acks === 0) return 'hang'
    return { responses: [{ name: 't', topicId: TOPIC_ID, partitionResponses }] }
  }

  private append(index: number, records: Buffer, verdict: Verdict) {
    const decoded = decodeBatch(records, 0, 1e6) as { value: Buffer }[]
    const values = decoded.map(({ value }) => value.toString())
    const [epoch, sequence] = [producerEpoch(records, 0), baseSequence(records, 0)]
    this.arrivals.push({
      partition: index,
      epoch,
      sequence,
      count: recordCount(records, 0),
      values,
    })
    const refuse = (error: ErrorName) => ({ index, errorCode: errorCode(error), baseOffset: -1 })
    if (verdict === 'hang' || verdict === 'close') return refuse('NONE')
    if (verdict !== 'NONE' && verdict !== 'written, then close') return refuse(verdict)
    const log = this.logs[index]!
    const key = `${index} ${epoch}`
    const next = this.expected.get(key) ?? 0
    if (sequence >= 0 && sequence < next) return { index, errorCode: 0, baseOffset: sequence }
    if (sequence > next) return refuse('OUT_OF_ORDER_SEQUENCE_NUMBER')
    if (sequence >= 0) this.expected.set(key, next + values.length)
    const baseOffset = log.length
    log.push(...values)
    return { index, errorCode: 0, baseOffset }
  }
}

test('records of one turn go out in one batch, each with its own offset', async () => {
  const world = new World()
  const producer = world.producer()
  const sends = ['a', 'b', 'c'].map(value => producer.send({ topic: 't', value }))
  const positions = await world.io.settle(Promise.all(sends))
  assert.deepEqual(
    positions.map(({ partition, offset }) => [partition, offset]),
    [
      [0, 0],
      [0, 1],
      [0, 2],
    ],
  )
  assert.equal(world.arrivals.length, 1)
  assert.deepEqual(world.logs, [['a', 'b', 'c']])
})

test('five batches are on their way, a sixth waits and collects', async () => {
  const world = new World()
  const producer = world.producer()
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  world.verdicts = ['hang', 'hang', 'hang', 'hang', 'hang']
  for (let i = 0; i < 8; i++) {
    producer.send({ topic: 't', value: `${i}` }).catch(() => {})
    await idle()
  }
  assert.equal(world.arrivals.length, 1 + 5)
})

for (const lost of ['close', 'written, then close'] as const) {
  test(`a lost connection (${lost}) loses, repeats and reorders nothing`, async () => {
    const world = new World()
    const producer = world.producer()
    await world.io.settle(producer.send({ topic: 't', value: 'first' }))
    world.verdicts = ['NONE', lost]
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 7; i++) {
      sends.push(producer.send({ topic: 't', value: `${i}` }))
      await idle()
    }
    await world.io.settle(Promise.all(sends))
    assert.deepEqual(world.logs, [['first', '0', '1', '2', '3', '4', '5', '6']])
  })
}

test('order is kept when a batch is refused for a while and those behind it are not', async () => {
  const world = new World()
  const producer = world.producer()
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  world.verdicts = ['NOT_LEADER_OR_FOLLOWER']
  const sends: Promise<unknown>[] = []
  for (let i = 0; i < 5; i++) {
    sends.push(producer.send({ topic: 't', value: `${i}` }))
    await idle()
  }
  await world.io.settle(Promise.all(sends))
  assert.deepEqual(world.logs, [['first', '0', '1', '2', '3', '4']])
})

test('after a batch that is refused for good the partition goes on under a new epoch', async () => {
  const world = new World()
  const producer = world.producer()
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  world.verdicts = ['MESSAGE_TOO_LARGE']
  const refused = producer.send({ topic: 't', value: 'refused' })
  await assert.rejects(world.io.settle(refused), (error: AnswerError) => {
    assert.equal(error.error, 'MESSAGE_TOO_LARGE')
    return error instanceof AnswerError && error.topic === 't' && error.partition === 0
  })
  await world.io.settle(producer.send({ topic: 't', value: 'next' }))
  assert.deepEqual(world.logs, [['first', 'next']])
  assert.equal(world.arrivals.at(-1)!.epoch, 1)
  assert.equal(world.arrivals.at(-1)!.sequence, 0)
})

test('without sequence numbers a second batch waits for the first', async () => {
  const world = new World()
  const producer = world.producer({ acks: 1, idempotent: false })
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  world.verdicts = ['NOT_LEADER_OR_FOLLOWER']
  const sends: Promise<unknown>[] = []
  for (let i = 0; i < 4; i++) {
    sends.push(producer.send({ topic: 't', value: `${i}` }))
    await idle()
  }
  await world.io.settle(Promise.all(sends))
  assert.deepEqual(world.logs, [['first', '0', '1', '2', '3']])
  assert.equal(world.arrivals[0]!.sequence, -1)
})

test('acks=0 waits for no answer and knows no offset', async () => {
  const world = new World()
  const producer = world.producer({ acks: 0 })
  const { offset } = await world.io.settle(producer.send({ topic: 't', value: 'a' }))
  assert.equal(offset, -1)
  await idle()
  assert.deepEqual(world.logs, [['a']])
})

test('a record that is never taken fails at the delivery timeout, and says why', async () => {
  const world = new World()
  const client = { requestTimeoutMs: 100 }
  const producer = world.producer({ deliveryTimeoutMs: 1_000 }, client)
  world.verdicts = Array<Verdict>(100).fill('NOT_ENOUGH_REPLICAS')
  const sent = producer.send({ topic: 't', value: 'a' })
  await assert.rejects(world.io.settle(sent), (error: TimeoutError) => {
    assert.match(error.message, /topic 't' partition 0.*NOT_ENOUGH_REPLICAS/)
    return error instanceof TimeoutError
  })
})

test('records linger for company until the time is over, or someone flushes', async () => {
  const world = new World()
  const producer = world.producer({ lingerMs: 50 })
  producer.send({ topic: 't', value: 'a' })
  await world.io.elapse(40)
  producer.send({ topic: 't', value: 'b' })
  assert.equal(world.arrivals.length, 0)
  await world.io.elapse(11)
  assert.deepEqual(world.logs, [['a', 'b']])
  producer.send({ topic: 't', value: 'c' })
  await world.io.settle(producer.flush())
  assert.deepEqual(world.logs, [['a', 'b', 'c']])
})

test('memory is bounded: what does not fit waits, and is sent in its order', async () => {
  const world = new World()
  const producer = world.producer({ batchBytes: 128, bufferBytes: 256 })
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  const values = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(50, '.'))
  await world.io.settle(Promise.all(values.map(value => producer.send({ topic: 't', value }))))
  assert.deepEqual(world.logs, [['first', ...values]])
})

test('waiting for memory ends after maxBlockMs; the line itself is bounded', async () => {
  const world = new World()
  const options = { batchBytes: 128, bufferBytes: 128, maxBlockMs: 500, maxBlockedRecords: 1 }
  const producer = world.producer(options)
  await world.io.settle(producer.send({ topic: 't', value: 'first' }))
  world.verdicts = ['hang']
  const value = 'x'.repeat(50)
  producer.send({ topic: 't', value }).catch(() => {})
  const waits = producer.send({ topic: 't', value })
  await assert.rejects(producer.send({ topic: 't', value }), RecordError)
  await assert.rejects(world.io.settle(waits), /bufferBytes/)
})

test('a record of exactly maxRequestBytes is sent, one byte more is refused', async () => {
  const world = new World()
  const producer = world.producer({ maxRequestBytes: 1_000 })
  const fitting = 'x'.repeat(1_000 - 61 - 9)
  await world.io.settle(producer.send({ topic: 't', value: fitting }))
  const larger = producer.send({ topic: 't', value: `${fitting}x` })
  await assert.rejects(larger, /1001 bytes.*maxRequestBytes/)
})

test('a partition that does not exist, a value that cannot be written: refused before sending', async () => {
  const world = new World(2)
  const producer = world.producer({ key: int32, value: json<{ a: number }>() })
  await world.io.settle(producer.send({ topic: 't', key: 1, value: { a: 1 } }))
  const nowhere = producer.send({ topic: 't', partition: 2, value: { a: 1 } })
  await assert.rejects(nowhere, /topic 't' has no partition 2, only 0 to 1/)
  await assert.rejects(
    producer.send({ topic: 't', key: 1.5, value: { a: 1 } }),
    (error: SerializerError) => /topic 't', key: int32 cannot write 1.5/.test(error.message),
  )
})

test('a batch of many goes to several partitions with one promise', async () => {
  const world = new World(2)
  const producer = world.producer({ partitioner: 'round-robin' })
  const messages = ['a', 'b', 'c'].map(value => ({ value }))
  const positions = await world.io.settle(producer.sendBatch('t', messages))
  assert.deepEqual(
    positions.map(({ partition, baseOffset, count }) => [partition, baseOffset, count]).sort(),
    [
      [0, 0, 2],
      [1, 0, 1],
    ],
  )
})

test('a source is read no faster than its records are written', async () => {
  const world = new World()
  const producer = world.producer()
  let ahead = 0
  async function* source() {
    for (let i = 0; i < 50; i++) {
      ahead = Math.max(ahead, i - world.logs[0]!.length)
      yield { topic: 't', value: `${i}` }
    }
  }
  const count = await world.io.settle(producer.sendFrom(source(), { maxOutstanding: 10 }))
  assert.equal(count, 50)
  assert.deepEqual(
    world.logs[0],
    Array.from({ length: 50 }, (_, i) => `${i}`),
  )
  assert.ok(ahead <= 10, `${ahead} ahead`)
})

test('a signal gives up the wait', async () => {
  const world = new World()
  const producer = world.producer()
  world.verdicts = ['hang']
  const stop = new AbortController()
  const sent = producer.send({ topic: 't', value: 'a' }, { signal: stop.signal })
  await idle()
  stop.abort(new Error('enough'))
  await assert.rejects(sent, /enough/)
  await assert.rejects(producer.send({ topic: 't', value: 'a' }, { signal: stop.signal }), /enough/)
})

test('closing sends what waits, and refuses what comes after', async () => {
  const world = new World()
  const producer = world.producer({ lingerMs: 1_000 })
  const sent = producer.send({ topic: 't', value: 'a' })
  await world.io.settle(producer.close())
  assert.equal((await sent).offset, 0)
  await assert.rejects(producer.send({ topic: 't', value: 'b' }), ClosedError)
})

test('options that make no sense are refused, all at once', () => {
  const world = new World()
  assert.throws(
    () => world.producer({ acks: 0, idempotent: true, batchBytes: 1, deliveryTimeoutMs: 1 }),
    (error: OptionError) => /idempotent.*batchBytes.*|deliveryTimeoutMs/.test(error.message),
  )
})

test('what is sent again, given up and fenced is counted and told', async () => {
  const world = new World()
  const registry = new Registry()
  const told: { message: string; topic?: string }[] = []
  const line = (fields: object, message: string) => void told.push({ message, ...fields })
  const logger = { debug() {}, info: line, warn: line }
  const producer = world.producer({}, { metrics: registry, logger })
  world.verdicts = ['NOT_LEADER_OR_FOLLOWER', 'NONE', 'INVALID_REQUIRED_ACKS']
  await world.io.settle(producer.sendBatch('t', [{ value: 'a' }, { value: 'b' }]))
  await world.io.settle(assert.rejects(producer.send({ topic: 't', value: 'c' })))
  // The gap that it leaves is noticed at the next batch.
  await world.io.settle(producer.send({ topic: 't', value: 'd' }))
  const text = await registry.metrics()
  const has = (series: string) => assert.ok(text.includes(`\n${series}\n`), text)
  has('kafka_producer_record_send_total{client_id="ottla",topic="t"} 3')
  has(
    'kafka_producer_record_error_total{client_id="ottla",topic="t",error="INVALID_REQUIRED_ACKS"} 1',
  )
  has('kafka_producer_record_retry_total{client_id="ottla",topic="t"} 3')
  has(
    'kafka_client_retries_total{client_id="ottla",api="Produce",error="NOT_LEADER_OR_FOLLOWER"} 1',
  )
  const messages = told.map(({ message }) => message)
  assert.ok(messages.includes('records were given up'), messages.join())
  assert.ok(messages.includes('the partition goes on under a new producer epoch'), messages.join())
})
