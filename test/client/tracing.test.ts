/** Spans and trace headers, with OpenTelemetry's own SDK as a program would set it up. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import * as otel from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client, Kafka, string } from '../../client/index.ts'

/** W3C's header, as its propagator writes it; that one is in a package of its own. */
const propagator: otel.TextMapPropagator = {
  fields: () => ['traceparent', 'tracestate'],
  inject(context, carrier, setter) {
    const span = otel.trace.getSpanContext(context)
    if (span === undefined) return
    setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-01`)
  },
  extract(context, carrier, getter) {
    const [, traceId, spanId] = String(getter.get(carrier, 'traceparent')).split('-')
    if (traceId === undefined || spanId === undefined) return context
    return otel.trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true })
  },
}

const exporter = new InMemorySpanExporter()
let broker: EmbeddedBroker

before(async () => {
  const manager = new AsyncLocalStorageContextManager()
  otel.context.setGlobalContextManager(manager.enable())
  otel.propagation.setGlobalPropagator(propagator)
  const spanProcessors = [new SimpleSpanProcessor(exporter)]
  otel.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }))
  broker = await startBroker({ config: { 'num.partitions': 1 } })
})
after(() => broker.stop())
beforeEach(async () => {
  exporter.reset()
  await broker.reset()
})

const spans = (name: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter(span => span.name === name)

const client = () => new Client({ bootstrap: broker.bootstrap, clientId: 'shop' })

/** Reads `count` records of a topic with `eachMessage`, in a group. */
async function handle(
  topic: string,
  count: number,
  work: (value: string | null) => Promise<void> | void,
): Promise<void> {
  const consumer = client().consumer({
    groupId: 'billing',
    autoOffsetReset: 'earliest',
    value: string,
  })
  consumer.subscribe(topic)
  const stop = new AbortController()
  let left = count
  const reading = consumer.eachMessage(
    async ({ value }) => {
      try {
        await work(value)
      } finally {
        if (--left === 0) stop.abort()
      }
    },
    { signal: stop.signal },
  )
  await reading.catch(error => {
    if (!stop.signal.aborted || error !== stop.signal.reason) throw error
  })
  await consumer.close()
}

test('a record carries its span to the handler, whose span is its child', async () => {
  const tracer = otel.trace.getTracer('program')
  const producer = client().producer()
  await tracer.startActiveSpan('order', async span => {
    await producer.send({ topic: 'orders', key: 'o-1', value: 'tea', headers: { kind: 'new' } })
    span.end()
  })
  let inside: string | undefined
  await handle('orders', 1, async () => {
    await null
    inside = otel.trace.getActiveSpan()?.spanContext().spanId
  })
  const [order] = spans('order')
  const [sent] = spans('send orders')
  const [processed] = spans('process orders')
  assert.equal(sent!.parentSpanContext?.spanId, order!.spanContext().spanId)
  assert.equal(sent!.kind, otel.SpanKind.PRODUCER)
  assert.deepEqual(sent!.attributes, {
    'messaging.system': 'kafka',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'orders',
    'messaging.client.id': 'shop',
    'messaging.kafka.message.key': 'o-1',
    'messaging.destination.partition.id': '0',
    'messaging.kafka.offset': 0,
  })
  assert.equal(processed!.kind, otel.SpanKind.CONSUMER)
  assert.equal(processed!.parentSpanContext?.spanId, sent!.spanContext().spanId)
  assert.equal(processed!.spanContext().traceId, order!.spanContext().traceId)
  assert.equal(processed!.links[0]?.context.spanId, sent!.spanContext().spanId)
  assert.equal(processed!.spanContext().spanId, inside, 'the handler runs in it')
  assert.equal(processed!.attributes['messaging.consumer.group.name'], 'billing')
  assert.equal(processed!.attributes['messaging.kafka.offset'], 0)
  await producer.close()

  const reader = client().consumer()
  reader.assign([{ topic: 'orders', partition: 0, offset: 'earliest' }])
  const headers = (await reader.next())!.headers.map(({ key, value }) => `${key}=${value}`)
  const { traceId, spanId } = sent!.spanContext()
  assert.deepEqual(headers, ['kind=new', `traceparent=00-${traceId}-${spanId}-01`])
  await reader.close()
})

test('a batch has one span for all, linked to those of its records', async () => {
  const producer = client().producer()
  await producer.sendBatch('t', [{ value: 'a' }, { value: null }])
  await producer.sendFrom([{ topic: 't', value: 'c' }])
  const [sent] = spans('send t')
  assert.equal(sent!.attributes['messaging.batch.message_count'], 2)
  const [created] = spans('create t')
  const consumer = client().consumer({ batches: 'fetched' })
  consumer.assign([{ topic: 't', partition: 0, offset: 'earliest' }])
  const stop = new AbortController()
  const reading = consumer.eachBatch(() => stop.abort(), { signal: stop.signal })
  await assert.rejects(reading)
  const [processed] = spans('process t')
  const links = processed!.links.map(({ context }) => context.spanId)
  const ids = [sent, sent, created].map(span => span!.spanContext().spanId)
  assert.deepEqual(links, ids)
  assert.equal(processed!.attributes['messaging.batch.message_count'], 3)
  await consumer.close()
  await producer.close()
})

test('a record that is sent on goes on in the trace of who sends it', async () => {
  const producer = client().producer()
  await producer.send({ topic: 'a', value: 'x' })
  const consumer = client().consumer()
  consumer.assign([{ topic: 'a', partition: 0, offset: 'earliest' }])
  const record = (await consumer.next())!
  await producer.send({ topic: 'b', value: record.value, headers: record.headers })
  consumer.assign([{ topic: 'b', partition: 0, offset: 'earliest' }])
  const { headers } = (await consumer.next())!
  const { traceId, spanId } = spans('send b')[0]!.spanContext()
  assert.deepEqual(
    headers.map(({ key, value }) => [key, String(value)]),
    [['traceparent', `00-${traceId}-${spanId}-01`]],
  )
  await consumer.close()
  await producer.close()
})

test('failures are on the spans: of sending, and of the handler, each attempt', async () => {
  const producer = client().producer()
  await assert.rejects(producer.send({ topic: 't', value: 'x'.repeat(2_000_000) }))
  const [sent] = spans('send t')
  assert.equal(sent!.status.code, otel.SpanStatusCode.ERROR)
  assert.equal(sent!.attributes['error.type'], 'RecordError')
  await producer.send({ topic: 'u', value: 'bad' })

  const admin = client().admin()
  await admin.createTopics([{ name: 'dead', partitions: 1 }])
  admin.close()
  const retry = { attempts: 2, backoffMs: 0, deadLetterTopic: 'dead' }
  const consumer = client().consumer({ groupId: 'g', autoOffsetReset: 'earliest', retry })
  consumer.subscribe('u')
  const reading = consumer.eachMessage(() => {
    throw new TypeError('no')
  })
  const dead = client().consumer({ autoOffsetReset: 'earliest' })
  dead.assign([{ topic: 'dead', partition: 0, offset: 'earliest' }])
  const letter = (await dead.next())!
  const attempts = spans('process u')
  assert.equal(attempts.length, 2)
  for (const span of attempts) {
    assert.equal(span.attributes['error.type'], 'TypeError')
    assert.equal(span.events[0]?.name, 'exception')
  }
  const { spanId } = spans('send u')[0]!.spanContext()
  const traceparent = letter.headers.find(({ key }) => key === 'traceparent')?.value
  assert.ok(String(traceparent).includes(spanId), 'a dead letter keeps the trace that it came with')
  assert.equal(spans('send dead').length, 0)
  await consumer.close()
  await reading
  await dead.close()
  await producer.close()
})

test('programs with the names of kafkajs have both ends, too', async () => {
  const kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: 0 })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 't', messages: [{ value: 'x' }] })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'k' })
  await consumer.connect()
  await consumer.subscribe({ topic: 't', fromBeginning: true })
  const inside = await new Promise<string | undefined>(resolve => {
    void consumer.run({
      eachMessage: async () => resolve(otel.trace.getActiveSpan()?.spanContext().traceId),
    })
  })
  assert.equal(inside, spans('send t')[0]!.spanContext().traceId)
  await consumer.disconnect()
})

test('tracing: false', async () => {
  const producer = new Client({ bootstrap: broker.bootstrap, tracing: false }).producer()
  await producer.send({ topic: 't', value: 'x' })
  await producer.close()
  assert.equal(exporter.getFinishedSpans().length, 0)
})

test('a program that has not set it up loads nothing of it and has no headers', async () => {
  const program = `
    const { Client } = await import('./dist/client/index.js')
    const { startBroker } = await import('./dist/broker/embedded.js')
    const { createRequire } = await import('node:module')
    const broker = await startBroker()
    const client = new Client({ bootstrap: broker.bootstrap })
    const producer = client.producer()
    await producer.send({ topic: 't', value: 'x' })
    await producer.close()
    const consumer = client.consumer()
    consumer.assign([{ topic: 't', partition: 0, offset: 'earliest' }])
    console.log((await consumer.next()).headers.length)
    await consumer.close()
    await broker.stop()
    const { cache } = createRequire(import.meta.url)
    console.log(Object.keys(cache).filter(path => /opentelemetry/.test(path)).length)
  `
  const args = ['--input-type=module', '-e', program]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  assert.equal(stdout, '0\n0\n')
})
