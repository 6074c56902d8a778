/** What a client counts, read from a registry of prom-client as a program that is scraped would. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Registry } from 'prom-client'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { clientMetricFamilies } from '../../client/client-metrics.ts'
import { Client, Kafka, OptionError, string } from '../../client/index.ts'

async function withBroker(work: (broker: EmbeddedBroker, registry: Registry) => Promise<void>) {
  const broker = await startBroker({ config: { 'num.partitions': 1 } })
  try {
    await work(broker, new Registry())
  } finally {
    await broker.stop()
  }
}

/** The value of one series, by its text: `name{a="b"}`. */
async function read(registry: Registry, series: string): Promise<number | null> {
  const lines = (await registry.metrics()).split('\n')
  const line = lines.find(text => text.startsWith(`${series} `))
  return line === undefined ? null : Number(line.slice(series.length + 1))
}

test('a producer and a consumer count what they send and hand out', () =>
  withBroker(async ({ bootstrap }, registry) => {
    const client = new Client({ bootstrap, clientId: 'shop', metrics: registry })
    const producer = client.producer()
    await producer.sendBatch('orders', [{ value: 'a' }, { value: 'b' }, { value: 'c' }])
    const id = 'client_id="shop"'
    assert.equal(await read(registry, `kafka_producer_record_send_total{${id},topic="orders"}`), 3)
    const bytes = await read(registry, `kafka_producer_byte_total{${id},topic="orders"}`)
    assert.ok(bytes! > 61, String(bytes))
    assert.equal(await read(registry, `kafka_producer_batch_size_bytes_count{${id}}`), 1)
    assert.equal(await read(registry, `kafka_producer_batch_size_bytes_sum{${id}}`), bytes)
    assert.equal(await read(registry, `kafka_producer_buffer_used_bytes{${id}}`), 0)
    assert.equal(await read(registry, `kafka_producer_buffer_total_bytes{${id}}`), 33_554_432)
    const produces = `kafka_client_request_latency_seconds_count{${id},api="Produce"}`
    assert.equal(await read(registry, produces), 1)
    const last = `kafka_client_request_latency_seconds_bucket{${id},api="Produce",le="+Inf"}`
    assert.equal(await read(registry, last), 1)
    assert.ok((await read(registry, `kafka_client_connections{${id}}`))! >= 1)

    const consumer = client.consumer({ groupId: 'g', autoOffsetReset: 'earliest', value: string })
    consumer.subscribe('orders')
    const first = await consumer.next()
    assert.equal(first?.value, 'a')
    const consumed = `kafka_consumer_records_consumed_total{${id},topic="orders"}`
    assert.equal(await read(registry, consumed), 3, 'by the batch')
    const read3 = `kafka_consumer_bytes_consumed_total{${id},topic="orders"}`
    assert.equal(await read(registry, read3), bytes)
    const lag = `kafka_consumer_records_lag{${id},group="g",topic="orders",partition="0"}`
    assert.equal(await read(registry, lag), 2)
    assert.equal(await read(registry, `kafka_consumer_assigned_partitions{${id},group="g"}`), 1)
    assert.equal(await read(registry, `kafka_consumer_rebalance_total{${id},group="g"}`), 1)
    assert.notEqual(
      await read(registry, `kafka_consumer_last_poll_seconds_ago{${id},group="g"}`),
      null,
    )
    await consumer.commit([{ topic: 'orders', partition: 0, offset: 1 }])
    const commits = `kafka_consumer_commit_latency_seconds_count{${id},group="g"}`
    assert.equal(await read(registry, commits), 1)
    await consumer.close()
    await producer.close()

    // What is gone has no gauges; what was counted stays.
    assert.equal(await read(registry, lag), null)
    assert.equal(await read(registry, `kafka_client_connections{${id}}`), 0)
    assert.equal(await read(registry, `kafka_client_requests_in_flight{${id}}`), 0)
    assert.equal(
      await read(registry, `kafka_client_connection_close_total{${id}}`),
      await read(registry, `kafka_client_connection_creation_total{${id}}`),
    )
    assert.equal(await read(registry, consumed), 3)
  }))

