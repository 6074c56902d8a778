/** What a program in JavaScript gets wrong is said in words, and harms nothing else that the client does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import * as ottla from '../../client/index.ts'
import { Client, type ClientOptions, json, OptionError } from '../../client/index.ts'
import { nearest } from '../../client/option-names.ts'

const wrong = <T>(value: unknown) => value as T
// biome-ignore lint/suspicious/noExplicitAny: what is called here is what no type allows
type Any = any

function saying(text: RegExp, kind: new (...args: never[]) => Error = OptionError) {
  return (error: unknown) => {
    assert.ok(error instanceof kind, String(error))
    assert.match(error.message, text)
    return true
  }
}

/** Nobody listens there, and nobody is waited for. */
const nowhere = () =>
  new Client({ bootstrap: '127.0.0.1:1', bootstrapTimeoutMs: 0, retries: 0, logger: null })

const CONSUMER = { groupId: 'g' }

test('options that are missing, misspelled or of another kind', () => {
  for (const [options, text] of [
    [{}, /bootstrap is undefined: give host:port/],
    [{ brokers: ['localhost:1'] }, /brokers is not known: there are bootstrap, clientId/],
    [{ bootstrapServer: 'b:1' }, /bootstrapServer is not known: did you mean bootstrap\?/],
    [{ bootstrap: 'b:1', 'client.id': 'c' }, /client\.id is not known: did you mean clientId\?/],
    [{ bootstrap: 9092 }, /bootstrap is 9092: give host:port/],
    [{ bootstrap: 'b', clientId: 3 }, /clientId is not text/],
    [{ bootstrap: 'b', tracing: 'no' }, /tracing is 'no', not true or false/],
    [{ bootstrap: 'b', metrics: null }, /metrics is not a Registry/],
    [undefined, /options are missing: give \{ bootstrap: 'host:port' \}/],
  ] as const) {
    assert.throws(() => new Client(wrong<ClientOptions>(options)), saying(text))
  }
})

test('options of producers and consumers', () => {
  const client: Any = nowhere()
  for (const [options, text] of [
    [{ lingerMS: 5 }, /^lingerMS is not known: did you mean lingerMs\?$/],
    [{ 'linger.ms': 5, ack: 1 }, /did you mean lingerMs\?; ack is not known: did you mean acks\?$/],
    [{ lingerMs: '5' }, /lingerMs is '5', not a whole number from 0 to 3600000/],
    [{ idempotent: 'false' }, /idempotent is 'false', not true or false/],
    [{ value: json }, /value is a function, not a serializer: give string, json\(\)/],
    [{ compressionLevel: 'best' }, /compressionLevel is 'best', not a whole number/],
    [null, /options is null: give an object/],
    [5, /options is 5: give an object/],
  ] as const) {
    assert.throws(() => client.producer(options), saying(text))
  }
  for (const [options, text] of [
    [{ groupID: 'g' }, /^groupID is not known: did you mean groupId\?$/],
    [{ fromBeginning: true }, /fromBeginning is not known: there are groupId, /],
    [{ sessionTimeout: 1 }, /did you mean sessionTimeoutMs\?/],
    [{ autoCommit: 'false' }, /autoCommit is 'false', not true or false/],
    [{ groupId: 5 }, /groupId is 5, not text/],
    [{ groupId: 'g', assignors: 'range' }, /assignors is 'range', not a list: give some of range/],
    [{ groupId: 'g', assignors: ['ranged'] }, /assignor 'ranged' is not one of range, roundrobin/],
    [{ groupId: 'g', assignors: [{}] }, /assignor an object is not one of/],
    [{ value: json }, /value is a function, not a serializer/],
    [{ rebalance: { revoke() {} } }, /rebalance\.revoke is not known: did you mean revoked\?/],
    [{ rebalance: { lost: 1 } }, /rebalance\.lost is 1, not a function/],
    [{ rebalance: null }, /rebalance is null: give an object/],
    [{ retry: { attempt: 3 } }, /retry\.attempt is not known: did you mean attempts\?/],
    [{ retry: { topics: 'later' } }, /retry\.topics is 'later': give \[\{ topic, delayMs \}\]/],
    [
      { retry: { topics: [{ topic: 't', delay: 5 }] } },
      /retry\.topics\.delay is not known: did you mean delayMs\?; delayMs of 't' is undefined/,
    ],
    [null, /options is null: give an object/],
  ] as const) {
    assert.throws(() => client.consumer(options), saying(text))
  }
})

