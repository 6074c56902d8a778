/** Consumer groups, over TCP against a broker in this process: shares, hand-overs, commits. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import type { Assignor, GroupSubscriber, PartitionRacks } from '../../client/assignors.ts'
import { Client } from '../../client/client.ts'
import { Cluster } from '../../client/cluster.ts'
import { Consumer } from '../../client/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer-config.ts'
import { OptionError } from '../../client/errors.ts'
import type { Producer } from '../../client/producer.ts'
import { string } from '../../client/serializers.ts'
import { systemIo } from '../../protocol/system-io.ts'
import { numberedTopic, writeNumbers } from './numbered-topic.ts'

let broker: EmbeddedBroker
let client: Client
let producer: Producer

before(async () => {
  broker = await startBroker()
  client = new Client({ bootstrap: broker.bootstrap, retryBackoffMs: 5 })
  producer = client.producer()
})

after(async () => {
  await producer.close()
  await broker.stop()
})

const topic = (name: string, partitions: number, count: number) =>
  numberedTopic({ client, producer }, name, partitions, count)
const write = (name: string, partitions: number, from: number, count: number) =>
  writeNumbers(producer, name, partitions, from, count)

function member(groupId: string, options: ConsumerOptions<Buffer, string> = {}) {
  const quick = { heartbeatIntervalMs: 20, autoOffsetReset: 'earliest', value: string } as const
  return client.consumer<Buffer, string>({ groupId, ...quick, ...options })
}

async function take(consumer: Consumer<Buffer, string>, count: number): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of consumer) {
    values.push(value!)
    if (values.length === count) break
  }
  return values
}

const numbers = (from: number, end: number) =>
  Array.from({ length: end - from }, (_, i) => `${from + i}`)
const sorted = (values: string[]) => values.sort((a, b) => Number(a) - Number(b))

test('a member that is alone gets everything; who comes back goes on where it was', async () => {
  await topic('alone', 3, 30)
  const first = member('g-alone')
  first.subscribe('alone')
  assert.deepEqual(sorted(await take(first, 30)), numbers(0, 30))
  await first.close()
  await write('alone', 3, 30, 6)
  const second = member('g-alone')
  second.subscribe(/^alon.$/)
  assert.deepEqual(sorted(await take(second, 6)), numbers(30, 36))
  const committed = await second.committed([{ topic: 'alone', partition: 0 }])
  assert.deepEqual(committed, [{ topic: 'alone', partition: 0, offset: 10, leaderEpoch: 0 }])
  await second.close()
})

for (const assignor of ['range', 'roundrobin', 'sticky', 'cooperative-sticky'] as const) {
  test(`two members share the partitions (${assignor}), and the one that stays takes over all`, async () => {
    const name = `shared-${assignor}`
    await topic(name, 4, 8)
    const seen = new Map<string, number>()
    const run = (consumer: Consumer<Buffer, string>) =>
      consumer.eachMessage(({ value }) => {
        seen.set(value!, (seen.get(value!) ?? 0) + 1)
        changed()
      })
    let changed = () => {}
    const until = (condition: () => boolean) =>
      new Promise<void>(resolve => {
        changed = () => condition() && resolve()
        changed()
      })
    const first = member(`g-${name}`, { assignors: [assignor] })
    first.subscribe(name)
    const firstRun = run(first)
    await until(() => seen.size === 8)
    const second = member(`g-${name}`, { assignors: [assignor] })
    second.subscribe(name)
    const secondRun = run(second)
    while (second.assignment.length !== 2 || first.assignment.length !== 2) {
      await new Promise(resolve => setImmediate(resolve))
    }
    const both = [...first.assignment, ...second.assignment].map(p => p.partition).sort()
    assert.deepEqual(both, [0, 1, 2, 3])
    await write(name, 4, 8, 8)
    await until(() => seen.size === 16)
    await first.close()
    await write(name, 4, 16, 8)
    await until(() => seen.size === 24)
    assert.equal(second.assignment.length, 4)
    await second.close()
    await Promise.all([firstRun, secondRun])
    assert.deepEqual(
      [...seen.values()],
      Array(24).fill(1),
      'after clean hand-overs nothing comes twice',
    )
  })
}

test('a rebalance does not wait for a handler; the handler is told, and its record comes again', async () => {
  await topic('slow', 1, 1)
  const first = member('g-slow')
  first.subscribe('slow')
  let reached = () => {}
  const atWork = new Promise<void>(resolve => {
    reached = resolve
  })
  let told = () => {}
  const lost = new Promise<void>(resolve => {
    told = resolve
  })
  const run = first.eachMessage(async (_, { signal }) => {
    signal.addEventListener('abort', () => told(), { once: true })
    reached()
    await lost
  })
  await atWork
  const second = member('g-slow')
  second.subscribe('slow')
  await lost
  await first.close()
  assert.deepEqual(await take(second, 1), ['0'])
  await second.close()
  await run
})

test('without autoCommit only what is committed is kept', async () => {
  await topic('manual', 1, 3)
  const first = member('g-manual', { autoCommit: false })
  first.subscribe('manual')
  await take(first, 2)
  await first.commit([{ topic: 'manual', partition: 0, offset: 1 }])
  await first.close()
  const second = member('g-manual', { autoCommit: false })
  second.subscribe('manual')
  assert.deepEqual(await take(second, 2), ['1', '2'])
  await second.commit()
  await second.close()
  const third = member('g-manual')
  const committed = await third.committed([{ topic: 'manual', partition: 0 }])
  assert.equal(committed[0]!.offset, 3)
  await third.close()
})

test('a static member that restarts gets its share back without a rebalance', async () => {
  await topic('static', 2, 2)
  const first = member('g-static', { groupInstanceId: 'one' })
  first.subscribe('static')
  await take(first, 2)
  await first.close()
  const again = member('g-static', { groupInstanceId: 'one' })
  again.subscribe('static')
  await write('static', 2, 2, 1)
  assert.deepEqual(await take(again, 1), ['2'])
  await again.close()
})

test('members without an assignor in common are told so', async () => {
  await topic('odd', 1, 1)
  const first = member('g-odd', { assignors: ['range'] })
  first.subscribe('odd')
  await take(first, 1)
  const second = member('g-odd', { assignors: ['roundrobin'] })
  second.subscribe('odd')
  await assert.rejects(second.next(), /INCONSISTENT_GROUP_PROTOCOL/)
  await second.close()
  await first.close()
})

test('what needs a group says so', async () => {
  const consumer = client.consumer()
  assert.throws(() => consumer.subscribe('t'), OptionError)
  await consumer.close()
  assert.throws(() => client.consumer({ groupInstanceId: 'x' }), /groupInstanceId without groupId/)
  assert.throws(() => member('g', { heartbeatIntervalMs: 9, sessionTimeoutMs: 9 }), OptionError)
})

test('the leader tells its assignor where members and replicas are, if some member says so', async () => {
  await topic('racks', 2, 2)
  const io = systemIo()
  // The broker in this process is in no rack.
  const answered = (name: string, answer: unknown) => {
    if (name !== 'Metadata') return
    for (const one of (answer as { brokers: { rack: string }[] }).brokers) one.rack = 'east'
  }
  const cluster = () => new Cluster(io, { bootstrap: broker.bootstrap, logger: null }, { answered })
  for (const [rackId, seen] of [
    ['west', new Map([['racks', [new Set(['east']), new Set(['east'])]]])],
    [undefined, undefined],
  ] as const) {
    let told: { members: readonly GroupSubscriber[]; racks: PartitionRacks | undefined } | undefined
    const assignor: Assignor = {
      name: 'mine',
      assign(members, _, racks) {
        told = { members, racks }
        const all = [0, 1].map(partition => ({ topic: 'racks', partition }))
        return new Map([[members[0]!.memberId, all]])
      },
    }
    const options = { groupId: `g-racks-${rackId}`, assignors: [assignor], rackId } as const
    const consumer = new Consumer(io, cluster(), cluster(), {
      ...options,
      autoOffsetReset: 'earliest',
    })
    consumer.subscribe('racks')
    await consumer.next()
    assert.deepEqual(told?.racks, seen)
    assert.equal(told?.members[0]?.rackId, rackId ?? null)
    await consumer.close()
  }
})