test('errors and retries are counted by API and name', () =>
  withBroker(async ({ bootstrap }, registry) => {
    const options = { bootstrap, metrics: registry, retryBackoffMs: 1, logger: null }
    const client = new Client({ ...options, allowAutoTopicCreation: false })
    const producer = client.producer({ maxBlockMs: 50 })
    await assert.rejects(producer.send({ topic: 'nowhere', value: 'x' }))
    const labels = '{client_id="ottla",api="Metadata",error="UNKNOWN_TOPIC_OR_PARTITION"}'
    const failed = (await read(registry, `kafka_client_errors_total${labels}`))!
    const retried = (await read(registry, `kafka_client_retries_total${labels}`))!
    assert.ok(failed >= 2, String(failed))
    assert.equal(retried, failed - 1, 'the last one had no other behind it')
    await producer.close()

    const topics = client.admin()
    await topics.createTopics([
      { name: 'small', partitions: 1, configs: { 'max.message.bytes': '100' } },
    ])
    const other = client.producer()
    await assert.rejects(other.send({ topic: 'small', value: 'x'.repeat(500) }))
    const given = `kafka_producer_record_error_total{client_id="ottla",topic="small",error="MESSAGE_TOO_LARGE"}`
    assert.equal(await read(registry, given), 1)
    await other.close()
    topics.close()
  }))

test('clients share a registry, under one id or two; its text is what Prometheus takes', () =>
  withBroker(async ({ bootstrap }, registry) => {
    const one = new Client({ bootstrap, clientId: 'one', metrics: registry }).producer()
    const again = new Client({ bootstrap, clientId: 'one', metrics: registry }).producer()
    const two = new Kafka({ brokers: [bootstrap], clientId: 'two', metrics: registry }).producer()
    await one.send({ topic: 't', value: 'x' })
    await again.send({ topic: 't', value: 'x' })
    await two.connect()
    await two.send({ topic: 't', messages: [{ value: 'x' }] })
    const sent = (id: string) =>
      read(registry, `kafka_producer_record_send_total{client_id="${id}",topic="t"}`)
    assert.equal(await sent('one'), 2)
    assert.equal(await sent('two'), 1)
    const series = (await registry.metrics())
      .split('\n')
      .filter(l => l !== '' && !l.startsWith('#'))
    const names = series.map(line => line.slice(0, line.lastIndexOf(' ')))
    assert.equal(new Set(names).size, names.length, 'each series once')
    for (const line of series) {
      assert.match(line, /^[a-z_]+\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\} [\d.e+-]+$/)
    }
    await one.close()
    await again.close()
    await two.disconnect()
  }))

test("a registry that writes OpenMetrics' text, and one that was cleared", () =>
  withBroker(async ({ bootstrap }) => {
    const registry = new Registry()
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
    const options = { bootstrap, metrics: registry }
    const producer = new Client(options).producer()
    await producer.send({ topic: 't', value: 'x' })
    const text = await registry.metrics()
    assert.match(text, /^# TYPE kafka_producer_record_send counter$/m)
    assert.match(text, /^kafka_producer_record_send_total\{client_id="ottla",topic="t"\} 1$/m)
    registry.clear()
    assert.doesNotMatch(await registry.metrics(), /kafka_/)
    void new Client(options)
    assert.match(await registry.metrics(), /^kafka_producer_record_send_total\{.*\} 1$/m)
    await producer.close()
  }))

test('every family has its name, its unit and its client id by the conventions', () => {
  for (const { name, type, labels } of clientMetricFamilies) {
    assert.match(name, /^kafka_(client|producer|consumer)_[a-z_]+$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
    if (type === 'histogram') assert.match(name, /_(seconds|bytes)$/)
    assert.ok(!labels.includes('client_id'))
  }
})

test('what is no registry is refused, and prom-client is not loaded by us', async () => {
  const wrong = {} as Registry
  assert.throws(() => new Client({ bootstrap: 'localhost:1', metrics: wrong }), OptionError)
  const program = `
    const { Client } = await import('./dist/client/index.js')
    const producer = new Client({ bootstrap: 'localhost:1' }).producer()
    await producer.close()
    const { createRequire } = await import('node:module')
    const require = createRequire(import.meta.url)
    const loaded = Object.keys(require.cache).filter(p => /prom-client|opentelemetry|pino/.test(p))
    console.log(loaded.length)
  `
  const args = ['--input-type=module', '-e', program]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  assert.equal(stdout, '0\n')
})
