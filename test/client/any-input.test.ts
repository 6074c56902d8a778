/** Whatever is given to a public function of the client, it never fails from inside: what is wrong is one of our errors. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import * as ottla from '../../client/index.ts'
import { Client } from '../../client/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: what is called here is what no type allows
type Any = any

const CONSUMER = { groupId: 'g' }

/** Arguments that would do, of every public function that takes any; those of a file's class, by its declarations. */
const CALLS: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> = {
  producer: {
    send: [{ topic: 't', value: 'x' }, {}],
    sendBatch: ['t', [{ value: 'x' }], {}],
    sendFrom: [[{ topic: 't', value: 'x' }], {}],
    flush: [],
    close: [{}],
  },
  consumer: {
    subscribe: [['t']],
    commit: [[{ topic: 't', partition: 0, offset: 5 }], {}],
    committed: [[{ topic: 't', partition: 0 }], {}],
    assign: [[{ topic: 't', partition: 0 }]],
    seek: ['t', 0, 5],
    pause: [[{ topic: 't', partition: 0 }]],
    resume: [[{ topic: 't', partition: 0 }]],
    position: ['t', 0],
    lag: ['t', 0],
    nextBatch: [{}],
    next: [{}],
    eachBatch: [() => {}, {}],
    eachMessage: [() => {}, {}],
    close: [{}],
  },
  admin: {
    createTopics: [[{ name: 't' }], {}],
    deleteTopics: [['t'], {}],
    listTopics: [{}],
    describeTopics: [['t'], {}],
    createPartitions: [[{ topic: 't', count: 2 }], {}],
    describeConfigs: [[{ type: 'topic', name: 't' }], {}],
    incrementalAlterConfigs: [[{ type: 'topic', name: 't', set: { a: 'b' } }], {}],
    listOffsets: [[{ topic: 't', partition: 0, at: 'latest' }], {}],
    deleteRecords: [[{ topic: 't', partition: 0, before: 5 }], {}],
    electLeaders: ['preferred', [{ topic: 't', partition: 0 }], {}],
    close: [],
  },
  'group-admin': {
    list: [{}],
    describe: ['g', {}],
    describeRaw: ['g', {}],
    offsets: ['g', {}],
    lag: ['g', {}],
    setOffsets: ['g', [{ topic: 't', partition: 0, offset: 5 }], {}],
    delete: [['g'], {}],
    deleteOffsets: ['g', [{ topic: 't', partition: 0 }], {}],
    removeMembers: ['g', ['m'], {}],
  },
  'broker-admin': {
    describeCluster: [{}],
    describeLogDirs: [[1], {}],
    describeProducers: [[{ topic: 't', partition: 0 }], {}],
    listReassignments: [{}],
    listConfigResources: [{}],
    listTransactions: [{}],
    describeAcls: [{}, {}],
    describeQuotas: [{}],
    describeScramUsers: [{}],
  },
  client: {
    producer: [{}],
    consumer: [{}],
    admin: [],
  },
}

const JUNK: readonly unknown[] = [
  undefined,
  null,
  true,
  5,
  -1,
  1.5,
  Number.NaN,
  '',
  'x',
  {},
  [],
  [null],
  [{}],
  [[]],
  [5],
  [''],
  new Date(0),
  () => {},
  /x/y,
  new Map(),
  new Uint8Array(1),
]

const OURS = Object.values(ottla as Any).filter(
  (kind): kind is new (...args: never[]) => Error =>
    typeof kind === 'function' && kind.prototype instanceof Error,
)

/** Fails for an error that comes from inside. */
async function told(call: () => unknown, what: string): Promise<void> {
  try {
    await call()
  } catch (error) {
    const isOurs = OURS.some(kind => error instanceof kind)
    assert.ok(isOurs, `${what}: ${(error as Error).stack}`)
    assert.doesNotMatch((error as Error).message, /\[object|\bundefined\b.*\bundefined\b/, what)
  }
}

test('the calls that are tried are all that there are', () => {
  for (const [file, calls] of Object.entries(CALLS)) {
    const declared = readFileSync(`dist/client/${file}.d.ts`, 'utf8')
    const names = [...declared.matchAll(/^ {4}(\w+)(?:<[^(]*>)?\(/gm)].map(match => match[1]!)
    const methods = [...new Set(names)].filter(name => name !== 'constructor')
    assert.deepEqual(methods.sort(), Object.keys(calls).sort(), file)
  }
})

for (const [file, calls] of Object.entries(CALLS)) {
  test(`nothing that is given to ${file} fails from inside`, async () => {
    const broker = await startBroker({ config: { 'num.partitions': 1 } })
    const { bootstrap } = broker
    const client = new Client({ bootstrap, retries: 0, apiTimeoutMs: 2_000, logger: null })
    const admin = client.admin()
    await admin.createTopics([{ name: 't' }])
    admin.close()
    for (const [name, args] of Object.entries(calls)) {
      const tries = args.flatMap((_, i) => JUNK.map(junk => args.with(i, junk)))
      await Promise.all(tries.map(given => attempt(client, file, name, given)))
    }
    await broker.stop()
  })
}

/** One call of an object of its own, which is closed again, so that nothing waits. */
async function attempt(
  client: Any,
  file: string,
  name: string,
  args: readonly unknown[],
): Promise<void> {
  const what = `${file}.${name}(${args.map(one => `${typeof one} ${JSON.stringify(one)}`)})`
  if (file === 'client') return told(() => client[name](...args), what)
  if (file === 'producer') {
    const producer = client.producer()
    await told(() => producer[name](...args), what)
    return producer.close({ timeoutMs: 0 })
  }
  if (file === 'consumer') {
    const consumer = client.consumer(CONSUMER)
    if (name !== 'subscribe') consumer.assign([{ topic: 't', partition: 0 }])
    const called = told(() => consumer[name](...args), what)
    await consumer.close()
    return called
  }
  const admin = client.admin()
  const of = { admin, 'group-admin': admin.groups, 'broker-admin': admin.brokers }[file]
  await told(() => of[name](...args), what)
  admin.close()
}

test('no option of any value fails from inside', async () => {
  const client: Any = new Client({ bootstrap: '127.0.0.1:1', logger: null })
  for (const [kind, file] of [
    ['producer', 'producer-config'],
    ['consumer', 'consumer-config'],
    ['consumer', 'group-config'],
  ] as const) {
    const declared = readFileSync(`dist/client/${file}.d.ts`, 'utf8')
    const names = [...declared.matchAll(/^ {4}readonly (\w+)\?:/gm)].map(match => match[1]!)
    assert.ok(names.length > 5, file)
    for (const name of names) {
      for (const junk of JUNK) {
        const what = `${kind} ${name} ${typeof junk} ${JSON.stringify(junk)}`
        await told(() => client[kind]({ groupId: 'g', [name]: junk }), what)
      }
    }
  }
})