test('the name that was probably meant', () => {
  const names = ['lingerMs', 'acks', 'value', 'key', 'headers', 'timestampMs', 'partitions']
  for (const [given, meant] of [
    ['LINGER_MS', 'lingerMs'],
    ['linger', 'lingerMs'],
    ['lingreMs', 'lingerMs'],
    ['valeu', 'value'],
    ['header', 'headers'],
    ['numPartitions', 'partitions'],
    ['offset', null],
    ['id', null],
    ['', null],
  ] as const) {
    assert.equal(nearest(given, names), meant, given)
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
  const beyond = producer.send({ topic: 't', value: 'x', partition: 7 })
  await assert.rejects(
    beyond,
    saying(/topic 't' has no partition 7, only 0 to 0/, ottla.RecordError),
  )
  await producer.close()
  const late = producer.send({ topic: 't', value: 'x' })
  await assert.rejects(late, saying(/the producer is closed/, ottla.ClosedError))
  await broker.stop()
})

test('a record that was read is sent on as it is; a field that is nearly one is refused', async () => {
  const broker = await startBroker({ config: { 'num.partitions': 1 } })
  const client = new Client({ bootstrap: broker.bootstrap })
  const producer: Any = client.producer()
  await producer.send({ topic: 'from', value: 'x', key: null, headers: null })
  const consumer = client.consumer()
  consumer.assign([{ topic: 'from', partition: 0, offset: 'earliest' }])
  const record = await consumer.next()
  const { offset } = await producer.send({ ...record, topic: 'to', partition: undefined })
  assert.equal(offset, 0)
  const misspelled = { topic: 'new', value: 'x', timestamp: 5 }
  const text = /the record has timestamp, which is not known: did you mean timestampMs\?/
  await assert.rejects(producer.send(misspelled), saying(text))
  await assert.rejects(producer.send({ topic: 'new', valeu: 'x' }), /the record has no value/)
  assert.equal((await producer.send({ topic: 'new', value: 'x' })).offset, 0)
  await consumer.close()
  await producer.close()
  await broker.stop()
})

test('what is sent', async () => {
  const producer: Any = nowhere().producer()
  const record = { topic: 't', value: 'x' }
  const { RecordError, SerializerError } = ottla
  for (const [args, text, kind] of [
    [[], /^the record is undefined: give \{ topic, value \}\.$/],
    [['t', 'x'], /^the record is 't': give/],
    [[record, { timeout: 5 }], /^send: timeout is not known: there are signal\.$/],
    [[record, { signal: 5 }], /^send: signal is 5: give an AbortSignal\.$/],
    [
      [record, null],
      /^send: options is null: give an object\.|^options is null: give an object\.$/,
    ],
    [[{ topic: 't' }], /^topic 't': the record has no value: give null/, RecordError],
    [[{ ...record, timestampMs: new Date(0) }], /timestampMs is a Date: give mill/, RecordError],
    [[{ ...record, timestampMs: '5' }], /timestampMs is '5': give milliseconds/, RecordError],
    [[{ ...record, partition: -1 }], /partition is -1: give a whole number/, RecordError],
    [[{ ...record, partition: 1.5 }], /partition is 1\.5: give a whole number/, RecordError],
    [[{ ...record, partition: '0' }], /partition is '0': give a whole number/, RecordError],
    [[{ ...record, key: 5 }], /topic 't', key: number is no bytes: give a ser/, SerializerError],
    [[{ ...record, value: {} }], /value: an object is no bytes: give a ser/, SerializerError],
    [[{ ...record, headers: 'x' }], /headers is 'x': give \{ name: value \}/, SerializerError],
    [[{ ...record, headers: new Map() }], /headers is a Map: give/, SerializerError],
    [[{ ...record, headers: [['a', 'b']] }], /key of a header is undefined/, SerializerError],
    [[{ ...record, headers: [null] }], /key of a header is undefined/, SerializerError],
    [[{ ...record, headers: { a: 1 } }], /header 'a': number is no bytes/, SerializerError],
  ] as const) {
    await assert.rejects(producer.send(...args), saying(text, kind ?? OptionError))
  }
  for (const [args, text] of [
    [[{}], /^topic is an object: give its name: sendBatch\(topic, messages\)\.$/],
    [['t'], /^messages is undefined: give \[\{ key, value \}\]/],
    [['t', null], /^messages is null: give/],
    [['t', [null]], /^one of messages is null: give \{ key, value \}\.$/],
    [
      ['t', [{ value: 'x' }], { sginal: 1 }],
      /^sendBatch: sginal is not known: did you mean signal\?/,
    ],
  ] as const) {
    await assert.rejects(producer.sendBatch(...args), saying(text))
  }
  for (const [args, text] of [
    [[], /^the source is undefined: give a list, a stream, or a generator\.$/],
    [['text'], /^the source is 'text': give/],
    [[['x']], /^the record is 'x': give/],
    [[[], { maxOutstanding: 0 }], /^maxOutstanding is 0: give a whole number of at least 1/],
  ] as const) {
    await assert.rejects(producer.sendFrom(...args), saying(text))
  }
  await assert.rejects(producer.close({ timeout: 5 }), saying(/did you mean timeoutMs\?/))
  await assert.rejects(producer.close({ timeoutMs: '5' }), saying(/timeoutMs is '5': give mill/))
  await producer.close()
})

test('what a consumer is asked for', async () => {
  const consumer: Any = nowhere().consumer(CONSUMER)
  const partition = { topic: 't', partition: 0 }
  for (const [name, args, text] of [
    ['subscribe', [], /^a topic to subscribe to is undefined: give its name, or a RegExp\.$/],
    ['subscribe', [['a', '']], /^a topic to subscribe to is empty/],
    ['subscribe', [/a/g], /^pattern \/a\/g has the flag g: leave it out\.$/],
    ['subscribe', [{ topic: 't' }], /^a topic to subscribe to is an object/],
    ['assign', [], /^assignments is undefined: give \[\{ topic, partition \}\]\.$/],
    ['assign', [['t']], /^one of assignments is 't': give \{ topic, partition \}\.$/],
    ['assign', [[{ topic: 't' }]], /^partition of topic 't' in assignments is undefined/],
    ['assign', [[partition, partition]], /^topic 't' partition 0 stands twice in assignments/],
    ['assign', [[{ ...partition, offset: '5' }]], /a place is an offset, .* not "5"/],
    ['pause', ['t'], /^partitions is 't': give \[\{ topic, partition \}\]/],
    ['resume', [], /^partitions is undefined/],
    ['pause', [[partition]], /^topic 't' partition 0 is not assigned/],
    ['seek', ['t', 0, 5], /^topic 't' partition 0 is not assigned/],
  ] as const) {
    assert.throws(() => consumer[name](...args), saying(text), name)
  }
  consumer.assign([partition])
  assert.throws(() => consumer.seek('t', 0, Number.NaN), saying(/^offset is NaN: give a whole/))
  assert.throws(() => consumer.seek('t', 0), saying(/^a place is an offset/))
  for (const [name, args, text] of [
    ['commit', [{ ...partition, offset: 5 }], /^the offsets to commit is an object: give \[/],
    [
      'commit',
      [[{ ...partition, offset: '5' }]],
      /^the offset to commit of topic 't' partition 0 is '5'/,
    ],
    [
      'commit',
      [[{ ...partition, offset: 5, metadata: 5 }]],
      /^the metadata of topic 't' .* is 5: give text/,
    ],
    ['commit', [undefined, { timeoutMs: '5' }], /^commit: timeoutMs is '5': give milliseconds/],
    ['committed', [], /^partitions is undefined: give/],
    ['next', [{ timeoutMs: 5 }], /^next: timeoutMs is not known: there are signal\.$/],
    ['nextBatch', [null], /^options is null: give an object/],
    ['eachMessage', [], /^eachMessage: the handler is undefined: give a function\.$/],
    ['eachMessage', [() => {}, { concurency: 5 }], /did you mean concurrency\?/],
    ['eachMessage', [() => {}, { concurrency: 0 }], /^concurrency is 0: give a whole number/],
    ['eachBatch', [{ eachBatch() {} }], /^eachBatch: the handler is an object/],
    ['eachBatch', [() => {}, { concurrency: 5 }], /^eachBatch: concurrency is not known/],
  ] as const) {
    await assert.rejects(consumer[name](...args), saying(text), name)
  }
  await consumer.close()
  const { ClosedError } = ottla
  assert.throws(() => consumer.subscribe('t'), saying(/the consumer is closed/, ClosedError))
  assert.throws(() => consumer.assign([]), saying(/the consumer is closed/, ClosedError))
  assert.throws(() => consumer.pause([partition]), saying(/the consumer is closed/, ClosedError))
  const commit = consumer.commit([{ ...partition, offset: 5 }])
  await assert.rejects(commit, saying(/closed/, ClosedError))
  assert.equal(await consumer.next(), null)
  await consumer.eachMessage(() => {})
})

test('a place that is none is refused at once', async () => {
  const consumer = nowhere().consumer()
  for (const place of ['beginning', null, {}, { timestampMs: '1' }, true]) {
    const offset = wrong<'earliest'>(place)
    assert.throws(
      () => consumer.assign([{ topic: 't', partition: 0, offset }]),
      saying(/a place is/),
    )
  }
  await consumer.close()
})

test('two readers of one consumer', async () => {
  const consumer = nowhere().consumer(CONSUMER)
  for (const call of ['eachMessage', 'eachBatch'] as const) {
    const stop = new AbortController()
    const running = consumer[call](() => {}, { signal: stop.signal })
    const text = new RegExp(`: ${call} is running on this consumer: handle more`)
    await assert.rejects(
      consumer.eachMessage(() => {}),
      saying(text),
    )
    await assert.rejects(
      consumer.eachBatch(() => {}),
      saying(text),
    )
    await assert.rejects(consumer.next(), saying(text))
    await assert.rejects(consumer.nextBatch(), saying(text))
    await assert.rejects(
      (async () => {
        for await (const _ of consumer) assert.fail()
      })(),
      saying(text),
    )
    stop.abort()
    await assert.rejects(running, { name: 'AbortError' })
  }
  await consumer.close()
})

test('what an admin is asked for', async () => {
  const admin: Any = nowhere().admin()
  const partition = { topic: 't', partition: 0 }
  for (const [name, args, text] of [
    ['createTopics', [], /^topics is undefined: give \[\{ name, partitions \}\]\.$/],
    ['createTopics', [['t']], /options is 't': give an object/],
    [
      'createTopics',
      [[{ topic: 't' }]],
      /^a topic to create: topic is not known: there are name, part/,
    ],
    [
      'createTopics',
      [[{ name: 't', numPartitions: 3 }]],
      /numPartitions is not known: did you mean partitions\?$/,
    ],
    [
      'createTopics',
      [[{ name: 't', partitions: '3' }]],
      /^partitions of topic 't' is '3': give a whole/,
    ],
    [
      'createTopics',
      [[{ name: 't', configs: { 'retention.ms': 5 } }]],
      /^retention\.ms in configs of topic 't' is 5: give text, such as '5'\.$/,
    ],
    [
      'createTopics',
      [[{ name: 't', assignments: [1] }]],
      /^one of assignments of topic 't' is 1: give/,
    ],
    ['createTopics', [[{ name: 't' }], { validateonly: true }], /did you mean validateOnly\?/],
    ['deleteTopics', ['t'], /^topics is 't': give their names as a list/],
    [
      'deleteTopics',
      [[{ name: 't' }]],
      /^a topic to delete is undefined: give its name, or \{ topicId \}/,
    ],
    ['listTopics', [{ timeout: 5 }], /did you mean timeoutMs\?/],
    ['describeTopics', [], /^names is undefined: give names of topics as a list, or null for all/],
    ['describeTopics', [[5]], /^one of names is 5: give names/],
    [
      'createPartitions',
      [[{ topic: 't', totalCount: 3 }]],
      /totalCount is not known: did you mean count\?/,
    ],
    ['createPartitions', [[{ topic: 't' }]], /^count of topic 't' is undefined: give a whole/],
    ['describeConfigs', [['t']], /^a resource is 't': give \{ type: 'topic', name \}/],
    ['describeConfigs', [[{ type: 2, name: 't' }]], /^type is 2: give/],
    ['describeConfigs', [[{ type: 'topic' }]], /^the name of a topic is undefined: give text/],
    ['incrementalAlterConfigs', [[{ type: 'topic', name: 't', sets: {} }]], /did you mean set\?/],
    [
      'incrementalAlterConfigs',
      [[{ type: 'topic', name: 't', set: { a: true } }]],
      /^a in set of topic 't' is true: give text, such as 'value'/,
    ],
    [
      'incrementalAlterConfigs',
      [[{ type: 'topic', name: 't', unset: 'a' }]],
      /^unset of topic 't' is 'a'/,
    ],
    [
      'listOffsets',
      [[{ ...partition, at: new Date(0) }]],
      /^at of topic 't' partition 0 is a Date: give/,
    ],
    ['deleteRecords', [[{ ...partition, before: '5' }]], /^before of topic 't' partition 0 is '5'/],
  ] as const) {
    await assert.rejects(admin[name](...args), saying(text), `${name} ${text}`)
  }
  for (const [name, args, text] of [
    ['list', [5], /^options is 5: give an object/],
    ['describe', [], /^groupId is undefined: give its name/],
    ['offsets', [{ groupId: 'g' }], /^groupId is an object: give its name/],
    ['setOffsets', ['g', [{ ...partition, offset: '5' }]], /^the offset to commit of topic 't'/],
    ['delete', ['g'], /^groupIds is 'g': give names of groups as a list/],
    ['deleteOffsets', ['g'], /^partitions is undefined/],
    ['removeMembers', ['g', 'm'], /^groupInstanceIds is 'm': give instance ids as a list/],
  ] as const) {
    await assert.rejects(admin.groups[name](...args), saying(text), name)
  }
  const { brokers } = admin
  await assert.rejects(brokers.describeLogDirs(1), saying(/^nodeIds is 1: give node ids as a list/))
  await assert.rejects(brokers.describeProducers('t'), saying(/^partitions is 't': give/))
  await assert.rejects(brokers.describeAcls({ name: 'x' }), saying(/did you mean resourceName\?/))
  admin.close()
  await assert.rejects(admin.listTopics(), saying(/closed/, ottla.ClosedError))
})
