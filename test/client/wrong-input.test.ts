/** What a program in JavaScript gets wrong is said in words, and harms nothing else that the client does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import { Client, type ClientOptions, OptionError } from '../../client/index.ts'

const wrong = <T>(value: unknown) => value as T

function saying(text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof OptionError, String(error))
    assert.match(error.message, text)
    return true
  }
}

test('options that are missing or of another kind', () => {
  for (const [options, text] of [
    [{}, /bootstrap is undefined: give host:port/],
    [{ brokers: ['localhost:1'] }, /bootstrap is undefined: give host:port/],
    [{ bootstrap: 9092 }, /bootstrap is 9092: give host:port/],
    [{ bootstrap: 'b', clientId: 3 }, /clientId is not text/],
    [undefined, /options are missing: give \{ bootstrap: 'host:port' \}/],
  ] as const) {
    assert.throws(() => new Client(wrong<ClientOptions>(options)), saying(text))
  }
})

test('a record without a topic fails, and those behind it are written', async () => {
  const broker = await startBroker({ config: { 'num.partitions': 1 } })
  const producer = new Client({ bootstrap: broker.bootstrap }).producer()
  const record = wrong<{ topic: string; value: string }>({ value: 'x' })
  await assert.rejects(producer.send(record), saying(/topic is undefined, not a name/))
  await assert.rejects(producer.send({ topic: '', value: 'x' }), saying(/topic is empty/))
  const headers = wrong<{ h: string }>({ h: 3 })
  await assert.rejects(producer.send({ topic: 't', value: 'x', headers }), {
    message: "header 'h': number is no bytes: give text or bytes, such as String(value)",
  })
  assert.equal((await producer.send({ topic: 't', value: 'x' })).offset, 0)
  await producer.close()
  await broker.stop()
})

test('a place that is none is refused at once', async () => {
  const consumer = new Client({ bootstrap: 'localhost:1' }).consumer()
  for (const place of ['beginning', null, {}, { timestampMs: '1' }, true]) {
    const offset = wrong<'earliest'>(place)
    assert.throws(
      () => consumer.assign([{ topic: 't', partition: 0, offset }]),
      saying(/a place is/),
    )
  }
  await consumer.close()
})
